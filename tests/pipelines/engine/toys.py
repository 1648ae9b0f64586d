"""Small stages that behave well, badly and worse."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import key64
from manifests.stage import NO_ENGINE, StageContext


@dataclass(frozen=True)
class Numbers:
    """Source: literal rows (start, stop) -> numbers."""

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        for row in batch.to_pylist():
            n = list(range(row["start"], row["stop"]))
            yield "numbers", pa.record_batch({"n": pa.array(n, pa.int64())})


@dataclass(frozen=True)
class Score:
    """Aligned: one score a number; misbehaves at the number it is told."""

    add: int = 0
    bad: int = -1
    how: str = "segv"
    hangs: str = ""  # a file that is made when it hangs

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        n = batch["n"].to_pylist()
        if self.bad in n:
            self._misbehave()
        yield "scores", pa.record_batch({"score": pa.array([x + self.add for x in n], pa.int64())})

    def _misbehave(self) -> None:
        if self.how == "raise":
            raise ValueError(f"cannot score {self.bad}")
        held = [bytearray(b"x" * (64 << 20)) for _ in range(16)] if self.how == "eat" else []
        if self.how == "segv":
            ctypes.string_at(0)
        if self.how in ("abrt", "bus"):
            os.kill(os.getpid(), {"abrt": signal.SIGABRT, "bus": signal.SIGBUS}[self.how])
        if self.how == "hang":
            open(self.hangs, "w").close()
        time.sleep(600 + len(held))  # until somebody sees it


@dataclass(frozen=True)
class Pages:
    """Map: three sub-rows of each row; crashes at the (number, page) it is told, if asked to make it."""

    bad: tuple[int, int]

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        made = []
        for i, n in enumerate(batch["n"].to_pylist()):
            for page in range(3):
                if ctx(i, page):
                    if (n, page) == self.bad:
                        ctypes.string_at(0)
                    made.append({"n": n, "page": page})
        yield "pages", pa.RecordBatch.from_pylist(made, schema=pa.schema([("n", pa.int64()), ("page", pa.int64())]))


@dataclass(frozen=True)
class Keys:
    """Map over numbers and scores: rows on their way to an exchange."""

    modulo: int = 10

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        rows = [
            {
                "key": key64(str(n % self.modulo)),
                "group": n % self.modulo,
                "score": s,
                "part": ctx.part,
                "row": ctx.first + i,
            }
            for i, (n, s) in enumerate(zip(batch["n"].to_pylist(), batch["score"].to_pylist(), strict=True))
            if s is not None
        ]
        yield "keyed", pa.RecordBatch.from_pylist(rows, schema=KEYED)


KEYED = pa.schema(
    [("key", pa.uint64()), ("group", pa.int64()), ("score", pa.int64()), ("part", pa.int64()), ("row", pa.int64())]
)
HOMES = pa.schema([("key", pa.uint64()), ("row", pa.int64()), ("total", pa.int64())])


@dataclass(frozen=True)
class Sums:
    """Exchange: the sum of each group, on its way home to every row of it."""

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        rows = tables["keyed"].to_pylist() if tables["keyed"].num_rows else []
        total: dict[int, int] = {}
        for r in rows:
            total[r["group"]] = total.get(r["group"], 0) + r["score"]
        out = [{"key": r["part"], "row": r["row"], "total": total[r["group"]]} for r in rows]
        yield "homes", pa.RecordBatch.from_pylist(out, schema=HOMES)


@dataclass(frozen=True)
class Home:
    """Exchange by part: the totals beside their numbers again."""

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        total = {r["row"]: r["total"] for r in tables["homes"].to_pylist()}
        n = tables["numbers"]["n"].to_pylist()
        totals = [total.get(i) for i in range(len(n))]
        yield "totals", pa.record_batch({"n": pa.array(n, pa.int64()), "total": pa.array(totals, pa.int64())})
        yield "text", "".join(f"{x} {total.get(i)}\n" for i, x in enumerate(n)).encode()


@dataclass(frozen=True)
class Lines:
    """Source: literal rows (rows, words, seed) -> so many rows of text, as many batches as it takes."""

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        for row in batch.to_pylist():
            for first in range(0, row["rows"], 1000):
                n = range(first, min(first + 1000, row["rows"]))
                text = [" ".join([hashlib.sha256(f"{row['seed']}-{i}".encode()).hexdigest()] * row["words"]) for i in n]
                yield "lines", pa.record_batch({"n": pa.array(n, pa.int64()), "text": pa.array(text)})


@dataclass(frozen=True)
class Upper:
    """Map: text in, text out; only rows whose number is no multiple of `drop`."""

    drop: int = 3

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        kept = [i for i, n in enumerate(batch["n"].to_pylist()) if n % self.drop]
        gone = [n for n in batch["n"].to_pylist() if n % self.drop == 0]
        chosen = batch.take(pa.array(kept, pa.int64()))
        yield "kept", pa.record_batch({"n": chosen["n"], "text": pc.utf8_reverse(chosen["text"])})
        yield "gone", pa.record_batch({"n": pa.array(gone, pa.int64())})


@dataclass(frozen=True)
class Model:
    """A stage with something to load: it counts how often that is done, in a file of its own for each process."""

    folder: str

    def open(self) -> Any:
        with open(os.path.join(self.folder, str(os.getpid())), "a") as f:
            f.write("loaded\n")
        return functools.partial(self._score, 7)

    def _score(self, weight: int, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        yield "scores", pa.record_batch({"score": pa.array([weight * x for x in batch["n"].to_pylist()], pa.int64())})


@dataclass(frozen=True)
class World:
    """A recording: what it writes is different each time."""

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        yield (
            "seen",
            pa.record_batch({"n": batch["n"], "when": pa.array([time.time_ns()] * batch.num_rows, pa.int64())}),
        )
        yield "blobs", os.urandom(16)


@dataclass(frozen=True)
class Remembering:
    """A recording of a source's rows that says which files it was given of the recording before: how many times they
    were made anew.
    """

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        earlier = batch["earlier"][0].as_py() if "earlier" in batch.schema.names else []
        times = [int(Path(blob).read_bytes()) for _, blob in earlier]
        yield (
            "seen",
            pa.record_batch({"n": batch["n"], "earlier": pa.array([times] * batch.num_rows, pa.list_(pa.int64()))}),
        )
        yield "blob", str(max(times, default=0) + 1).encode()


@dataclass(frozen=True)
class BadSums:
    """An exchange that does not live: it crashes, is killed or eats memory, as often as it is told, counting in a
    folder.
    """

    folder: str
    how: str
    times: int

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, Any]]:
        path = os.path.join(self.folder, f"{ctx.part}")
        with open(path, "a") as f:
            f.write("x")
        if os.path.getsize(path) <= self.times:
            if self.how == "crash":
                ctypes.string_at(0)
            if self.how == "kill":
                os.kill(os.getpid(), 9)
            held = [bytearray(b"x" * (64 << 20)) for _ in range(8)] if self.how == "memory" else []
            time.sleep(600 + len(held))
        yield from Sums()(tables, ctx)
