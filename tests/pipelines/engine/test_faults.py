"""Full disks, folders without access, lost files, interrupted refreshes: nothing wrong is committed."""

import json
import os
import pathlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from manifests.runfiles import RunFilesError
from pipelines.engine.gc import collect
from pipelines.engine.lock import hold
from pipelines.engine.run import RunError
from pipelines.engine.stage import Step, aligned
from pipelines.engine.storage import SCRATCH, Store

from .stops import killed_after
from .test_run import PARTS, ROWS, WORLD, expected, files, go, plan, totals
from .toys import NUMBERS, BadSums, Model, Numbers, Remembering, Score


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_stops_the_run_and_more_room_resumes_it(tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    try:
        filler = disk / "filler"
        filler.write_bytes(os.urandom(200 << 10))
        with pytest.raises(
            RunError,
            match=rf"^[a-z]+, part \d: {disk / 'run'}[^\n]*: No space left on device; make room and run [^\n]*$",
        ):
            go(disk / "run", plan())
        assert not [
            f
            for s in (disk / "run" / "stages").glob("*/[0-9]*.json")
            for f in _named(disk / "run", s)
            if not f.exists()
        ]
        filler.unlink()
        outcome = go(disk / "run", plan())
        assert totals(disk / "run", outcome) == expected()
        assert not list((disk / "run").glob("tmp/*"))
        go(tmp_path / "clean", plan())
        assert _contents(disk / "run") == _contents(tmp_path / "clean")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _named(root: pathlib.Path, sidecar: pathlib.Path) -> list[pathlib.Path]:
    return [root / f["name"] for f in json.loads(sidecar.read_bytes())["files"].values()]


def _contents(root: pathlib.Path) -> dict[str, str]:
    """Without files that no record names: they do not exist for the engine."""
    hashes = files(root)
    named = {str(p.relative_to(root)) for s in (root / "stages").glob("*/[0-9]*.json") for p in [s, *_named(root, s)]}
    return {k: v for k, v in hashes.items() if k in named or k.endswith(("manifest.json", "parts.parquet"))}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=str(tmp_path / "file")):
        go(tmp_path / "file" / "run", plan())
    with pytest.raises(RunError, match=r"^/proc/run: No such file or directory$"):
        go("/proc/run", plan())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
def test_a_disk_that_is_read_only_is_named(tmp_path: pathlib.Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    try:
        with pytest.raises(
            RunError, match=rf"^{tmp_path}/run: Read-only file system; make it writable and run the same command again"
        ):
            go(tmp_path / "run", plan())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("how", ["gone", "short"])
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "interrupted"])
def test_a_committed_file_that_is_gone_or_short_is_named(tmp_path: pathlib.Path, how: str, finished: bool) -> None:
    go(tmp_path, plan())
    victim = next(tmp_path.glob("stages/score-*/00003-scores-*.parquet"))
    if not finished:
        (victim.parent / "manifest.json").unlink()
    if how == "gone":
        victim.unlink()
    else:
        os.truncate(victim, 20)
    with pytest.raises(
        RunError,
        match=f"{victim.name} was committed with .* bytes and is .*; remove {victim.parent.relative_to(tmp_path)}",
    ):
        go(tmp_path, plan())


def test_a_file_that_breaks_during_the_run_is_named(tmp_path: pathlib.Path) -> None:
    @dataclass(frozen=True)
    class Breaks:
        root: str

        def __call__(self, outputs: Any) -> list[pa.Table]:
            victim = next(pathlib.Path(self.root).glob("stages/numbers-*/00001-numbers-*.parquet"))
            data = bytearray(victim.read_bytes())
            data[-20:] = bytes(20)  # the length is the same: only a reader notices
            victim.write_bytes(data)
            return []

    steps = plan()
    steps.insert(1, Step("breaks", Numbers(), rows=Breaks(str(tmp_path)), after=("numbers",)))
    with pytest.raises(RunError, match=r"00001-numbers-.*parquet was committed and is broken"):
        go(tmp_path, [*steps[:2], replace(steps[2], after=("breaks",))])


def test_every_row_of_a_part_may_be_bad(tmp_path: pathlib.Path) -> None:
    go(tmp_path, _one_a_part(Score(bad=3)))
    outcome = go(tmp_path, _one_a_part(Score(bad=3)))
    scores = outcome.outputs["score"].read(Store(str(tmp_path)), "scores")["score"].to_pylist()
    assert scores == [0, 1, 2, None, 4, 5]
    assert [(p, q.row) for p, q in outcome.outputs["score"].quarantined] == [(3, 0)]


def _one_a_part(stage: Any) -> list[Step]:
    rows = pa.table({"start": list(range(6)), "stop": list(range(1, 7))})
    numbers = Step("numbers", Numbers(), rows=lambda outputs: rows)
    return [numbers, Step("score", stage, {"numbers": aligned("numbers", "numbers")}, same_rows=("scores",))]


def test_bytes_do_not_depend_on_how_a_bad_row_was_found(tmp_path: pathlib.Path) -> None:
    """The files are the same after a crash and after an exception."""
    go(tmp_path / "crash", plan(Score(bad=333)))
    go(tmp_path / "raise", plan(Score(bad=333, how="raise")))
    one, other = (
        {k.rpartition("/")[2]: v for k, v in files(tmp_path / d).items() if "00001-scores" in k}
        for d in ("crash", "raise")
    )
    assert one == other != {}


@pytest.mark.parametrize(
    ("how", "times", "survives"), [("crash", 2, True), ("memory", 2, True), ("kill", 2, True), ("crash", 3, False)]
)
def test_an_exchange_that_dies_is_tried_again(tmp_path: pathlib.Path, how: str, times: int, survives: bool) -> None:
    steps = plan()
    (tmp_path / "tries").mkdir()
    steps[3] = replace(
        steps[3], stage=BadSums(str(tmp_path / "tries"), how, times), memory=300 << 20, per_part=("rows", 2000)
    )
    if survives:
        assert totals(tmp_path / "run", go(tmp_path / "run", steps)) == expected()
    else:
        with pytest.raises(RunError, match="sums, part 0: crash: SIGSEGV, 3 times"):
            go(tmp_path / "run", steps)


def test_rows_must_add_up(tmp_path: pathlib.Path) -> None:
    numbers = plan()[0]
    upper = Step("upper", Halves(), {"lines": aligned("numbers", "numbers")}, adds_up={"lines": ("kept", "gone")})
    assert go(tmp_path, [numbers, upper]).outputs["upper"].rows("kept") == PARTS * ROWS / 2
    with pytest.raises(RunError, match="200 rows of 'lines' went in, 100 came out in kept and 0 are quarantined"):
        go(tmp_path / "other", [numbers, replace(upper, adds_up={"lines": ("kept",)})])


@dataclass(frozen=True)
class Halves:
    tables: ClassVar[Mapping[str, pa.Schema]] = {"kept": NUMBERS, "gone": NUMBERS}

    def __call__(self, batch: pa.RecordBatch, ctx: Any = None) -> Any:
        even = [n for n in batch["n"].to_pylist() if n % 2 == 0]
        odd = [n for n in batch["n"].to_pylist() if n % 2]
        yield "kept", pa.record_batch({"n": pa.array(even, pa.int64())})
        yield "gone", pa.record_batch({"n": pa.array(odd, pa.int64())})


def test_a_model_is_loaded_once_a_process(tmp_path: pathlib.Path) -> None:
    (tmp_path / "loads").mkdir()
    outcome = go(tmp_path / "run", plan(Model(str(tmp_path / "loads"))))
    assert {p.read_text() for p in (tmp_path / "loads").iterdir()} == {"loaded\n"}
    t = outcome.outputs["score"].read(Store(str(tmp_path / "run")), "scores")
    assert t["score"].to_pylist() == [7 * n for n in range(5 * ROWS)]


def test_an_interrupted_refresh_is_resumed(tmp_path: pathlib.Path) -> None:
    go(tmp_path, [plan()[0], WORLD])

    def seen() -> list[int]:
        output = go(tmp_path, [plan()[0], WORLD]).outputs["world"]
        return list(output.read(Store(str(tmp_path)), "seen")["when"].to_pylist())

    first = seen()
    assert seen() == first
    killed_after(2, tmp_path, "[plan()[0], WORLD]", "start=lambda: Local(1), refresh=['world']")
    folder = next(
        p.parent for p in tmp_path.glob("stages/world-*/00001.json") if not (p.parent / "manifest.json").exists()
    )
    kept = {p.name: p.read_bytes() for p in folder.glob("0000?.json")}
    assert len(kept) == 2
    # a second request does not throw away the parts of the first refresh
    again = go(tmp_path, [plan()[0], WORLD], refresh=["world"])
    assert again.parts["world"] == 3
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert not set(seen()) & set(first)


def test_a_refresh_gets_the_files_of_the_recording_before_it(tmp_path: pathlib.Path) -> None:
    def steps() -> list[Step]:
        return [
            Step(
                "world",
                Remembering(),
                rows=lambda outputs: [pa.table({"n": [i]}) for i in range(2)],
                recorded=True,
                earlier=("seen", "blob"),
            )
        ]

    def earlier(**more: Any) -> list[list[int]]:
        output = go(tmp_path, steps(), **more).outputs["world"]
        return list(output.read(Store(str(tmp_path)), "seen")["earlier"].to_pylist())

    assert earlier() == [[], []]
    assert earlier(refresh=["world"]) == [[1, 1], [1, 1]]
    assert earlier() == [[1, 1], [1, 1]]  # recorded: the earlier files are not in its fingerprint
    assert earlier(refresh=["world"]) == [[2, 2], [2, 2]]
    for blob in tmp_path.glob("stages/world-*/*blob*"):
        blob.unlink()
    for manifest in tmp_path.glob("stages/world-*/manifest.json"):
        manifest.unlink()
    assert earlier(refresh=["world"]) == [[], []]  # gc or a user has removed them


def test_a_run_removes_nothing_of_the_users(tmp_path: pathlib.Path) -> None:
    """A run in a folder that holds other things, such as `--out .`."""
    for name in ("tmp", "stages/mine", "lock.d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("the user's")
    go(tmp_path, plan())
    assert all((tmp_path / name / "file").exists() for name in ("tmp", "stages/mine", "lock.d"))
    assert not (tmp_path / SCRATCH).exists()


@pytest.mark.parametrize("root", ["/", "", ".", "//", "/usr/.."])
def test_the_root_of_the_disk_is_no_folder_of_a_run(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(RunError, match="a run needs a folder of its own"), hold(Store(root)):
        pass


def test_gc_removes_files_without_a_name_and_unused_stages(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunFilesError, match="no finished run"):
        collect(str(tmp_path))
    old = go(tmp_path, plan(modulo=7))
    new = go(tmp_path, plan())
    stages = [{"node": n, "folders": m.folders} for n, m in new.outputs.items()]
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": stages}))
    orphan = tmp_path / new.outputs["sums"].folders[0] / "00000-sums-0123456789.arrow"
    orphan.write_bytes(b"of an attempt that lost the race")
    (tmp_path / SCRATCH / "left").mkdir(parents=True)
    unfinished = tmp_path / "stages" / "earlier-0123456789ab"
    unfinished.mkdir()
    (unfinished / "00003.json").write_text("{}")
    removed = collect(str(tmp_path), dry_run=True)
    why = {item.name: item.why for item in removed}
    superseded, by = old.outputs["sums"].folders[0], new.outputs["sums"].folders[0]
    assert why[superseded] == f"superseded by {by} (finished)"
    assert why["stages/earlier-0123456789ab"] == (
        "the last finished run has no step earlier (unfinished: 1 parts are committed)"
    )
    assert why[str(orphan.relative_to(tmp_path))].startswith("no record names it")
    assert why[f"{by}/00000.json"].startswith("the record of one part")
    assert orphan.exists()
    assert collect(str(tmp_path)) == removed
    assert not orphan.exists() and not (tmp_path / SCRATCH).exists()
    assert not (tmp_path / old.outputs["sums"].folders[0]).exists()
    assert go(tmp_path, plan(), lambda: None).parts == {}
    assert totals(tmp_path, go(tmp_path, plan())) == expected()
    assert collect(str(tmp_path)) == []
