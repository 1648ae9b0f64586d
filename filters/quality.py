"""A quality classifier of one's own: fastText, trained on texts one wants more of and texts one does not, and applied
as a score.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from manifests.flat import texts as joined_text
from manifests.schema import key64
from manifests.stage import NO_ENGINE, StageContext

Output = tuple[str, pa.RecordBatch | bytes]

POSITIVE, NEGATIVE = "positive", "negative"
LEARNING_RATES = (0.5, 0.1, 0.02)  # the next one where the last ended in NaN
#: one thread, so that the same texts make the same model
SETTINGS = {"dim": 64, "bucket": 1 << 18, "epoch": 5, "wordNgrams": 2, "minCount": 1, "thread": 1, "verbose": 0}


@dataclass(frozen=True)
class Quality:
    """Map: documents -> ("scores", ``quality`` float32), one row a document: the probability of ``label``, null without
    words.

    ``model``: a fastText file, by `train` or from elsewhere. Raises ValueError, one line, where it cannot be read or
    has no such label.
    """

    model: str
    label: str = POSITIVE

    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("fasttext-numpy2-wheel",)
    name: ClassVar[str] = "quality"

    def columns(self) -> pa.Schema:
        return pa.schema([("quality", pa.float32())])

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        model = load(self.model, self.label)
        scores = [
            probability(model, text, self.label) if ctx(row) else None for row, text in enumerate(joined_text(batch))
        ]
        yield "scores", pa.RecordBatch.from_arrays([pa.array(scores, pa.float32())], schema=self.columns())


@lru_cache(maxsize=2)
def load(path: str, label: str) -> Any:
    """The model of a file, which must know ``label``."""
    import fasttext

    try:
        model = fasttext.load_model(path)
    except ValueError as error:
        raise ValueError(f"quality model `{path}`: {error}") from error
    labels = [found.removeprefix("__label__") for found in model.get_labels()]
    if label not in labels:
        raise ValueError(f"quality model `{path}`: no label `{label}`; it has {', '.join(labels)}")
    return model


def probability(model: Any, text: str, label: str = POSITIVE) -> float | None:
    """Probability of a label; None for a text without words."""
    line = " ".join(text.split())
    if not line:
        return None
    found, scores = model.predict([line], k=-1)
    chances = dict(zip(found[0], scores[0], strict=True))
    return min(float(chances.get(f"__label__{label}", 0.0)), 1.0)  # fastText says 1.00001 at times


def train(
    positive: Iterable[str], negative: Iterable[str], output: str, held_out: float = 0.1, seed: int = 0
) -> dict[str, Any]:
    """Train on texts, write the model to ``output``, and say how it does on those held out.

    Returns ``trained`` and ``held_out`` (documents), ``precision`` and ``recall`` of the positives held out, at a
    probability of 0.5, and the ``lr`` used. Which texts are held out is told by a hash of each, so copies of one text
    are on one side. The same texts, seed and library give the same model. Raises ValueError, one line, where there are
    too few texts, or where every learning rate ended in NaN.
    """
    import fasttext

    kept: list[str] = []
    out: list[tuple[str, bool]] = []
    for wanted, texts in ((True, positive), (False, negative)):
        sides = [0, 0]
        for line in (" ".join(text.split()) for text in texts):
            if not line:
                continue
            aside = key64(f"held out {seed} {line}") < held_out * 2**64
            sides[aside] += 1
            if aside:
                out.append((line, wanted))
            else:
                kept.append(f"__label__{POSITIVE if wanted else NEGATIVE} {line.replace('__label__', '')}")
        if not all(sides):
            raise ValueError(
                f"classifier: {sum(sides)} {POSITIVE if wanted else NEGATIVE} texts are too few to train on some and hold out others"
            )
    kept.sort(key=lambda line: key64(f"order {seed} {line}"))
    with TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        lines.write_text("\n".join(kept) + "\n", encoding="utf-8")
        for rate in LEARNING_RATES:
            if _trained(str(lines), output, lr=rate, seed=seed, **SETTINGS):
                break
        else:
            raise ValueError(
                f"classifier: training ended in NaN at learning rates {', '.join(map(str, LEARNING_RATES))}"
            )
    model = fasttext.load_model(output)
    said = np.array([probability(model, line) or 0.0 for line, _ in out]) >= 0.5
    true = np.array([wanted for _, wanted in out])
    right = int((said & true).sum())
    return {
        "trained": len(kept),
        "held_out": len(out),
        "precision": right / int(said.sum()) if said.any() else 0.0,
        "recall": right / int(true.sum()),
        "lr": rate,
    }


_TRAIN = (
    "import fasttext, json, sys; a = json.loads(sys.argv[1]); fasttext.train_supervised(a[0], **a[2]).save_model(a[1])"
)


def _trained(lines: str, output: str, **settings: Any) -> bool:
    """Whether a model came of it without a NaN; then it is at ``output``.

    In a process of its own: with one thread fastText fills a tenth of its input matrix (64 MiB) and takes the rest as
    it finds it. A new process finds zeros; one that has worked before finds what it worked with.
    """
    import fasttext

    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, json.dumps([lines, output, settings])],
        capture_output=True,
        text=True,
        check=False,
    )
    if "NaN" in done.stderr:
        return False
    if done.returncode:
        raise ValueError(
            f"classifier: fastText failed: {done.stderr.strip().rpartition(chr(10))[2] or f'exit code {done.returncode}'}"
        )
    return bool(np.isfinite(fasttext.load_model(output).get_output_matrix()).all())


def read_texts(paths: Sequence[str]) -> Iterator[str]:
    """Texts of files, maybe gzipped: of ``.jsonl`` the key ``text`` of each line, of others each line. Raises
    ValueError, one line.
    """
    for path in paths:
        plain = path.removesuffix(".gz")
        try:
            with gzip.open(path, "rt", encoding="utf-8") if plain != path else open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if not plain.endswith((".jsonl", ".ndjson")):
                        yield line
                        continue
                    try:
                        text = json.loads(line)["text"]
                    except (ValueError, KeyError, TypeError):
                        raise ValueError(f"{path}, line {number}: expected a JSON table with a key `text`") from None
                    if isinstance(text, str):
                        yield text
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
