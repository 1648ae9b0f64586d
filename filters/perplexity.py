"""Perplexity of documents by a KenLM model of the user: high where a text is unlike the training texts of the model.

Normalisation and formula are those of OBELICS (arXiv 2306.16527, A.2.2, and build_obelics), which are CCNet's. Control
characters (also line breaks) are removed, digits become 0, typographic punctuation becomes ASCII. Tokens are the pieces
of a SentencePiece model where there is one, else words. The perplexity is 10 ** (-log10 probability / (tokens + 1)),
rounded to one decimal.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.needs import package, readable
from manifests.code import one_line
from manifests.flat import texts
from manifests.stage import NO_ENGINE, Output, StageContext

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DIGIT = re.compile(r"\d")
#: CCNet's table of 34 characters
_PUNCTUATION = str.maketrans(
    dict(zip("，。、∶：？！（）；～’´％━–〈〉【】►", ",.,::?!();~''%--<>[]-", strict=True))
    | dict.fromkeys("„”“«»１」「《》", '"')
    | {"．": ". ", "—": " - ", "…": "..."}
)


@dataclass(frozen=True)
class Perplexity:
    """Map: documents -> ("scores", ``perplexity`` float32), one row for each document, null without words.

    ``model``: a KenLM file (ARPA or binary). ``pieces``: a SentencePiece model; None: words between blanks. Needs the
    package `kenlm`, and `sentencepiece` for pieces. Raises ValueError, one line, where a package or file is missing.
    """

    model: str
    pieces: str | None = None

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema([("perplexity", pa.float32())])}
    files: ClassVar[tuple[str, ...]] = ("model", "pieces")
    name: ClassVar[str] = "perplexity"

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        model, pieces = load(self.model), None if self.pieces is None else _pieces(self.pieces)
        scores = [perplexity(model, text, pieces) if ctx(row) else None for row, text in enumerate(texts(batch))]
        yield "scores", pa.RecordBatch.from_arrays([pa.array(scores, pa.float32())], schema=self.tables["scores"])


def normalised(text: str) -> str:
    """A text in the form of the model's training texts: see the module's docstring."""
    return _DIGIT.sub("0", _CONTROL.sub("", text).strip()).translate(_PUNCTUATION)


def perplexity(model: Any, text: str, pieces: Any = None) -> float | None:
    """Perplexity of one text, rounded to 0.1; None where it has no tokens."""
    plain = normalised(text)
    tokens = pieces.encode(plain, out_type=str) if pieces is not None else plain.split()
    if not tokens:
        return None
    exponent: float = -model.score(" ".join(tokens)) / (len(tokens) + 1)
    return float(round(10.0 ** min(exponent, 30.0), 1))  # a float32 ends near 1e38


def check(model: str, pieces: str | None = None) -> None:
    """Checks that the packages are installed and the model's first bytes. Raises ValueError, one line."""
    package("kenlm", "perplexity needs")
    with readable(f"perplexity model `{model}`"), open(model, "rb") as file:
        head = file.read(4096)
    if not head.startswith((b"mmap lm ", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) and b"\\data\\" not in head:
        raise ValueError(f"perplexity model `{model}` is neither an ARPA file nor a KenLM binary")
    if pieces is not None:
        _pieces(pieces)


@lru_cache(maxsize=2)
def load(path: str) -> Any:
    """The KenLM model of a file."""
    kenlm = package("kenlm", "perplexity needs")
    if not Path(path).is_file():
        raise ValueError(f"perplexity model `{path}`: no such file")
    try:
        return kenlm.Model(path)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"perplexity model `{path}`: {one_line(error)}") from error


@lru_cache(maxsize=2)
def _pieces(path: str) -> Any:
    sentencepiece = package("sentencepiece", "perplexity by pieces needs")
    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"pieces `{path}`: {one_line(error)}") from error
