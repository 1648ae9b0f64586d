"""Damaged files of every kind: what stands before the damage is read, the rest is counted, nothing else is lost."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.stage import DirectContext, InputError
from pipelines.formats import lines
from pipelines.formats.pieces import INPUTS, pieces
from pipelines.formats.rows import FETCH, read
from pipelines.formats.texts import Texts
from tests.pipelines.html.test_stages import run

ROWS = [{"text": f"{i * 7919} é"} for i in range(60)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def piece(path: Path) -> dict[str, Any]:
    (one,) = pieces({"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""})
    return one


def rows_of(path: Path, content: bytes) -> list[Any]:
    path.write_bytes(content)
    found = list(read(piece(path)))
    assert [number for number, _ in found] == list(range(len(found)))
    return [row for _, row in found]


def members(contents: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, content in enumerate(contents):
            archive.writestr(f"{i}.jsonl", content)
    return file.getvalue()


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_wrong_checksum_costs_no_row(tmp_path: Path, ending: str, end: bytes) -> None:
    data = bytearray(PACK[ending](LINES.removesuffix(b"\n") + end))
    data[{".gz": -6, ".zst": -2, ".xz": -33}.get(ending, 10)] ^= 0xFF
    found = rows_of(tmp_path / f"a.jsonl{ending}", bytes(data))
    kept = len(ROWS) - (ending in (".bz2", ".zst") and not end)  # their check fails the last byte
    assert found[-1] == "file_broken" and found[:kept] == ROWS[:kept] and len(found) == kept + 1


@pytest.mark.parametrize("ending", PACK)
def test_what_is_no_data_behind_the_data_is_reported(tmp_path: Path, ending: str) -> None:
    packed = PACK[ending](LINES)
    assert rows_of(tmp_path / f"a.jsonl{ending}", packed + b"garbage!") == [*ROWS, "file_broken"]
    assert rows_of(tmp_path / f"a.jsonl{ending}", packed + packed) == ROWS * 2


def test_all_whole_rows_before_a_cut_are_kept(tmp_path: Path) -> None:
    data = gzip.compress(LINES)
    for end in (30, len(data) // 2, len(data) - 9, len(data) - 1):
        found = rows_of(tmp_path / "a.jsonl.gz", data[:end])
        assert found == [*ROWS[: len(found) - 1], "file_broken"]
    assert len(found) == len(ROWS) + 1


def test_a_broken_member_of_a_zip_costs_that_member(tmp_path: Path) -> None:
    halves = [LINES[: len(LINES) // 2].rpartition(b"\n")[0] + b"\n"]
    halves.append(LINES[len(halves[0]) :])
    first = halves[0].count(b"\n")
    data = bytearray(members([*halves, b'{"text": "last"}\n']))
    at = data.index(b"PK\x03\x04", 4)
    data[at + 14 : at + 18] = b"\0\0\0\0"  # its checksum, in the local header
    where = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[where + 16 : where + 20] = b"\0\0\0\0"
    assert rows_of(tmp_path / "a.zip", bytes(data)) == [*ROWS, "file_broken", {"text": "last"}]
    data[where + 8] |= 1  # encrypted
    data[at + 6] |= 1
    assert rows_of(tmp_path / "a.zip", bytes(data)) == [*ROWS[:first], "file_broken", {"text": "last"}]


def test_a_damaged_row_group_costs_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=20, compression="gzip", use_dictionary=False)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    for at in range(column.data_page_offset + 20, column.data_page_offset + 60):
        data[at] ^= 0xFF
    path.write_bytes(data)
    found = list(read(piece(path), rows=4))
    assert [row for _, row in found] == [*ROWS[:20], "file_broken", *ROWS[40:]]
    assert [number for number, _ in found] == [*range(21), *range(40, 60)]


def test_a_string_of_parquet_that_is_no_utf8_costs_its_row(tmp_path: Path) -> None:
    texts = pa.array([b"one", b"\xff\xfe", b"three"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    assert [row for _, row in read(piece(tmp_path / "a.parquet"))] == [{"text": "one"}, "bad_row", {"text": "three"}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_bad_line_costs_itself(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 64)
    make = (lambda text: b'{"a":"' + text + b'"}') if name == "a.jsonl" else (lambda text: text)
    texts = [b"good", b"caf\xe9", b"x" * 64, b"x" * 200, "line\u2028end".encode(), b"last"]
    head = b"" if name == "a.jsonl" else b"a\n"
    expected = [{"a": "good"}, "bad_row", "bad_row", "bad_row", {"a": "line\u2028end"}, {"a": "last"}]
    for end in (b"\n", b"\r\n"):
        assert rows_of(tmp_path / name, b"\xef\xbb\xbf" + head + end.join(map(make, texts))) == expected


def test_arrays(tmp_path: Path) -> None:
    path, half = tmp_path / "a.json", len(ROWS) // 2
    pasted = json.dumps(ROWS[:half]) + "\n" + json.dumps(ROWS[half:])
    assert rows_of(path, pasted.encode()) == ROWS
    damaged = json.dumps(ROWS, ensure_ascii=False).encode().replace("7919 é".encode(), b"7919 \xe9", 1)
    assert rows_of(path, damaged) == [ROWS[0], "bad_row", *ROWS[2:]]
    assert rows_of(tmp_path / "a.json.gz", gzip.compress(pasted.encode())[:-8] + b"\0" * 8) == [*ROWS, "file_broken"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (LINES.decode().encode("utf-16"), "UTF-16 or UTF-32 text; convert it to UTF-8"),
        (LINES.decode().encode("utf-16-le"), "UTF-16 or UTF-32 text; convert it to UTF-8"),
        (json.dumps({"data": ROWS}).encode(), r"one object holds the rows under 'data'; write the rows alone"),
        (json.dumps({"data": ROWS}, indent=1).encode(), "an object has several lines; write one object a line"),
        (b'{"words": "a"}\n{"words": "b"}\n', "no text column .* recipe key `text_column`"),
    ],
)
def test_a_file_that_is_no_file_of_rows_is_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.json: {line}") as e:
        run(Texts(), [piece(tmp_path / "a.json")], INPUTS)
    assert "\n" not in str(e.value)


class Watcher(DirectContext):
    """Notes the positions that it is told."""

    def __call__(self, row: int, sub: int = 0) -> bool:
        self.positions = [*getattr(self, "positions", []), sub]
        return super().__call__(row, sub)


def test_the_engine_is_told_of_each_row_and_a_crash_between_two_rows_costs_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    watcher = Watcher()
    run(Texts(limit=2), [piece(tmp_path / "a.jsonl")], INPUTS, watcher)
    assert watcher.positions[:4] == [FETCH, 0, FETCH + 1, 1]
    out = run(Texts(), [piece(tmp_path / "a.jsonl")], INPUTS, DirectContext(skip=frozenset({(0, FETCH + 10)})))
    assert len(out["documents"]) == 10
    assert [(r["reason"], r["provenance"]["offset"]) for r in out["refused"]] == [("file_broken", 10)]
    out = run(Texts(), [piece(tmp_path / "a.jsonl")], INPUTS, DirectContext(skip=frozenset({(0, 10)})))
    assert len(out["documents"]) == len(ROWS) - 1 and out["refused"] == []


def tar(rows: list[dict[str, str]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for i, row in enumerate(rows):
            info = tarfile.TarInfo(f"{i}.json")
            info.size = len(json.dumps(row))
            archive.addfile(info, io.BytesIO(json.dumps(row).encode()))
    return file.getvalue()


CONTENTS = {
    ".jsonl": LINES,
    ".json": json.dumps(ROWS).encode(),
    ".csv": b"text\n" + b"".join(b'"%d, words"\n' % i for i in range(60)),
    ".zip": members([LINES, LINES]),
    ".tar": tar(ROWS[:10]),
    **{f".jsonl{ending}": pack(LINES) for ending, pack in PACK.items()},
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CONTENTS)), st.data())
def test_flipped_and_cut_bytes_cost_no_row_before_them(
    tmp_path_factory: pytest.TempPathFactory, ending: str, data: st.DataObject
) -> None:
    """Every row of a damaged file is a row or a reason. Of lines, those before the damage are as they were."""
    content = bytearray(CONTENTS[ending])
    at = data.draw(st.integers(8, len(content) - 1))
    for i in range(at, min(len(content), at + data.draw(st.integers(1, 4)))):
        content[i] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(at, len(content))) :]
    path = tmp_path_factory.mktemp("any") / f"a{ending}"
    path.write_bytes(bytes(CONTENTS[ending]))
    whole = [row for _, row in read(piece(path))]
    found = rows_of(path, bytes(content))
    assert {type(row) for row in found} <= {dict, str}
    assert Counter(row for row in found if isinstance(row, str)).keys() <= {"bad_row", "file_broken"}
    if ending in (".jsonl", ".csv"):
        intact = bytes(content[:at]).count(b"\n") - (ending == ".csv")
        assert found[: max(0, intact)] == whole[: max(0, intact)]
    elif ending == ".json":
        intact = json.dumps(ROWS)[:at].count("}")
        assert found[:intact] == whole[:intact]
    else:  # a checksum, or the end of the file, tells of it
        assert found == whole or any(isinstance(row, str) for row in found) or ending in (".tar", ".zip")
