"""The product at several sizes, on local processes or on a Ray cluster of two nodes: what grows, and how fast.

    python -m bench scale --texts 10000 100000 1000000 --on local --out /tmp/scale
    python -m bench scale --texts 10000 100000 --images 10000 100000 --on ray --out /tmp/scale

Texts are made by code (bench/_texts.py), in Parquet files of 100,000. Pictures are drawn by code when they are asked
for, by a server on loopback in this process (bench/_pictures.py). Each size is a complete run of the product. A row for
each stage, as in `bench whole`, and `growth`: the exponent with which its processor seconds grew from the size before
(1: linear; only where both took a second), and `peak growth`, the same of the largest memory.

The records of a size are kept as OUT/scale-ON-KIND-SIZE.json, and a size that has such a file is not run again. A run
that was interrupted goes on when the command is given again; its records then hold only what the last command did, and
`resumed` says so. The run's folder is removed when its records are written.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import _pictures, _run, _texts

TEXTS_A_FILE = 100_000
PORT = 47_113  # of the pictures: the same for each command, so that an interrupted run finds its addresses again

Row = dict[str, Any]


def arguments(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="*", default=[], help="sizes of runs of texts")
    parser.add_argument("--images", type=int, nargs="*", default=[], help="sizes of runs of image-text pairs")
    parser.add_argument("--on", choices=["local", "ray"], default="local")
    parser.add_argument("--workers", type=int, default=2, help="of the local backend; Ray has two nodes of one core")
    parser.add_argument("--out", type=Path, default=Path("/tmp"), help="folder for inputs, runs and records")
    return parser


def rows(options: argparse.Namespace) -> list[Row]:
    table: list[Row] = []
    options.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        on: list[str] = []
        for kind, sizes in (("texts", options.texts), ("images", options.images)):
            before: Row | None = None
            for size in sorted(sizes):
                records = options.out / f"scale-{options.on}-{kind}-{size}.json"
                if not records.exists():
                    on = on or stack.enter_context(_backend(options))
                    _measure(kind, size, on, options.out, records)
                times = json.loads(records.read_text())
                table += _with_growth(kind, times, before)
                before = times
    return table


@contextlib.contextmanager
def _backend(options: argparse.Namespace) -> Iterator[list[str]]:
    """The arguments of the command that choose where it runs."""
    if options.on == "local":
        yield ["--on", "local", "--workers", str(options.workers)]
        return
    from tests.pipelines.engine.cluster import cluster

    with cluster(2) as nodes:
        yield ["--on", nodes.address]


def _measure(kind: str, size: int, on: Sequence[str], out: Path, records: Path) -> None:
    folder = out / records.stem
    folder.mkdir(exist_ok=True)
    resumed = (folder / "run").exists()
    load = os.getloadavg()[0]
    with _pictures.served(PORT) if kind == "images" else contextlib.nullcontext():
        times = _run.product(folder, _source(kind, size, folder), on, **_more(kind))
    files = [path for path in (folder / "run").rglob("*") if path.is_file()]
    places = {(stat.st_dev, stat.st_ino): stat.st_size for stat in map(os.stat, files)}  # hard links count once
    about = {"kind": kind, "size": size, "resumed": resumed, "load": [load, os.getloadavg()[0]]}
    inputs = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    about |= {"disk_bytes": sum(places.values()), "input_bytes": inputs}
    records.write_text(json.dumps({**about, **times}, indent=1))
    shutil.rmtree(folder)


def _source(kind: str, size: int, folder: Path) -> dict[str, Row]:
    """The source of a run. Its files are made unless an earlier command made them."""
    if kind == "texts":
        for number in range(-(-size // TEXTS_A_FILE)):
            first = number * TEXTS_A_FILE
            _made(folder / f"texts-{number:04d}.parquet", _texts.write_parquet, min(TEXTS_A_FILE, size - first), first)
        return {"texts": _run.text_recipe(f"{folder}/texts-*.parquet")}
    _made(folder / "pictures.parquet", _pictures.write_list, size, PORT)
    return {"pairs": {"kind": "pairs", "urls": str(folder / "pictures.parquet")}}


def _more(kind: str) -> Row:
    """Keys of the recipe beside its sources. A server on loopback is one machine: it gets more requests than a host."""
    if kind == "texts":
        return {}
    return {"fetch": {"allow_private": [_pictures.LOOPBACK], "per_host": 8}}


def _made(path: Path, write: Any, *given: int) -> None:
    if not path.exists():
        write(path.with_suffix(".new"), *given)
        path.with_suffix(".new").rename(path)


def _with_growth(kind: str, times: Row, before: Row | None) -> list[Row]:
    """The rows of one size, with the exponents from the size before."""
    earlier = {row["stage"]: row for row in _run.stages(before)} if before else {}
    table = []
    for row in _run.stages(times):
        old = earlier.get(row["stage"], {})
        if before and old:
            ratio = math.log(times["size"] / before["size"])
            if min(old["cpu_s"], row["cpu_s"]) >= 1:
                row["growth"] = math.log(row["cpu_s"] / old["cpu_s"]) / ratio
            row["peak growth"] = math.log(row["peak_MB"] / old["peak_MB"]) / ratio
        table.append({"kind": kind, "size": times["size"], **row})
    return table
