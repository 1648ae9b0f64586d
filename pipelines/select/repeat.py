"""How often the documents of each set are packed, and what share of the answers that makes.

Idefics2's fine-tuning mixture (arXiv 2405.02246, table 14) is a factor for each dataset: some are there four times, of
others a hundredth. A factor's whole part is copies of every document; its fraction, one more of the documents that a
hash of their id chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from manifests.schema import key64
from shards.tokens import Tokenizer

Row = dict[str, Any]

#: why a document is packed not even once
REASON = "sampled_out"
#: what one part packed of a set for training
SETS = pa.schema(
    [("name", pa.string()), ("documents", pa.int64()), ("samples", pa.int64()), ("answer_tokens", pa.int64())]
)


class Repeats:
    """Of one part. factors: of each set, which is the host of its documents' addresses
    (pipelines.formats.conversations). What is held out
    is there once."""

    def __init__(self, factors: Sequence[tuple[str, float]], seed: int, tokenizer: Tokenizer) -> None:
        self._factors, self._seed, self._tokenizer = dict(factors), seed, tokenizer
        self._sums = {name: [0, 0, 0] for name in self._factors}

    def factor(self, document: Row) -> float:
        return self._factors.get(urlsplit(document["url"]).netloc, 1.0) if self._factors else 1.0

    def of(self, selected: Row, split: str) -> list[Row]:
        """The document as often as it is packed, each copy at a place of its own in the shuffle."""
        factor = self.factor(selected)
        if split != "train" or not self._factors:
            return [selected]
        whole = int(factor)
        times = whole + (key64(f"repeat {self._seed} {selected['id']}") < (factor - whole) * 2**64)
        answers = [node["text"] for node in selected["nodes"] if node["role"] == "assistant"]
        tokens = int(self._tokenizer.count(answers).sum())
        sums = self._sums[urlsplit(selected["url"]).netloc]
        for i, more in enumerate((times > 0, times, times * tokens)):
            sums[i] += more
        return [
            {**selected, "key": key64(f"order {self._seed} {selected['id']} {n}")} if n else selected
            for n in range(times)
        ]

    def batch(self) -> pa.RecordBatch:
        """SETS."""
        return pa.RecordBatch.from_pylist(
            [dict(zip(SETS.names, (name, *sums), strict=True)) for name, sums in self._sums.items()], SETS
        )


def shares(made: pa.Table, factors: Sequence[tuple[str, float]]) -> list[Row]:
    """A row a set, the largest share of answer tokens first. made: SETS of all parts."""
    names = SETS.names[1:]
    rows = made.group_by("name").aggregate([(c, "sum") for c in names]).to_pylist() if made.num_columns else []
    found = {r["name"]: {c: r[f"{c}_sum"] for c in names} for r in rows}
    total = sum(r["answer_tokens"] for r in found.values()) or 1
    out = [{"name": n, "repeat": f, **found.get(n, dict.fromkeys(names, 0))} for n, f in factors]
    return sorted(({**r, "share": r["answer_tokens"] / total} for r in out), key=lambda r: (-r["share"], r["name"]))
