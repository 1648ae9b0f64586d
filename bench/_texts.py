"""Texts by code for measurements at any size: English-like, from many hosts, with copies and near-copies among them.

The words follow one another as in the sentences of the sample web (a Markov chain over words). One word in twelve is
an invented name, so that the vocabulary grows with the number of texts, as in real text. Rows are drawn in blocks of
BLOCK: a block depends on its number alone.

SHARES says which rows of a block are not texts of their own: exact copies at another address (`copy`), copies with 3 %
of their words changed (`near`), texts at the address of an earlier one (`again`), one of 40 notices that all blocks
share (`notice`), a list of words (`listed`), a few words (`short`), and rows without a text (`none`). The others have
600 bytes on average.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sample.articles import library

BLOCK = 10_000
WORDS = 150  # of a text, about
HOSTS = 400
SHARES = {"copy": 0.05, "near": 0.04, "again": 0.01, "notice": 0.01, "listed": 0.02, "short": 0.02, "none": 0.005}
SCHEMA = pa.schema([("url", pa.string()), ("text", pa.string())])

I64 = npt.NDArray[np.int64]
_SYLLABLES = ["ka", "re", "mi", "lo", "tan", "ver", "sel", "dor", "wick", "ham", "bry", "gus", "no", "pel", "qui"]


def write_parquet(path: Path, rows: int, first: int = 0) -> None:
    """The columns `url` and `text` of `rows` rows, in row groups of BLOCK. first: a multiple of BLOCK."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for batch in blocks(rows, first):
            writer.write_batch(batch)


def blocks(rows: int, first: int = 0) -> Iterator[pa.RecordBatch]:
    """`rows` rows from row `first`, in batches of BLOCK."""
    for number in range(-(-rows // BLOCK)):
        yield _block(first // BLOCK + number).slice(0, min(BLOCK, rows - number * BLOCK))


def _block(number: int) -> pa.RecordBatch:
    rng = np.random.default_rng(number)
    texts = _texts(rng, BLOCK)
    kinds = rng.choice([*SHARES, "text"], BLOCK, p=[*SHARES.values(), 1 - sum(SHARES.values())])
    notices = _texts(np.random.default_rng(1 << 40), 40)
    hosts = (rng.pareto(0.7, BLOCK) * 4).astype(np.int64) % HOSTS  # a few hosts have most of the texts
    urls = [f"https://www.host{host:03d}.example/{number:05d}/{row}.html" for row, host in enumerate(hosts.tolist())]
    out: list[str | None] = []
    for row, (text, kind) in enumerate(zip(texts, kinds.tolist(), strict=True)):
        earlier = int(rng.integers(row)) if row else 0
        if kind == "copy" and row:
            out.append(out[earlier])
        elif kind == "near" and row and (before := out[earlier]):
            out.append(_changed(before, rng))
        elif kind == "again" and row:
            urls[row] = urls[earlier]
            out.append(text)
        elif kind == "notice":
            out.append(notices[row % len(notices)])
        elif kind == "listed":
            out.append("\n".join(text.replace(".", "").split()[:60]))
        elif kind == "short":
            out.append(" ".join(text.split()[:6]))
        else:
            out.append(None if kind == "none" else text)
    return pa.record_batch([pa.array(urls), pa.array(out, pa.string())], schema=SCHEMA)


def _changed(text: str, rng: np.random.Generator) -> str:
    words = text.split(" ")
    for place in rng.integers(len(words), size=max(1, round(len(words) * 0.03))).tolist():
        words[place] = _name(rng)
    return " ".join(words)


def _name(rng: np.random.Generator) -> str:
    drawn = rng.integers(len(_SYLLABLES), size=int(rng.integers(2, 5)))
    return "".join(_SYLLABLES[i] for i in drawn.tolist()).capitalize()


@cache
def _chain() -> tuple[npt.NDArray[np.object_], I64, I64, I64]:
    """(distinct words, starts, counts, followers): word i is followed by one of followers[starts[i] :][: counts[i]]."""
    words = [word for article in library()[0] for word in article.text.split()]
    names = sorted(set(words))
    place = {word: i for i, word in enumerate(names)}
    codes = np.array([place[word] for word in [*words, words[0]]])  # so that every word is followed by one
    first, following = codes[:-1], codes[1:]
    order = np.argsort(first, kind="stable")
    counts = np.bincount(first, minlength=len(names))
    return np.array(names, object), np.cumsum(counts) - counts, counts, following[order]


def _texts(rng: np.random.Generator, count: int) -> list[str]:
    """Texts of whole sentences, in paragraphs separated by blank lines."""
    names, starts, counts, following = _chain()
    steps = 2 * WORDS
    state = rng.integers(len(names), size=count)
    codes = np.empty((steps, count), np.int64)
    for step in range(steps):
        state = following[starts[state] + (rng.random(count) * counts[state]).astype(np.int64)]
        codes[step] = state
    lengths = np.clip(rng.lognormal(np.log(WORDS * 0.7), 0.4, count).astype(np.int64), 20, steps)
    named, broken = rng.random((count, steps)) < 1 / 12, rng.random((count, steps)) < 0.3
    longest = rng.integers(8, 24, (count, steps))
    return [
        _prose(names[codes[:n, row]].tolist(), named[row].tolist(), broken[row].tolist(), longest[row].tolist(), rng)
        for row, n in enumerate(lengths.tolist())
    ]


def _prose(
    words: list[str], named: list[bool], broken: list[bool], longest: list[int], rng: np.random.Generator
) -> str:
    """Words as sentences. named: words to replace by a name; broken: after which end of a sentence a paragraph ends;
    longest: words of a sentence that begins there, after which it ends.
    """
    out, begin = "", 0
    for place, word in enumerate(words):
        if place == begin:
            word = word[0].upper() + word[1:]
        ends = word.endswith((".", "!", "?"))
        if named[place] and not ends:
            word = _name(rng)
        if not ends and (place - begin >= longest[begin] or place == len(words) - 1):
            word, ends = word.rstrip(",;:") + ".", True
        out += word
        if place < len(words) - 1:
            out += "\n\n" if ends and broken[place] else " "
        begin = place + 1 if ends else begin
    return out
