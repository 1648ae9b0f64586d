"""Further files of a run, written by a class of the user's: one file beside each shard.

The class is named by its import path. It is built with the recipe's arguments; its instances are called with the
samples of one shard and yield the bytes of one file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import fsspec
import pyarrow as pa

from manifests.code import program_digests, resolve_import
from manifests.stage import NO_ENGINE, InputError, Output, StageContext
from shards.sample import Sample, parse


class Writer(Protocol):
    """What a recipe's `outputs` name. suffix: of the files, with its dot."""

    suffix: str

    def __call__(self, samples: Iterable[Sample]) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class WriteOutput:
    """Exchange by part: `index` of a shard, and the path of its `tar` -> the raw file "output" of the writer's bytes.

    Raises what the writer raises, and InputError where it yields no bytes: a fault of its code stops the run.
    """

    source: str
    layout: str
    writer: str
    arguments: tuple[tuple[str, Any], ...] = ()

    tables: ClassVar[Mapping[str, pa.Schema]] = {}

    def programs(self) -> dict[str, str]:
        return program_digests(self.writer)

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        if not tables["index"].num_rows:
            return
        pieces = writer(self.writer, dict(self.arguments))(self._samples(tables, ctx))
        if not isinstance(pieces, Iterable):
            raise InputError(f"`{self.writer}` returns {type(pieces).__name__}; a writer yields bytes")
        for data in pieces:
            if not isinstance(data, bytes | bytearray | memoryview):
                raise InputError(f"`{self.writer}` yields {type(data).__name__}; a writer yields bytes")
            yield "output", bytes(data)

    def _samples(self, tables: Mapping[str, Any], ctx: StageContext) -> Iterator[Sample]:
        path = tables["tar"][ctx.part]
        with fsspec.open(path, "rb") as file:
            for row in tables["index"].select(["offset", "size", "n_images"]).to_pylist():
                file.seek(row["offset"])
                yield parse(self.source, self.layout, file.read(row["size"]), row["n_images"], path)


def writer(path: str, arguments: Mapping[str, Any]) -> Writer:
    """The writer that an import path names. Raises ValueError, in one line, where there is none."""
    try:
        built: Writer = resolve_import(path)(**arguments)
    except TypeError as e:
        raise ValueError(f"`{path}` cannot be built: {e}") from e
    if not callable(built) or not isinstance(getattr(built, "suffix", None), str):
        raise ValueError(f"`{path}` is no writer: it needs `suffix` (a string) and `__call__(samples)`")
    return built
