"""Small stages for the tests of the engine, some of which misbehave."""

import ctypes
import functools
import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import key64
from manifests.stage import NO_ENGINE, Output, StageContext

NUMBERS = pa.schema([("n", pa.int64())])
SCORES = pa.schema([("score", pa.int64())])
PAGES = pa.schema([("n", pa.int64()), ("page", pa.int64())])
KEYED = pa.schema(
    [("key", pa.uint64()), ("group", pa.int64()), ("score", pa.int64()), ("part", pa.int64()), ("row", pa.int64())]
)
SUMS = pa.schema([("key", pa.uint64()), ("row", pa.int64()), ("total", pa.int64())])
TOTALS = pa.schema([("n", pa.int64()), ("total", pa.int64())])
LINES = pa.schema([("n", pa.int64()), ("text", pa.string())])


@dataclass(frozen=True)
class Numbers:
    """Source: literal rows (start, stop) -> numbers."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"numbers": NUMBERS}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row in batch.to_pylist():
            n = list(range(row["start"], row["stop"]))
            yield "numbers", pa.record_batch({"n": pa.array(n, pa.int64())})


@dataclass(frozen=True)
class Score:
    """Map: one score for each number; it misbehaves at the number `bad`."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": SCORES}

    add: int = 0
    bad: int = -1
    how: str = "segv"
    hangs: str = ""  # a file that the stage creates when it hangs

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        n = batch["n"].to_pylist()
        if self.bad in n:
            self._misbehave()
        yield "scores", pa.record_batch({"score": pa.array([x + self.add for x in n], pa.int64())})

    def _misbehave(self) -> None:
        if self.how == "raise":
            raise ValueError(f"cannot score {self.bad}")
        memory = [bytearray(b"x" * (64 << 20)) for _ in range(16)] if self.how == "eat" else []
        if self.how == "segv":
            ctypes.string_at(0)
        if self.how in ("abrt", "bus"):
            os.kill(os.getpid(), {"abrt": signal.SIGABRT, "bus": signal.SIGBUS}[self.how])
        if self.how == "hang":
            open(self.hangs, "w").close()
        time.sleep(600 + len(memory))  # until the parent ends this process


@dataclass(frozen=True)
class Pages:
    """Map: three sub-rows for each row; it crashes at the sub-row `bad` (number, page)."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"pages": PAGES}

    bad: tuple[int, int]

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = []
        for i, n in enumerate(batch["n"].to_pylist()):
            for page in range(3):
                if ctx(i, page):
                    if (n, page) == self.bad:
                        ctypes.string_at(0)
                    rows.append({"n": n, "page": page})
        yield "pages", pa.RecordBatch.from_pylist(rows, schema=PAGES)


@dataclass(frozen=True)
class Keys:
    """Map over numbers and scores: rows with the key of their group, for an exchange."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"keyed": KEYED}

    modulo: int = 10

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        numbers = zip(batch["n"].to_pylist(), batch["score"].to_pylist(), strict=True)
        rows = [
            {
                "key": key64(str(n % self.modulo)),
                "group": n % self.modulo,
                "score": s,
                "part": ctx.part,
                "row": ctx.first + i,
            }
            for i, (n, s) in enumerate(numbers)
            if s is not None
        ]
        yield "keyed", pa.RecordBatch.from_pylist(rows, schema=KEYED)


@dataclass(frozen=True)
class Sums:
    """Exchange: the sum of each group, once for every row of the group, with the part of that row as its key."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"sums": SUMS}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = tables["keyed"].to_pylist()
        total: dict[int, int] = {}
        for r in rows:
            total[r["group"]] = total.get(r["group"], 0) + r["score"]
        out = [{"key": r["part"], "row": r["row"], "total": total[r["group"]]} for r in rows]
        yield "sums", pa.RecordBatch.from_pylist(out, schema=SUMS)


@dataclass(frozen=True)
class Join:
    """Exchange by part: the numbers beside the sums of their groups."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"totals": TOTALS}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        total = {r["row"]: r["total"] for r in tables["sums"].to_pylist()}
        n = tables["numbers"]["n"].to_pylist()
        totals = [total.get(i) for i in range(len(n))]
        yield "totals", pa.record_batch({"n": pa.array(n, pa.int64()), "total": pa.array(totals, pa.int64())})
        yield "text", "".join(f"{x} {total.get(i)}\n" for i, x in enumerate(n)).encode()


@dataclass(frozen=True)
class Lines:
    """Source: literal rows (rows, words, seed) -> that number of rows of text, in as many batches as it takes."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"lines": LINES}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        for row in batch.to_pylist():
            for first in range(0, row["rows"], 1000):
                n = range(first, min(first + 1000, row["rows"]))
                text = [" ".join([hashlib.sha256(f"{row['seed']}-{i}".encode()).hexdigest()] * row["words"]) for i in n]
                yield "lines", pa.record_batch({"n": pa.array(n, pa.int64()), "text": pa.array(text)})


@dataclass(frozen=True)
class Upper:
    """Map: text in, text out; rows whose number is a multiple of `drop` go to another table."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"kept": LINES, "gone": NUMBERS}

    drop: int = 3

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        numbers = batch["n"].to_pylist()
        rows = batch.take(pa.array([i for i, n in enumerate(numbers) if n % self.drop], pa.int64()))
        yield "kept", pa.record_batch({"n": rows["n"], "text": pc.utf8_reverse(rows["text"])})
        yield "gone", pa.record_batch({"n": pa.array([n for n in numbers if n % self.drop == 0], pa.int64())})


@dataclass(frozen=True)
class Model:
    """A stage with a model to load; it counts the loads in a file for each process."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": SCORES}

    folder: str

    def open(self) -> Any:
        with open(os.path.join(self.folder, str(os.getpid())), "a") as f:
            f.write("loaded\n")
        return functools.partial(self._score, 7)

    def _score(self, weight: int, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        yield "scores", pa.record_batch({"score": pa.array([weight * x for x in batch["n"].to_pylist()], pa.int64())})


@dataclass(frozen=True)
class World:
    """A recording: its output is different each time."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"seen": pa.schema([("n", pa.int64()), ("when", pa.int64())])}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        when = pa.array([time.time_ns()] * batch.num_rows, pa.int64())
        yield "seen", pa.record_batch({"n": batch["n"], "when": when})
        yield "blobs", os.urandom(16)


@dataclass(frozen=True)
class Remembering:
    """A recording of literal rows that reads the files of the recording before: it counts the refreshes."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {
        "seen": pa.schema([("n", pa.int64()), ("earlier", pa.list_(pa.int64()))])
    }

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        earlier = batch["earlier"][0].as_py() if "earlier" in batch.schema.names else []
        times = [int(Path(blob).read_bytes()) for _, blob in earlier]
        rows = {"n": batch["n"], "earlier": pa.array([times] * batch.num_rows, pa.list_(pa.int64()))}
        yield "seen", pa.record_batch(rows)
        yield "blob", str(max(times, default=0) + 1).encode()


@dataclass(frozen=True)
class BadSums:
    """An exchange that crashes, is killed or uses too much memory the first `times` times, counted in a folder."""

    tables: ClassVar[Mapping[str, pa.Schema]] = Sums.tables

    folder: str
    how: str
    times: int

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        path = os.path.join(self.folder, f"{ctx.part}")
        with open(path, "a") as f:
            f.write("x")
        if os.path.getsize(path) <= self.times:
            if self.how == "crash":
                ctypes.string_at(0)
            if self.how == "kill":
                os.kill(os.getpid(), 9)
            memory = [bytearray(b"x" * (64 << 20)) for _ in range(12)] if self.how == "memory" else []
            time.sleep(600 + len(memory))
        yield from Sums()(tables, ctx)
