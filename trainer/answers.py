"""Questions and captions from a file of one's own, answered by a trained model and scored.

The file has a JSON object a line: ``{"image": PATH, "question": TEXT, "answers": [TEXT, ...]}``, paths relative to the
file; without a question it is a captioning task; ``choices`` makes it multiple choice. Decoding is greedy, a question
at a time (the paper, appendix A.3). A model that learnt from conversations is asked in turns, the others in running
text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from shards.tokens import Tokenizer
from trainer.chat import Exchange, lay_out_turns
from trainer.collate import Collator, pack
from trainer.forward import logits
from trainer.images import to_pixels
from trainer.layout import Laid, Specials, lay_out

#: where an answer ends, besides the special tokens (the paper, appendix A.3)
STOPS = ("Question", "User")
#: how a user asks for a caption; not in the paper, which evaluates captions without a prompt: LLaVA-1.5's words
CAPTION = "Provide a one-sentence caption for the provided image."
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = re.compile(r"[^\w\s]")


class AnswersError(ValueError):
    """A file that is not as it should be; the message names the line."""


@dataclass(frozen=True)
class Item:
    image: Path
    question: str | None
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """As in the paper's appendix A.3.1; for a caption, nothing: pairs are an image and then the caption."""
        if self.question is None:
            return ""
        if self.choices:
            listed = "\n".join(f"{chr(65 + n)}. {choice}" for n, choice in enumerate(self.choices))
            return f"Question: {self.question}\nChoices:\n{listed}\nAnswer with the letter.\nAnswer: "
        return f"Question: {self.question} Give a very brief answer.\nAnswer: "

    @property
    def turn(self) -> str:
        """The same as what a user says."""
        return self.prompt.removesuffix("\nAnswer: ") or CAPTION


def read(path: str | Path) -> list[Item]:
    """Raises AnswersError naming file and line, FileNotFoundError."""
    out = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            item = Item(
                Path(path).parent / row["image"],
                row.get("question"),
                tuple(map(str, row["answers"])),
                tuple(row.get("choices", ())),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise AnswersError(
                f"{path}: line {number}: an object with image and answers is wanted ({type(error).__name__}: {error})"
            ) from None
        if not item.answers or not item.image.is_file():
            raise AnswersError(
                f"{path}: line {number}: {'no answers' if not item.answers else f'{item.image} is no file'}"
            )
        out.append(item)
    return out


def few_shot(item: Item, shots: Sequence[Item]) -> tuple[list[str | int], list[Path]]:
    """The document a model goes on from: solved examples, then the question; and the images it names."""
    parts: list[str | int] = []
    for number, shot in enumerate((*shots, item)):
        solved = shot is not item
        text = shot.prompt + (f"{shot.answers[0]}\n\n" if solved else "")
        parts += [number, *([text] if text else [])]
    return parts, [shot.image for shot in (*shots, item)]


def in_turns(item: Item, shots: Sequence[Item], collate: Collator) -> np.ndarray:
    """The tokens of the same as a conversation, up to where the answer begins."""
    exchanges = [Exchange((n,), shot.turn, shot.answers[0]) for n, shot in enumerate(shots)]
    exchanges.append(Exchange((len(shots),), item.turn, ""))
    # without the two ends
    return lay_out_turns(exchanges, collate.tokenizer, Specials.of(collate.tokenizer), collate.latents).ids[:-2]


def answer(
    model: nn.Module,
    item: Item,
    collate: Collator,
    image: tuple[str, int, int],
    shots: Sequence[Item] = (),
    longest: int = 32,
    turns: bool = False,
) -> str:
    """Greedy, of every architecture: each token anew from all before it. image: mode, longest and shortest side.
    longest: tokens.
    turns: ask as a user."""
    parts, paths = few_shot(item, shots)
    specials = Specials.of(collate.tokenizer)
    pixels = to_pixels([collate.eye.decode(path.read_bytes(), *image) for path in paths], collate.patch)
    # without </s>
    ids = (
        in_turns(item, shots, collate)
        if turns
        else lay_out(parts, collate.tokenizer, specials, collate.latents).ids[:-1]
    )
    images = tuple(range(len(paths)))
    device = next(model.parameters()).device
    written: list[int] = []
    with torch.no_grad():
        for _ in range(longest):
            whole = torch.cat([torch.as_tensor(ids), torch.tensor(written, dtype=torch.int64)]).numpy()
            batch = pack([[Laid(whole, whole, whole == whole, images)]], specials.pad, pixels, len(images)).to(device)
            scores = logits(model, batch)[0, -1].float()
            scores[[specials.image, specials.fake, specials.pad, specials.bos]] = -torch.inf
            token = int(scores.argmax())
            if token in (specials.eos, specials.end):
                break
            written.append(token)
            said = collate.tokenizer.decode(written)
            if any(stop in said for stop in STOPS):
                break
    return cut(collate.tokenizer, written)


def cut(tokenizer: Tokenizer, written: Sequence[int]) -> str:
    said = tokenizer.decode(written)
    for stop in STOPS:
        said = said.split(stop)[0]
    return said.strip()


def normal(text: str) -> str:
    """Lower case, without marks, articles and doubled blanks (what VQA's evaluation does to an answer, without its list
    of contractions).
    """
    return " ".join(_ARTICLES.sub(" ", _MARKS.sub(" ", text.lower())).split())


def exact(said: str, answers: Sequence[str]) -> float:
    return float(normal(said) in {normal(wanted) for wanted in answers})


def consensus(said: str, answers: Sequence[str]) -> float:
    """VQA accuracy (Antol et al. 2015): min(1, people who said so / 3), as the mean over leaving each person out; of
    fewer than three
    answers, `exact`."""
    if len(answers) < 3:
        return exact(said, answers)
    same = [normal(said) == normal(wanted) for wanted in answers]
    return sum(min(1.0, (sum(same) - this) / 3) for this in same) / len(same)


def anls(said: str, answers: Sequence[str], threshold: float = 0.5) -> float:
    """Average normalised Levenshtein similarity (Biten et al., arXiv 1905.13648, equation 1): the best answer's, 0
    below a half.
    """
    best = 0.0
    for wanted in answers:
        a, b = said.strip().lower(), wanted.strip().lower()
        best = max(best, 1 - distance(a, b) / max(len(a), len(b), 1))
    return best if best >= threshold else 0.0


def distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def evaluate(
    model: nn.Module,
    path: str | Path,
    collate: Collator,
    image: tuple[str, int, int],
    shots: int = 0,
    longest: int = 32,
    turns: bool = False,
) -> dict[str, float]:
    """Means over the file's items but the first `shots`, which are the examples: ``{"items", "exact", "consensus",
    "anls"}``.

    Raises AnswersError.
    """
    items = read(path)
    examples, asked = items[:shots], items[shots:]
    if not asked:
        raise AnswersError(f"{path}: {len(items)} items leave none to ask behind {shots} examples")
    was_training = model.training
    model.eval()
    said = [answer(model, item, collate, image, examples, longest, turns) for item in asked]
    model.train(was_training)
    pairs = list(zip(said, (item.answers for item in asked), strict=True))
    means = {
        score.__name__: sum(score(text, answers) for text, answers in pairs) / len(pairs)
        for score in (exact, consensus, anls)
    }
    print(
        f"{path}: {len(pairs)} items, " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()),
        file=sys.stderr,
    )
    return {"items": float(len(pairs)), **means}
