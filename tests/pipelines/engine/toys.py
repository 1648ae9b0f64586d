"""Small stages that behave well, badly and worse."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.at import At, anywhere
from manifests.schema import key64


@dataclass(frozen=True)
class Numbers:
    """Source: literal rows (start, stop) -> numbers."""

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[tuple[str, Any]]:
        for row in batch.to_pylist():
            n = list(range(row["start"], row["stop"]))
            yield "numbers", pa.record_batch({"n": pa.array(n, pa.int64())})


@dataclass(frozen=True)
class Score:
    """Aligned: one score a number; misbehaves where it is told to."""

    add: int = 0
    crash_at: int = -1
    raise_at: int = -1
    hang_at: int = -1
    eat_at: int = -1

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[tuple[str, Any]]:
        n = batch["n"].to_pylist()
        if self.crash_at in n:
            ctypes.string_at(0)
        if self.raise_at in n:
            raise ValueError(f"cannot score {self.raise_at}")
        if self.hang_at in n:
            time.sleep(60)
        if self.eat_at in n:
            held = []
            while True:
                held.append(bytearray(b"x" * (16 << 20)))
        yield "scores", pa.record_batch({"score": pa.array([x + self.add for x in n], pa.int64())})


@dataclass(frozen=True)
class Keys:
    """Map over numbers and scores: rows on their way to an exchange."""

    modulo: int = 10

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[tuple[str, Any]]:
        rows = [
            {"key": key64(str(n % self.modulo)), "group": n % self.modulo, "score": s, "part": at.part, "row": at.first + i}
            for i, (n, s) in enumerate(zip(batch["n"].to_pylist(), batch["score"].to_pylist(), strict=True))
            if s is not None
        ]
        yield "keyed", pa.RecordBatch.from_pylist(rows, schema=KEYED)


KEYED = pa.schema([("key", pa.uint64()), ("group", pa.int64()), ("score", pa.int64()), ("part", pa.int64()), ("row", pa.int64())])
HOMES = pa.schema([("key", pa.uint64()), ("row", pa.int64()), ("total", pa.int64())])


@dataclass(frozen=True)
class Sums:
    """Exchange: the sum of each group, on its way home to every row of it."""

    def __call__(self, tables: Mapping[str, pa.Table], at: At = anywhere) -> Iterator[tuple[str, Any]]:
        rows = tables["keyed"].to_pylist() if tables["keyed"].num_rows else []
        total: dict[int, int] = {}
        for r in rows:
            total[r["group"]] = total.get(r["group"], 0) + r["score"]
        out = [{"key": r["part"], "row": r["row"], "total": total[r["group"]]} for r in rows]
        yield "homes", pa.RecordBatch.from_pylist(out, schema=HOMES)


@dataclass(frozen=True)
class Home:
    """Exchange by part: the totals beside their numbers again."""

    def __call__(self, tables: Mapping[str, pa.Table], at: At = anywhere) -> Iterator[tuple[str, Any]]:
        total = {r["row"]: r["total"] for r in tables["homes"].to_pylist()}
        n = tables["numbers"]["n"].to_pylist()
        totals = [total.get(i) for i in range(len(n))]
        yield "totals", pa.record_batch({"n": pa.array(n, pa.int64()), "total": pa.array(totals, pa.int64())})
        yield "text", "".join(f"{x} {total.get(i)}\n" for i, x in enumerate(n)).encode()
