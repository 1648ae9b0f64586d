"""Pieces of files: each row is in one piece, under the number that it has in the file."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.formats import pieces as dividing
from pipelines.formats.parquet import cut
from pipelines.formats.pieces import INPUTS, ByteRanges, has_ranges, pieces
from pipelines.formats.rows import read
from tests.pipelines.html.test_stages import run

Row = dict[str, Any]


def pieces_of(path: Path, n: int) -> list[Row]:
    """About `n` pieces of a file, with their ranges of bytes."""
    size = path.stat().st_size
    listed = pieces({"path": str(path), "file": path.name, "size": size, "changed": ""}, max(1, -(-size // n)))
    if has_ranges(listed[0]):
        ranges = run(ByteRanges(), listed[:1], INPUTS)["ranges"]
        assert len(ranges) == len(listed)
        return [piece | found for piece, found in zip(listed, ranges, strict=True)]
    return listed


def shares(path: Path, n: int) -> list[list[tuple[int, Any]]]:
    return [list(read(piece)) for piece in pieces_of(path, n)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_pieces_of_every_kind_of_file_have_each_row_once(tmp_path: Path, name: str) -> None:
    path, rows = tmp_path / name, [{"a": str(i), "b": f"{i * 7919} é"} for i in range(2000)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)  # one row group
    elif name == "a.json":
        path.write_text(json.dumps(rows))
    elif name.startswith("a.jsonl"):
        path.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    else:
        delimiter = "," if name == "a.csv" else "\t"
        path.write_text("\n".join(delimiter.join(row) for row in [["a", "b"], *(list(r.values()) for r in rows)]))
    found = shares(path, 5)
    assert len(found) == 5 and all(found)
    assert sorted((item for share in found for item in share), key=lambda item: item[0]) == list(enumerate(rows))


CELL = st.text(st.sampled_from('ab,"\n\r é\0'), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(CELL), st.sampled_from([".csv", ".tsv", ".jsonl"]), st.integers(2, 6))
def test_pieces_of_any_lines_are_the_rows_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], ending: str, n: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / f"a{ending}"
    path.write_bytes(("a,b\n" if ending == ".csv" else "a\tb\n").encode() + "".join(cells).encode() + b"\xff\n{}")
    whole = list(read(pieces_of(path, 1)[0]))
    assert [item for share in shares(path, n) for item in share] == whole
    assert [number for number, _ in whole] == list(range(len(whole)))


def test_a_row_of_several_lines_is_notcut(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("url,text\n" + "".join(f'{i},"a\n{i},""b""\n\n"\n' for i in range(100)))
    found = shares(path, 7)
    assert len(found) == 7 and all(found)
    expected = [(i, {"url": str(i), "text": f'a\n{i},"b"\n\n'}) for i in range(100)]
    assert [item for share in found for item in share] == expected


def test_a_json_array_under_the_name_of_lines_has_no_ranges(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.jsonl", [{"a": i} for i in range(1000)]
    path.write_text(json.dumps(rows))
    found = shares(path, 3)
    assert all(found) and sorted(n for share in found for n, _ in share) == list(range(1000))


def test_a_broken_file_is_reported_by_one_of_its_pieces(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.jsonl.gz", [{"a": f"{i * 7919}"} for i in range(2000)]
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    for content in (data[: len(data) // 2], b"no gzip at all", data[:-8] + b"\0" * 8):
        path.write_bytes(content)
        found = sorted((item for share in shares(path, 4) for item in share), key=lambda item: item[0])
        assert [number for number, row in found if row == "file_broken"] == [len(found) - 1]
        assert [row for _, row in found[:-1]] == rows[: len(found) - 1]
    path = tmp_path / "a.csv"
    path.write_text('"a' * 100_000)
    assert [item for share in shares(path, 3) for item in share] == [(0, "file_broken")]


def test_pieces_of_parquet_begin_with_row_groups_that_are_near() -> None:
    def cuts(ends: list[int], n: int) -> list[int]:
        return [cut(ends, i, n) for i in range(n + 1)]

    assert cuts([100], 4) == [0, 25, 50, 75, 100]
    assert cuts([30, 60, 100], 2) == [0, 60, 100]
    assert cuts([10, 100], 2) == [0, 50, 100]
    assert cuts([], 3) == [0, 0, 0, 0]
    assert cuts([24, 51, 74, 100], 4) == [0, 24, 51, 74, 100]


def test_a_file_that_is_read_from_its_beginning_has_few_pieces() -> None:
    def count(name: str, size: int) -> int:
        return len(pieces({"path": name, "file": name, "size": size, "changed": ""}, 1000))

    counts: Mapping[str, int] = {name: count(name, 1_000_000) for name in ("a.jsonl", "a.json", "a.jsonl.GZ", "a.zip")}
    assert counts == {"a.jsonl": 1000, "a.json": 16, "a.jsonl.GZ": 32, "a.zip": 16}
    assert count("a.csv", 0) == 1 and count("a.csv", dividing.PIECE) == -(-dividing.PIECE // 1000)
