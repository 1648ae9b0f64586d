import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards.publish.verify import KINDS, ReaderError, verify
from tests.shards import made

TAR = "shards/pairs/train-000001.tar"
INDEX = "index/pairs-train-000001.parquet"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("original"), {"pairs": [4, 5], "interleaved": [3]})


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


def test_an_undamaged_run_has_no_problem(run: Path) -> None:
    assert list(verify(run)) == []
    (run / "shards/pairs/.nv-meta").mkdir()
    (run / "shards/pairs/.nv-meta/split.yaml").write_text("")
    assert list(verify(run)) == []
    assert list(verify(run / TAR)) == []


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def recount(run: Path, **values: int) -> None:
    raw = json.loads((run / "manifest.json").read_text())
    raw["sources"]["pairs"]["splits"]["train"][1].update(values)
    (run / "manifest.json").write_text(json.dumps(raw))


def short_index(run: Path) -> None:
    pq.write_table(pq.read_table(run / INDEX).slice(1), run / INDEX)


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "a bit of an image": (lambda run: flip(run / TAR, 700), TAR, "damaged", "in sample 000001000000"),
    "a bit of the end": (lambda run: flip(run / TAR, -3), TAR, "damaged", "every sample of the index is unchanged"),
    "no shard": (lambda run: (run / TAR).unlink(), TAR, "missing", "5 samples"),
    "no index": (lambda run: (run / INDEX).unlink(), INDEX, "missing", TAR),
    "no offsets": (lambda run: (run / f"{TAR}.idx").unlink(), f"{TAR}.idx", "missing", TAR),
    "cut shard": (lambda run: cut(run / TAR, 3000), TAR, "truncated", "complete samples: 4 of 5"),
    "grown shard": (
        lambda run: (run / TAR).write_bytes((run / TAR).read_bytes() + b"\0"),
        TAR,
        "damaged",
        "bytes, not",
    ),
    "a bit of the offsets": (lambda run: flip(run / f"{TAR}.idx", 9), f"{TAR}.idx", "damaged", "offsets"),
    "cut offsets": (lambda run: cut(run / f"{TAR}.idx", 8), f"{TAR}.idx", "damaged", "5 samples"),
    "cut index": (lambda run: cut(run / INDEX, 9), INDEX, "damaged", "Parquet"),
    "a row less": (short_index, INDEX, "count", "samples come to 4, the manifest says 5"),
    "a wrong count": (lambda run: recount(run, samples=6), TAR, "count", "5 samples, the manifest says 6"),
    "a wrong image count": (
        lambda run: recount(run, images=9),
        INDEX,
        "count",
        "images come to 5, the manifest says 9",
    ),
    "an extra file": (
        lambda run: (run / "shards/pairs/notes.txt").write_text(""),
        "shards/pairs/notes.txt",
        "extra",
        "does not name",
    ),
    "no manifest": (
        lambda run: (run / "manifest.json").unlink(),
        "manifest.json",
        "manifest",
        "it has no manifest.json",
    ),
    "a path outside": (
        lambda run: (run / "manifest.json").write_text((run / "manifest.json").read_text().replace(TAR, "../x.tar")),
        "manifest.json",
        "manifest",
        "leaves the folder",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_a_problem_that_names_the_file(run: Path, name: str) -> None:
    damage, path, kind, detail = DAMAGES[name]
    damage(run)
    problems = list(verify(run))
    assert any((p.path, p.kind) == (path, kind) and detail in p.detail for p in problems), [str(p) for p in problems]
    assert {p.path for p in problems} <= {path, INDEX, TAR}
    assert all(p.kind in KINDS for p in problems)


def test_every_flipped_byte_of_a_shard_is_a_problem(run: Path) -> None:
    good = (run / TAR).read_bytes()
    for at in range(0, len(good), 997):
        flip(run / TAR, at)
        assert [(p.path, p.kind) for p in verify(run)] == [(TAR, "damaged")]
        (run / TAR).write_bytes(good)


def test_the_index_of_another_shard_is_a_problem(run: Path) -> None:
    shutil.copy(run / "index/pairs-train-000000.parquet", run / INDEX)
    assert {(p.path, p.kind) for p in verify(run)} >= {(INDEX, "count"), (INDEX, "index")}


def test_the_sha256_of_an_index_is_checked_where_the_manifest_has_it(run: Path) -> None:
    recount(run, index_sha256="0" * 64)  # type: ignore[arg-type]
    assert [(p.path, p.kind) for p in verify(run)] == [(INDEX, "damaged")]


def test_the_structure_of_a_single_tar_is_checked(run: Path) -> None:
    cut(run / TAR, 2000)
    ((problem),) = verify(run / TAR)
    assert (problem.path, problem.kind) == ("train-000001.tar", "truncated")


def write_tar(path: Path, *samples: tuple[str, list[tuple[str, bytes]]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for key, parts in samples:
            for part, data in parts:
                member = tarfile.TarInfo(f"{key}.{part}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def test_webdataset_reads_the_same_samples(run: Path) -> None:
    pytest.importorskip("webdataset")
    assert list(verify(run, "webdataset")) == []
    assert list(verify(run / TAR, "webdataset")) == []
    cut(run / TAR, 3000)
    assert [(p.path, p.kind) for p in verify(run, "webdataset")] == [(TAR, "truncated")]  # not read a second time


@pytest.mark.parametrize(
    ("key", "parts", "detail"),
    [
        (
            "b",
            [("json", b"{}"), ("0.JPG", b"x")],
            "reads b with json, 0.jpg as sample 1, where there is b with json, 0.JPG",
        ),
        ("__b__/c", [("json", b"{}")], "reads no sample as sample 1, where there is __b__/c with json"),
        ("b", [("jpg", b"x"), ("JPG", b"y")], "cannot read it (ValueError: b.JPG: duplicate file name in tar file"),
    ],
)
def test_an_archive_that_webdataset_reads_otherwise_is_a_problem(
    tmp_path: Path, key: str, parts: list[tuple[str, bytes]], detail: str
) -> None:
    pytest.importorskip("webdataset")
    path = tmp_path / "x.tar"
    write_tar(path, ("a", [("json", b"{}")]), (key, parts))
    assert list(verify(path)) == []
    (problem,) = verify(path, "webdataset")
    assert (problem.path, problem.kind) == ("x.tar", "reader") and detail in problem.detail


def test_a_reader_that_is_not_installed_is_one_clear_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReaderError, match=r"^no reader 'numpy'; there is webdataset$"):
        list(verify(run, "numpy"))
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(ReaderError, match=r"needs the package webdataset, of the extra `pipeline`: pip install"):
        list(verify(run, "webdataset"))


def test_a_run_of_version_1_is_verified_with_its_own_index(run: Path) -> None:
    raw = json.loads((run / "manifest.json").read_text())
    configs = {name: source["splits"] for name, source in raw["sources"].items()}
    (run / "manifest.json").write_text(json.dumps({"version": 1, "configs": configs, "tokenizer": raw["tokenizer"]}))
    for path in (run / "index").iterdir():
        table = pq.read_table(path)
        name = path.name.partition("-")[0]
        table = table.append_column("config", pa.array([name] * table.num_rows)).drop_columns(["kind", "layout"])
        pq.write_table(table.set_column(table.schema.get_field_index("source"), "source", table["config"]), path)
    assert list(verify(run)) == []
    shutil.copy(run / "index/interleaved-train-000000.parquet", run / INDEX)
    assert {(p.path, p.kind) for p in verify(run)} >= {(INDEX, "index")}
