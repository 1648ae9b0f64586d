"""A quality classifier of the user: fastText, trained on wanted and on unwanted texts, and applied as a score."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import fsspec
import numpy as np
import pyarrow as pa

from filters.language import load_model
from filters.needs import readable
from manifests.flat import texts as texts_of
from manifests.hashing import key64
from manifests.stage import NO_ENGINE, Output, StageContext

POSITIVE, NEGATIVE = "positive", "negative"
LEARNING_RATES = (0.5, 0.1, 0.02)  # the next one is tried where training ends in NaN
#: one thread, so that the same texts give the same model
SETTINGS = {"dim": 64, "bucket": 1 << 18, "epoch": 5, "wordNgrams": 2, "minCount": 1, "thread": 1, "verbose": 0}


@dataclass(frozen=True)
class Quality:
    """Map: documents -> ("scores", ``quality`` float32), one row for each document: the probability of the label
    `POSITIVE`, null without words.

    ``model``: a fastText file, of `train` or another program. Raises ValueError, one line, where it cannot be read or
    has no such label.
    """

    model: str

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema([("quality", pa.float32())])}
    files: ClassVar[tuple[str, ...]] = ("model",)
    libraries: ClassVar[tuple[str, ...]] = ("fasttext-numpy2-wheel",)
    name: ClassVar[str] = "quality"

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        model = load(self.model)
        scores = [probability(model, text) if ctx(row) else None for row, text in enumerate(texts_of(batch))]
        yield "scores", pa.RecordBatch.from_arrays([pa.array(scores, pa.float32())], schema=self.tables["scores"])


def load(path: str) -> Any:
    """The model of a file, which must have the label `POSITIVE`."""
    model, labels = load_model(path, "quality model")
    if POSITIVE not in labels:
        raise ValueError(f"quality model `{path}`: no label `{POSITIVE}`; it has {', '.join(labels)}")
    return model


def probability(model: Any, text: str) -> float | None:
    """Probability of the label `POSITIVE`; None for a text without words."""
    line = " ".join(text.split())
    if not line:
        return None
    labels, scores = model.predict([line], k=-1)
    chances = dict(zip(labels[0], scores[0], strict=True))
    return min(float(chances.get(f"__label__{POSITIVE}", 0.0)), 1.0)  # fastText gives 1.00001 at times


def train(
    positive: Iterable[str], negative: Iterable[str], output: str, held_out: float = 0.1, seed: int = 0
) -> dict[str, Any]:
    """Train on texts, write the model to ``output``, and evaluate it on the texts that are held out.

    Returns ``trained`` and ``held_out`` (numbers of documents), ``precision`` and ``recall`` of the held-out positives
    at a probability of 0.5, and the learning rate ``lr``. A hash of each text decides whether it is held out, so copies
    of a text are on one side. The same texts, seed and library give the same model. Raises ValueError, one line, where
    there are too few texts, or where training ends in NaN at every learning rate.
    """
    import fasttext

    kept: list[str] = []
    held: list[tuple[str, bool]] = []
    for is_positive, texts in ((True, positive), (False, negative)):
        label = POSITIVE if is_positive else NEGATIVE
        lines = [line for text in texts if (line := " ".join(text.split()))]
        aside = [key64(f"held out {seed} {line}") < held_out * 2**64 for line in lines]
        if all(aside) or not any(aside):
            raise ValueError(f"classifier: {len(lines)} {label} texts are too few to train on some and hold out others")
        held += [(line, is_positive) for line, out in zip(lines, aside, strict=True) if out]
        some = [line for line, out in zip(lines, aside, strict=True) if not out]
        kept += [f"__label__{label} {line.replace('__label__', '')}" for line in some]
    kept.sort(key=lambda line: key64(f"order {seed} {line}"))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("\n".join(kept) + "\n", encoding="utf-8")
        tries = (rate for rate in LEARNING_RATES if _train(str(file), output, lr=rate, seed=seed, **SETTINGS))
        if (rate := next(tries, None)) is None:
            rates = ", ".join(map(str, LEARNING_RATES))
            raise ValueError(f"classifier: training ended in NaN at learning rates {rates}")
    model = fasttext.load_model(output)
    predicted = np.array([probability(model, line) or 0.0 for line, _ in held]) >= 0.5
    positive_ = np.array([is_positive for _, is_positive in held])
    right = int((predicted & positive_).sum())
    return {
        "trained": len(kept),
        "held_out": len(held),
        "precision": right / int(predicted.sum()) if predicted.any() else 0.0,
        "recall": right / int(positive_.sum()),
        "lr": rate,
    }


_TRAIN = "import fasttext, json, sys; a = json.loads(sys.argv[1]); fasttext.train_supervised(**a[0]).save_model(a[1])"


def _train(lines: str, output: str, **settings: Any) -> bool:
    """Trains in a process of its own and writes the model to ``output``. False where a NaN occurred.

    With one thread, fastText initialises a tenth of its input matrix (64 MiB) and uses the rest as it is. In a new
    process the rest is zeros; in another process it is data of earlier work.
    """
    import fasttext

    arguments = json.dumps([{"input": lines, **settings}, output])
    done = subprocess.run([sys.executable, "-c", _TRAIN, arguments], capture_output=True, text=True, check=False)
    if "NaN" in done.stderr:
        return False
    if done.returncode:
        last_line = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ValueError(f"classifier: fastText failed: {last_line}")
    return bool(np.isfinite(fasttext.load_model(output).get_output_matrix()).all())


def read_texts(paths: Sequence[str]) -> Iterator[str]:
    """Texts of files, also gzipped: the lines, or the key ``text`` of ``.jsonl`` lines. Raises ValueError, one line."""
    for path in paths:
        plain = path.removesuffix(".gz")
        with readable(path), fsspec.open(path, "rt", encoding="utf-8", compression="infer") as file:
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
