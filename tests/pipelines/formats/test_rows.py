"""The reader of rows: kinds of files, faults, and pieces of a file."""

import bz2
import contextlib
import gzip
import io
import itertools
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.stage import InputError
from pipelines.formats import rows as reader
from pipelines.formats.opened import SUFFIXES, file_kind
from pipelines.formats.pieces import PIECE, pieces
from pipelines.formats.rows import read

ROWS = [{"a": i, "b": f"{i * 7919} é"} for i in range(600)]


def zst(data: bytes) -> bytes:
    """The data in two Zstandard frames, as some tools write it."""
    half = len(data) // 2
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:]))


PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zst}


def write(path: Path, rows: list[Any]) -> Path:
    name, lines = path.name, "\n".join(map(json.dumps, rows)).encode()
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=50)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("one/a.jsonl", lines)
            archive.mkdir("two")
            archive.writestr("two/b.json", json.dumps(rows[:3]))
    elif ".tar" in name:
        with tarfile.open(path, "w:gz" if name.endswith(".gz") else "w") as archive:
            for i, row in enumerate(rows):
                info = tarfile.TarInfo(f"{i}.json")
                info.size = len(json.dumps(row))
                archive.addfile(info, io.BytesIO(json.dumps(row).encode()))
    else:
        ending = next(e for e in (".gz", ".bz2", ".xz", ".zst", "") if name.endswith(e))
        path.write_bytes(PACK[ending](json.dumps(rows).encode() if ".json." in f"{name}." else lines))
    return path


def rows_of(path: Path, size: int = PIECE, **options: Any) -> list[tuple[int, Any]]:
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return [item for part in pieces(file, size) for item in read(part, **options)]


@pytest.mark.parametrize("ending", [*SUFFIXES, ".tar", ".tar.gz"])
def test_every_kind_of_file_is_read(tmp_path: Path, ending: str) -> None:
    assert rows_of(write(tmp_path / f"a{ending}", ROWS)) == list(enumerate(ROWS))


def test_rows_of_all_members_of_a_zip_are_numbered_together(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path / "a.zip", ROWS)) == list(enumerate([*ROWS, *ROWS[:3]]))


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".json.gz", ".tar"])
def test_pieces_of_a_file_have_each_row_once(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / f"a{ending}", ROWS)
    monkeypatch.setattr(reader, "RUN", 16)
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    shares = [list(read(part)) for part in pieces(file, path.stat().st_size // 3)]
    assert (
        len(shares) > 2
        and all(shares)
        and sorted(itertools.chain(*shares), key=lambda r: r[0]) == list(enumerate(ROWS))
    )


@pytest.mark.parametrize("ending", [".parquet", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", ".json", ".tar.gz"])
def test_a_truncated_file_is_broken(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a{ending}", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    rows = rows_of(path)
    assert rows[-1] == (len(rows) - 1, "file_broken")
    assert [row for _, row in rows[:-1] if row != "bad_row"] == ROWS[: sum(row != "bad_row" for _, row in rows[:-1])]


@pytest.mark.parametrize("ending", [".parquet", ".zip", ".tar", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", ".json"])
def test_bytes_of_another_kind_are_a_broken_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"[\xff\xfe" * 500)
    assert rows_of(path) == [(0, "file_broken")]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        (" \n\n", []),
        ("[]", []),
        ("\ufeff[ ]\n", []),
        ('\ufeff{"a": 1}\n\n2\n{"a"', [{"a": 1}, "bad_row", "bad_row"]),
        ('[{"a": 1}, 2,\n{"a": 3}]\n', [{"a": 1}, "bad_row", {"a": 3}]),
        ('[{"a": 1}]\n{"a": 2}', [{"a": 1}, "file_broken"]),
        ('[{"a": 1}, {"a"', [{"a": 1}, "file_broken"]),
        ('{"a": "\\ud83d\\ude00"}\n{"a": "\\ud83d"}', [{"a": "\U0001f600"}, {"a": "?"}]),
        ('[{"a": "\\udc00"}]', [{"a": "?"}]),
        ("[" * 100_000, ["file_broken"]),
        ('{"a": ' + "[" * 100_000 + "\n" + '{"a": ' + "9" * 5000 + '}\n{"a": 1}', ["bad_row", "bad_row", {"a": 1}]),
    ],
    ids=range(12),
)
def test_rows_of_json(tmp_path: Path, text: str, rows: list[Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert rows_of(path) == list(enumerate(rows))


def test_columns_are_chosen_by_their_names(tmp_path: Path) -> None:
    calls = []

    def choose(names: Any, part: Any) -> list[str]:
        calls.append((part["file"], list(names)))
        return ["b"]

    write(tmp_path / "a.parquet", ROWS)
    (tmp_path / "a.csv").write_text('a,b\n1,"x, ""y"""\n2\n3,z,more\n')
    (tmp_path / "a.tsv").write_text('\ufeffa\tb\n1\t"x\n')
    write(tmp_path / "a.jsonl", ["no object", *ROWS])
    assert rows_of(tmp_path / "a.parquet", choose=choose)[:2] == [(0, {"b": "0 é"}), (1, {"b": "7919 é"})]
    assert rows_of(tmp_path / "a.csv", choose=choose) == [(0, {"b": 'x, "y"'}), (1, "bad_row"), (2, {"b": "z"})]
    assert rows_of(tmp_path / "a.tsv", choose=choose) == [(0, {"b": '"x'})]
    assert rows_of(tmp_path / "a.jsonl", choose=choose)[1] == (1, ROWS[0])
    assert calls == [(f"a.{kind}", ["a", "b"]) for kind in ("parquet", "csv", "tsv", "jsonl")]


def test_an_unknown_kind_of_file_is_one_line() -> None:
    with pytest.raises(InputError, match=r"a\.doc\.gz: not a \.csv, \.tsv"):
        file_kind("a.doc.gz")
    assert file_kind("s3://b/A.TSV.ZST") == "\t"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*SUFFIXES, ".csv", ".tsv", ".zip", ".tar", ".csv.zst"]))
def test_any_bytes_give_rows_or_reasons(tmp_path_factory: pytest.TempPathFactory, data: bytes, ending: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{ending}"
    pack = PACK.get(path.suffix, bytes)
    for content in (data, pack(data), b'[{"a":' + data, b"a\tb,c\n" + data):
        path.write_bytes(content)
        rows: list[tuple[int, Any]] = []
        with contextlib.suppress(InputError):  # UTF-16, or an object of several lines
            rows = rows_of(path)
        for number, (n, row) in enumerate(rows):
            assert n == number and (isinstance(row, dict) or row in ("bad_row", "file_broken"))
