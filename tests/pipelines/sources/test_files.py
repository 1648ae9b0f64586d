"""The files that names, globs and folders of a recipe mean."""

from pathlib import Path

import fsspec
import pytest

from pipelines.sources.files import list_files


@pytest.fixture
def spark(tmp_path: Path) -> Path:
    """A folder as Spark writes it, with a partition and what an interrupted job left."""
    for name in (
        "part-0.parquet", "_SUCCESS", "_metadata", "_x.parquet", ".part-0.parquet.crc", "lang=de/part-1.parquet",
        "lang=de/_SUCCESS", "_temporary/0/part-2.parquet", ".hidden/part-3.parquet", "readme.txt",
    ):  # fmt: skip
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "out"


def names(found: list[dict[str, str]], folder: str) -> list[str]:
    return [row["path"].removeprefix(f"{folder}/") for row in found]


def test_what_stands_beside_the_data_is_passed_over(spark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["lang=de/part-1.parquet", "part-0.parquet"]
    assert names(list_files([str(spark)], (".parquet",)), str(spark)) == both
    assert names(list_files([f"{spark}/*"]), str(spark)) == ["part-0.parquet", "readme.txt"]
    assert names(list_files([f"{spark}/**/*.parquet"]), str(spark)) == both
    monkeypatch.chdir(spark / "lang=de")
    assert names(list_files(["../*.parquet"]), str(spark)) == ["part-0.parquet"]


def test_a_name_with_an_underscore_can_be_given(spark: Path) -> None:
    given = [f"{spark}/_x.parquet", f"{spark}/_m*", f"{spark}/_temporary/**/*.parquet", f"{spark}/.hidden"]
    found = names(list_files(given, (".parquet",)), str(spark))
    assert found == [".hidden/part-3.parquet", "_metadata", "_temporary/0/part-2.parquet", "_x.parquet"]


def test_folders_and_globs_of_a_url(spark: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.put(str(spark), "/spark-out", recursive=True)
    root, found = "memory://spark-out", "memory:///spark-out"
    both = ["lang=de/part-1.parquet", "part-0.parquet"]
    assert names(list_files([root], (".parquet",)), found) == both
    assert names(list_files([f"{root}/*.parquet"]), found) == ["part-0.parquet"]
    assert list_files([f"{root}/_x.parquet"], (".parquet",))[0]["path"] == f"{root}/_x.parquet"


def test_a_folder_with_nothing_but_marks_matches_no_file(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_bytes(b"")
    with pytest.raises(ValueError, match="matches no file"):
        list_files([str(tmp_path)], (".parquet",))


def test_a_store_that_does_not_answer_is_one_line() -> None:
    for name in ("http://127.0.0.1:9/a.jsonl", "http://127.0.0.1:9/folder"):
        with pytest.raises(ValueError, match=r"http://127.0.0.1:9/\w+(.jsonl)? cannot be read \(\w+: [^\n]*\)$"):
            list_files([name], (".jsonl",))
