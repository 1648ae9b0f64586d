"""Files of rows by the endings of their names, opened as streams of decompressed bytes."""

import csv
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import fsspec
import pyarrow as pa
import zstandard

from manifests.stage import InputError
from pipelines.formats.decompress import STREAMS, buffered

#: kind of a file by its ending; a delimiter stands for a table of text
KINDS = {
    ".parquet": "parquet", ".jsonl": "json", ".json": "json", ".ndjson": "json", ".zip": "zip", ".tar": "tar",
    ".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t",
}  # fmt: skip
DELIMITERS = (",", "\t")
COMPRESSIONS = tuple(STREAMS)
#: endings of files of rows: Parquet and JSON
SUFFIXES = (".parquet", *(e + c for e in (".jsonl", ".json", ".ndjson") for c in ("", *COMPRESSIONS)))
#: endings of files whose rows are lines, so that a reader can begin in the middle
LINES = (".jsonl", ".ndjson", ".csv", ".txt", ".tsv", ".tab")

#: what decompressors and parsers raise for the contents of a file, beside some kinds of OSError
_OF_CONTENTS = (
    ValueError, ArithmeticError, LookupError, RuntimeError, TypeError, EOFError, pa.ArrowException, csv.Error,
    struct.error, zlib.error, lzma.LZMAError, zstandard.ZstdError, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip

BOM = b"\xef\xbb\xbf"
_BUFFER = 1 << 16  # bytes of a file that is not compressed


def file_kind(path: str) -> str:
    """A value of KINDS. Raises InputError for another ending."""
    stem = path.lower()
    for ending in COMPRESSIONS:
        stem = stem.removesuffix(ending)
    kind = next((kind for ending, kind in KINDS.items() if stem.endswith(ending)), None)
    if kind is None:
        raise InputError(f"{path}: not a .csv, .tsv, .jsonl, .json, .parquet, .zip or .tar file; rename or convert it")
    return kind


@contextmanager
def opened(path: str, kind: str) -> Iterator[io.BufferedReader]:
    """A file, decompressed as its ending says. For a damaged place see `decompress.Bytes`."""
    stream = next((STREAMS[ending] for ending in STREAMS if path.lower().endswith(ending)), None)
    if stream is None or kind == "zip":
        with fsspec.open(path, "rb") as f:
            yield io.BufferedReader(f, _BUFFER)
        return
    with ExitStack() as files:
        yield buffered(lambda: stream(files.enter_context(fsspec.open(path, "rb"))))


def check_encoding(head: bytes, path: str) -> None:
    """head: the first bytes of a file. Raises InputError for UTF-16 and UTF-32, with and without a mark."""
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
    if marked or (len(head) >= 4 and sorted((head[0] == 0, head[1] == 0)) == [False, True] and 0 in head[2:4]):
        raise InputError(
            f"{path}: UTF-16 or UTF-32 text; convert it to UTF-8, such as with `iconv -f UTF-16 -t UTF-8 FILE > NEW`"
        )


def of_contents(e: Exception) -> bool:
    """True where the contents of a file are at fault, and not the machine, the network or the program.

    bz2, gzip and Arrow raise an OSError without a number for damaged data.
    """
    if isinstance(e, OSError):
        return e.errno is None and not isinstance(e, (TimeoutError, ConnectionError))
    return isinstance(e, _OF_CONTENTS) and not isinstance(e, InputError)
