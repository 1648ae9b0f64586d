"""What steps and stages declare: tables, numbering after other steps, and fingerprints without the names of steps."""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from manifests.stage import NO_ENGINE, Output, StageContext
from pipelines.engine.gc import collect
from pipelines.engine.plan import PlanError
from pipelines.engine.run import Outcome, RunError, states
from pipelines.engine.stage import Step, aligned, broadcast, by_part, describe, paths, shuffle
from pipelines.engine.storage import Store

from .test_run import PARTS, ROWS, WORLD, files, go, plan
from .toys import NUMBERS, SCORES, Join, Keys, Numbers, Score, Sums, World

KEPT = pa.schema([("key", pa.uint64()), ("n", pa.int64())])


@dataclass(frozen=True)
class Choose:
    """Map: the numbers above a limit, as a table and as a keyed table; nothing is yielded if there are none."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"above": NUMBERS, "keyed": KEPT}

    limit: int
    fails: bool = False

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        if self.fails:
            raise ValueError("every row is bad")
        n = [x for x in batch["n"].to_pylist() if x > self.limit]
        if n:
            yield "above", pa.record_batch({"n": pa.array(n, pa.int64())})
            yield "keyed", pa.record_batch({"key": pa.array(n, pa.uint64()), "n": pa.array(n, pa.int64())})


@dataclass(frozen=True)
class Columns:
    """Exchange: the columns and the rows of each input."""

    tables: ClassVar[Mapping[str, pa.Schema]] = {"inputs": pa.schema([("line", pa.string())])}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        lines = [f"{name}: {t.schema.names} {t.num_rows}" for name, t in sorted(tables.items())]
        yield "inputs", pa.record_batch({"line": pa.array(lines)})


def _few(start: int = 0, parts: int = 2) -> Step:
    rows = [pa.table({"start": [p], "stop": [p + 1]}) for p in range(start, start + parts)]
    return Step(f"numbers{start}", Numbers(), rows=lambda outputs: rows)


def _columns(outcome: Outcome, root: pathlib.Path) -> list[str]:
    return list(outcome.outputs["columns"].read(Store(str(root)), "inputs")["line"].to_pylist())


@pytest.mark.parametrize("stage", [Choose(100), Choose(0, fails=True)], ids=["nothing yielded", "every row refused"])
def test_a_declared_table_has_its_columns_without_rows(tmp_path: pathlib.Path, stage: Choose) -> None:
    read = {"all": broadcast("above", "choose"), "keyed": shuffle("keyed", "choose")}
    steps = [
        _few(),
        Step("choose", stage, {"numbers": aligned("numbers", "numbers0")}),
        Step("columns", Columns(), read),
    ]
    outcome = go(tmp_path, steps)
    assert _columns(outcome, tmp_path) == ["all: ['n'] 0", "keyed: ['key', 'n'] 0"]
    assert [sorted(p.files) for p in outcome.outputs["choose"].parts] == [["above", "keyed"]] * 2
    assert len(outcome.outputs["choose"].quarantined) == 2 * stage.fails


def test_a_source_without_parts_has_the_declared_columns(tmp_path: pathlib.Path) -> None:
    steps = [_few(parts=0), Step("columns", Columns(), {"numbers": broadcast("numbers", "numbers0")})]
    outcome = go(tmp_path, steps)
    assert _columns(outcome, tmp_path) == ["numbers: ['n'] 0"]
    assert outcome.outputs["numbers0"].read(Store(str(tmp_path)), "numbers").schema == NUMBERS


@dataclass(frozen=True)
class WrongType(Score):
    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": pa.schema([("score", pa.float32())])}


@dataclass(frozen=True)
class OtherName(Score):
    tables: ClassVar[Mapping[str, pa.Schema]] = {"score": SCORES}


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (WrongType(), r"yields table 'scores' with the columns \['score: int64'\], and declares \['score: float'\]"),
        (OtherName(), "yields table 'scores', which it does not declare; it declares score"),
    ],
)
def test_output_that_is_not_declared_stops_the_run(tmp_path: pathlib.Path, stage: Score, line: str) -> None:
    with pytest.raises(RunError, match=line):
        go(tmp_path, [_few(), Step("score", stage, {"numbers": aligned("numbers", "numbers0")})])


@pytest.mark.parametrize(
    "step",
    [
        Step("reads", Columns(), {"scores": broadcast("scores", "numbers0")}),
        Step("reads", Choose(0), {"numbers": aligned("numbers", "numbers0")}, same_rows=("scores",)),
        Step("reads", Choose(0), {"numbers": aligned("numbers", "numbers0")}, adds_up={"numbers": ("scores",)}),
        Step("reads", Choose(0), {"numbers": aligned("numbers", "numbers0")}, count={"scores": ("score",)}),
    ],
)
def test_a_table_that_is_not_declared_is_a_fault_of_the_plan(tmp_path: pathlib.Path, step: Step) -> None:
    with pytest.raises(PlanError, match=r"'reads' names the table 'scores' of .*, whose stage declares [a-z]"):
        go(tmp_path, [_few(), step])


def test_parts_are_numbered_after_the_steps_that_a_step_follows(tmp_path: pathlib.Path) -> None:
    """Two sources of numbers share the exchange; each row finds the sum of its group over both sources."""
    steps = _two_sources()
    outcome = go(tmp_path, steps)
    assert [t.read(Store(str(tmp_path)), "totals")["total"].to_pylist() for t in _joined(outcome)] == [
        [0 + 2 + 4, 1 + 3, 0 + 2 + 4],
        [1 + 3, 0 + 2 + 4],
    ]
    # a change of the first source changes the numbers of the second one's parts
    again = go(tmp_path, [_few(0, 4), *steps[1:]])
    assert {"keys-b", "join-b"} <= again.parts.keys()
    assert go(tmp_path, [_few(0, 4), *steps[1:]]).parts == {}
    with pytest.raises(PlanError, match="'world' is recorded, so it cannot follow"):
        go(
            tmp_path,
            [*steps, replace(WORLD, inputs={"numbers": aligned("numbers", "numbers0")}, follows=("numbers3",))],
        )


def _two_sources() -> list[Step]:
    steps = [_few(0, 3), _few(3, 2)]
    follows: dict[str, tuple[str, ...]] = {"a": (), "b": ("numbers0",)}
    for name, numbers in (("a", "numbers0"), ("b", "numbers3")):
        n = aligned("numbers", numbers)
        steps.append(Step(f"score-{name}", Score(), {"numbers": n}, same_rows=("scores",)))
        inputs = {"numbers": n, "scores": aligned("scores", f"score-{name}")}
        steps.append(Step(f"keys-{name}", Keys(2), inputs, follows=follows[name]))
    steps.append(Step("sums", Sums(), {"keyed": shuffle("keyed", "keys-a", "keys-b")}))
    for name, numbers in (("a", "numbers0"), ("b", "numbers3")):
        inputs = {"sums": by_part("sums", "sums"), "numbers": aligned("numbers", numbers)}
        steps.append(Step(f"join-{name}", Join(), inputs, same_rows=("totals",), follows=follows[name]))
    return steps


def _joined(outcome: Outcome) -> list[Any]:
    return [outcome.outputs[name] for name in ("join-a", "join-b")]


def _renamed(steps: list[Step], **names: str) -> list[Step]:
    """The steps under other names."""
    name = lambda n: names.get(n, n)
    return [
        replace(
            s, name=name(s.name), inputs={k: replace(i, steps=tuple(map(name, i.steps))) for k, i in s.inputs.items()}
        )
        for s in steps
    ]


def _no_backend() -> Any:
    raise AssertionError("a backend was started")


def test_a_renamed_step_finds_its_output(tmp_path: pathlib.Path) -> None:
    first = go(tmp_path, plan())
    before = files(tmp_path)
    renamed = _renamed(plan(), numbers="rows", score="model", sums="totals")
    assert {s.state for s in states(renamed, str(tmp_path), 16)} == {"done"}
    outcome = go(tmp_path, renamed, _no_backend)
    assert outcome.parts == {}
    assert outcome.outputs["model"].folders == first.outputs["score"].folders
    assert files(tmp_path) == before
    stages = [{"node": n, "folders": o.folders} for n, o in outcome.outputs.items()]
    (tmp_path / "manifest.json").write_text(json.dumps({"stages": stages}))
    assert {item.why.partition(":")[0] for item in collect(str(tmp_path))} == {"the record of one part"}
    assert go(tmp_path, renamed, _no_backend).parts == {}


def test_a_renamed_recorded_step_keeps_its_record(tmp_path: pathlib.Path) -> None:
    steps = [plan()[0], WORLD]
    go(tmp_path, steps)
    refreshed = go(tmp_path, steps, refresh=["world"]).outputs["world"]
    renamed = [plan()[0], replace(WORLD, name="earth")]
    assert [s.state for s in states(renamed, str(tmp_path), 16)] == ["done", "recorded"]
    assert not (tmp_path / "stages" / "earth.json").exists()  # only a run writes
    assert go(tmp_path, renamed, _no_backend).outputs["earth"].folders == refreshed.folders
    record = json.loads((tmp_path / "stages" / "earth.json").read_bytes())
    assert record == json.loads((tmp_path / "stages" / "world.json").read_bytes())
    assert record["epoch"] == 1
    # other inputs now add a generation to the record under the new name
    more = replace(plan()[0], rows=lambda outputs: [pa.table({"start": [0], "stop": [1]})])
    folders = go(tmp_path, [more, renamed[1]]).outputs["earth"].folders
    assert folders[:1] == refreshed.folders
    assert len(folders) == 2


def test_two_steps_of_one_fingerprint_share_a_folder(tmp_path: pathlib.Path) -> None:
    """The second step waits until the first has finished, and has nothing to run."""
    numbers, score = plan()[:2]
    same = [numbers, score, replace(score, name="copy"), WORLD, replace(WORLD, name="earth")]
    outcome = go(tmp_path, same)
    assert outcome.parts == {"numbers": PARTS, "score": PARTS, "world": PARTS}
    for one, other in (("score", "copy"), ("world", "earth")):
        assert outcome.outputs[one].folders == outcome.outputs[other].folders
    assert outcome.outputs["copy"].rows("scores") == PARTS * ROWS
    assert (tmp_path / "stages" / "earth.json").exists()
    assert go(tmp_path, same, _no_backend).parts == {}


@dataclass(frozen=True)
class OldWorld(World):
    """A recorded stage whose class has moved since, and which has got a field."""

    stage_name: ClassVar[str] = "pipelines.worlds:World"

    speed: int = 3
    later: str = field(default="", metadata={"added": True})


def test_a_recording_of_the_first_layout_is_found(tmp_path: pathlib.Path) -> None:
    """The folder's name as the formula of the first layout made it, whatever the stage's class is called today."""
    rows = [pa.table({"n": [1, 2]})]
    folder = tmp_path / "stages" / "world-77f06c1a3d92"
    step = Step("world", OldWorld(), rows=lambda outputs: rows, recorded=True)
    assert folder.name == f"world-{_first_layout({'class': 'pipelines.worlds:World', 'speed': 3}, rows)}"
    go(tmp_path, [step])
    assert [p.name for p in folder.parent.glob("world-*")] == [folder.name]
    assert json.loads((folder.parent / "world.json").read_bytes()) == {"generations": [f"stages/{folder.name}"]}
    assert go(tmp_path, [replace(step, name="news.world")], _no_backend).parts == {}
    other = replace(step, stage=OldWorld(later="x"))
    assert go(tmp_path, [other]).parts == {"world": 1}


def _first_layout(stage: dict[str, Any], rows: list[pa.Table]) -> str:
    def name(*things: Any) -> str:
        return hashlib.blake2b(json.dumps(things, sort_keys=True).encode(), digest_size=6).hexdigest()

    texts = [json.dumps(t.to_pylist(), sort_keys=True, default=str).encode() for t in rows]
    return name(stage, name({"rows": [hashlib.blake2b(t, digest_size=16).hexdigest() for t in texts]}))


@dataclass(frozen=True)
class Second(Score):
    stage_version: ClassVar[int] = 2


def test_a_stage_is_described_by_name_version_and_fields() -> None:
    assert describe(Score(add=1)) == {"class": "Score", "add": 1, "bad": -1, "how": "segv", "hangs": ""}
    assert describe(Second())["class"] == "Second/2"
    assert describe(OldWorld()) == {"class": "pipelines.worlds:World", "speed": 3}
    assert describe(OldWorld(later="x")) == {"class": "pipelines.worlds:World", "speed": 3, "later": "x"}


def test_paths_are_numbered_over_several_steps(tmp_path: pathlib.Path) -> None:
    steps = _two_sources()
    steps.append(Step("columns", Numbered(), {"text": paths("text", "join-a", "join-b")}, follows=("numbers0",)))
    lines = _columns(go(tmp_path, steps), tmp_path)
    assert lines == ["part 3", "0: 0 6", "1: 1 4", "2: 2 6", "3: 3 4", "4: 4 6"]


@dataclass(frozen=True)
class Numbered(Columns):
    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        lines = [f"{part}: {pathlib.Path(path).read_text().strip()}" for part, path in tables["text"].items()]
        yield "inputs", pa.record_batch({"line": pa.array([f"part {ctx.part}", *lines])})
