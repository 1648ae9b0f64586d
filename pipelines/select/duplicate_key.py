"""Keys of documents by a function of the user's: documents with the same key are duplicates (dedup.sign)."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from filters.own import Document
from manifests.code import program_digests, resolve_import
from manifests.flat import texts
from manifests.stage import NO_ENGINE, Output, StageContext

KEYS = pa.schema([("duplicate_key", pa.string())])


@dataclass(frozen=True)
class DuplicateKeys:
    """Map: documents -> `keys` (KEYS), one row for each document; null where the function returns None.

    path: import path of a function of a `filters.own.Document`. A document for which it raises is quarantined.
    """

    path: str

    tables: ClassVar[Mapping[str, pa.Schema]] = {"keys": KEYS}

    def programs(self) -> dict[str, str]:
        return program_digests(self.path)

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        try:
            function = key_function(self.path)
        except ValueError as e:
            raise ImportError(str(e)) from e
        keys: list[str | None] = []
        columns = (batch[name].to_pylist() for name in ("url", "lang", "nodes"))
        with redirect_stdout(sys.stderr):
            for row, (text, url, lang, nodes) in enumerate(zip(texts(batch), *columns, strict=True)):
                key = function(Document(text, url, lang, tuple(nodes or ()))) if ctx(row) else None
                keys.append(None if key is None else str(key))
        yield "keys", pa.RecordBatch.from_arrays([pa.array(keys, pa.string())], schema=KEYS)


def key_function(path: str) -> Callable[[Document], Any]:
    """What an import path names. Raises ValueError, in one line, where that is no function."""
    function = resolve_import(path)
    if not callable(function):
        raise ValueError(f"`{path}` is not a function of a document")
    return function  # type: ignore[no-any-return]
