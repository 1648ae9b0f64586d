"""Questions and captions from a user's file, answered by a trained model and scored.

The file has a JSON object a line: ``{"image": PATH, "question": TEXT, "answers": [TEXT, ...]}``, with paths relative to
the file. A line without a question is a captioning task; ``choices`` makes it multiple choice. Decoding is greedy, one
question at a time (the paper, appendix A.3). A model trained on conversations is asked in turns, others in running
text.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from shards.turns import Exchange
from trainer.chat import lay_out_turns
from trainer.collate import Collator, pack
from trainer.forward import logits
from trainer.images import Size, to_pixels
from trainer.layout import DocumentTokens, Specials, lay_out
from trainer.schema import Evaluate

#: words that end an answer, beside the special tokens (the paper, appendix A.3)
STOPS = ("Question", "User")
#: a user's request for a caption: LLaVA-1.5's words. The paper has none; it evaluates captions without a prompt
CAPTION = "Provide a one-sentence caption for the provided image."
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = re.compile(r"[^\w\s]")


class AnswersError(ValueError):
    """A file with a fault; the message names the line."""


@dataclass(frozen=True)
class Item:
    image: Path
    question: str | None
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The prompt in running text (the paper, appendix A.3.1); empty for a caption, which follows the image."""
        if self.question is None:
            return ""
        if self.choices:
            listed = "\n".join(f"{chr(65 + n)}. {choice}" for n, choice in enumerate(self.choices))
            return f"Question: {self.question}\nChoices:\n{listed}\nAnswer with the letter.\nAnswer: "
        return f"Question: {self.question} Give a very brief answer.\nAnswer: "

    @property
    def turn(self) -> str:
        """The prompt as a user's turn."""
        return self.prompt.removesuffix("\nAnswer: ") or CAPTION


def read(path: str | Path) -> list[Item]:
    """The items of a file. Raises AnswersError naming file and line, FileNotFoundError."""
    out = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        where = f"{path}: line {number}"
        try:
            row = json.loads(line)
            image, answers = Path(path).parent / row["image"], tuple(map(str, row["answers"]))
            item = Item(image, row.get("question"), answers, tuple(row.get("choices", ())))
        except (ValueError, KeyError, TypeError) as error:
            fault = f"an object with image and answers is required ({type(error).__name__}: {error})"
            raise AnswersError(f"{where}: {fault}") from None
        if not item.answers or not item.image.is_file():
            raise AnswersError(f"{where}: {'no answers' if not item.answers else f'{item.image} is no file'}")
        out.append(item)
    return out


def few_shot(item: Item, shots: Sequence[Item]) -> tuple[list[str | int], list[Path]]:
    """The document that the model continues: examples with answers, then the question; and its images."""
    parts: list[str | int] = []
    for number, shot in enumerate((*shots, item)):
        text = shot.prompt + (f"{shot.answers[0]}\n\n" if shot is not item else "")
        parts += [number, *([text] if text else [])]
    return parts, [shot.image for shot in (*shots, item)]


def in_turns(item: Item, shots: Sequence[Item], collate: Collator) -> np.ndarray:
    """The tokens of the examples and the question as a conversation, up to the start of the answer."""
    exchanges = [Exchange((n,), shot.turn, shot.answers[0]) for n, shot in enumerate(shots)]
    exchanges.append(Exchange((len(shots),), item.turn, None))
    return lay_out_turns(exchanges, collate.tokenizer, Specials.of(collate.tokenizer), collate.latents).ids


def answer(
    model: nn.Module,
    item: Item,
    collate: Collator,
    image: Size,
    shots: Sequence[Item] = (),
    longest: int = 32,
    turns: bool = False,
) -> str:
    """The greedy answer of a model of any architecture. Each token is computed anew from all tokens before it.

    image: mode, longest and shortest side. longest: tokens of the answer. turns: ask as a user of a conversation.
    """
    parts, paths = few_shot(item, shots)
    tokenizer, specials = collate.tokenizer, Specials.of(collate.tokenizer)
    pixels = to_pixels([collate.reader.plain(path.read_bytes(), *image) for path in paths], collate.patch)
    running_text = lay_out(parts, tokenizer, specials, collate.latents).ids[:-1]  # without </s>
    prompt = in_turns(item, shots, collate) if turns else running_text
    images = tuple(range(len(paths)))
    device = next(model.parameters()).device
    output: list[int] = []
    with torch.no_grad():
        for _ in range(longest):
            ids = np.concatenate([prompt, np.array(output, dtype=np.int64)])
            row = [DocumentTokens(ids, ids, ids == ids, images)]
            scores = logits(model, pack([row], specials.pad, pixels, len(images)).to(device))[0, -1].float()
            scores[[specials.image, specials.fake, specials.pad, specials.bos]] = -torch.inf
            token = int(scores.argmax())
            if token in (specials.eos, specials.end):
                break
            output.append(token)
            if any(stop in tokenizer.decode(output) for stop in STOPS):
                break
    text = tokenizer.decode(output)
    for stop in STOPS:
        text = text.split(stop)[0]
    return text.strip()


def normalised(text: str) -> str:
    """Lower case without punctuation, articles and double blanks. VQA's evaluation also expands contractions."""
    return " ".join(_ARTICLES.sub(" ", _MARKS.sub(" ", text.lower())).split())


def exact(text: str, answers: Sequence[str]) -> float:
    """1 if the normalised text is one of the normalised answers, else 0."""
    return float(normalised(text) in {normalised(answer) for answer in answers})


def consensus(text: str, answers: Sequence[str]) -> float:
    """VQA accuracy (Antol et al. 2015): min(1, people with this answer / 3), mean over leaving out each person."""
    if len(answers) < 3:
        return exact(text, answers)
    same = [normalised(text) == normalised(answer) for answer in answers]
    return sum(min(1.0, (sum(same) - this) / 3) for this in same) / len(same)


def anls(text: str, answers: Sequence[str], threshold: float = 0.5) -> float:
    """ANLS (Biten et al., arXiv 1905.13648, eq. 1): 1 - distance / longer length, best answer; 0 below threshold."""
    best = 0.0
    for answer in answers:
        a, b = text.strip().lower(), answer.strip().lower()
        best = max(best, 1 - distance(a, b) / max(len(a), len(b), 1))
    return best if best >= threshold else 0.0


def distance(a: str, b: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def evaluate(model: nn.Module, spec: Evaluate, collate: Collator, image: Size, turns: bool = False) -> dict[str, float]:
    """The mean scores of the items of the file `spec.answers`: ``{"items", "exact", "consensus", "anls"}``.

    The first `spec.shots` items are examples, without a score. image, turns: see `answer`. Raises AnswersError.
    """
    items = read(str(spec.answers))
    examples, questions = items[: spec.shots], items[spec.shots :]
    if not questions:
        raise AnswersError(f"{spec.answers}: {len(items)} items leave no question after {spec.shots} examples")
    was_training = model.training
    model.eval()
    texts = [answer(model, item, collate, image, examples, spec.longest, turns) for item in questions]
    model.train(was_training)
    means = {
        score.__name__: sum(score(t, q.answers) for t, q in zip(texts, questions, strict=True)) / len(texts)
        for score in (exact, consensus, anls)
    }
    scores = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    print(f"{spec.answers}: {len(texts)} items, {scores}", file=sys.stderr)
    return {"items": float(len(texts)), **means}
