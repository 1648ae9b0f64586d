"""Requests to an object store that a plan will make, counted from its parts and files, and what they cost.

The counts of each action (`_STEP`, `_TABLE`, `_ARROW` ...) are those of `pipelines.engine.storage` and s3fs. Their sum
is 0.9 to 1.3 times what a server saw (tests/pipelines/test_requests.py): files without rows get no name in the run's
folder, and are counted. What only the data can tell is not counted: a GET for each image
that is packed, one for each further 50 MB of a file that is read, and the heartbeat of the lock (about five requests
every ten seconds).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.engine.plan import keyed_tables
from pipelines.engine.run import State
from pipelines.engine.stage import Input, Step


@dataclass(frozen=True)
class Requests:
    put: int = 0  # also copies
    list: int = 0
    get: int = 0
    head: int = 0

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: int) -> "Requests":
        return Requests(*(n * times for n in vars(self).values()))

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    @property
    def dollars(self) -> float:
        return sum((PRICES[kind] * n for kind, n in vars(self).items()), 0.0) / 1000


#: dollars for 1,000 requests: S3 Standard in us-east-1, list prices of 2025 (aws.amazon.com/s3/pricing)
PRICES = {"put": 0.005, "list": 0.005, "get": 0.0004, "head": 0.0004}

_STEP = Requests(put=2, list=5, head=3)  # the driver: is it finished, what is committed, then the manifest
_FINISHED = Requests(list=2, get=2, head=1)  # a step that has nothing to run
_FILE = Requests(put=1)  # a table, a raw file or the record of a part
_TABLE = Requests(get=2, head=1)  # opening a Parquet file and reading it
_ARROW = Requests(get=3, head=1)  # opening a keyed table and reading the record batches of one range
#: the files that every run has once: manifest, report, lock ...
RUN = Requests(put=20, list=45, get=8, head=40)
_SHOWN = Requests(put=1, list=1, head=1)  # a copy of a committed file under its name in the run

_EXCHANGE_BYTES = 1 << 30  # of the inputs of a run, for each part of an exchange that reads what does not exist yet


def requests(
    steps: Sequence[Step], states: Sequence[State], partitions: int, input_bytes: int, shown: Mapping[str, int]
) -> dict[str, Requests]:
    """Step -> the requests that are left to do. `RUN` comes on top, once.

    shown: step -> number of its tables whose files get a name in the run (shards, ledger). input_bytes: of the raw
    inputs. A step that waits has the parts of the steps that it is aligned with; an exchange that waits, one part for
    each gigabyte of input.
    """
    keyed = keyed_tables(steps, partitions)
    raw = _raw_files(steps)
    parts: dict[str, int] = {}
    out: dict[str, Requests] = {}
    exchanges = max(1, min(partitions, input_bytes // _EXCHANGE_BYTES))
    for step, state in zip(steps, states, strict=True):
        aligned = [i for i in step.inputs.values() if i.how == "aligned"]
        waiting = sum(parts[n] for n in aligned[0].steps) if aligned else exchanges
        parts[step.name] = waiting if state.state == "waits" else state.parts
        if state.state in ("done", "recorded"):
            out[step.name] = _FINISHED
            continue
        left = parts[step.name] - state.done
        files = len(step.stage.tables) + len(raw[step.name]) + 1
        written = _FILE * (left * files) + _SHOWN * (left * shown.get(step.name, 0))
        out[step.name] = _STEP + written + _reads(step, left, parts, keyed) + _inputs(step, left)
    return out


def _reads(step: Step, parts: int, all_parts: Mapping[str, int], keyed: Mapping[str, Mapping[str, int]]) -> Requests:
    """Reading the tables of other steps. A part of an exchange opens the file of every part that it reads from."""
    total = Requests()
    for i in step.inputs.values():
        for parent in i.steps:
            one = _ARROW if i.table in keyed[parent] else _TABLE
            total += one * _files(i, parent, parts, all_parts)
    return total


def _files(i: Input, parent: str, parts: int, all_parts: Mapping[str, int]) -> int:
    if i.how == "paths":
        return 0
    return min(parts, all_parts[parent]) if i.how == "aligned" else parts * all_parts[parent]


def _inputs(step: Step, parts: int) -> Requests:
    """Reading raw files at URLs."""
    if step.rows is None or step.parents:
        return Requests()
    rows = step.rows({})
    tables = rows if isinstance(rows, list) else [rows]
    urls = sum("://" in path for table in tables for path in _paths(table))
    return _TABLE * min(urls, parts)


def _paths(table: pa.Table) -> list[str]:
    return table["path"].to_pylist() if "path" in table.schema.names else []


def _raw_files(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Step -> the raw files of its parts: those that its stage names in `raw_files`, and those that others read."""
    raw = {step.name: set(getattr(step.stage, "raw_files", ())) for step in steps}
    for i in (i for step in steps for i in step.inputs.values() if i.how == "paths"):
        for parent in i.steps:
            raw[parent].add(i.table)
    return raw
