"""Scores of images in a complete run: computed once, used by rules, stored in the ledger, swept.

The images are those that the sample run has fetched.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.commands.sweep import sweep_run
from pipelines.recipe.load import read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import Recipe, RecipeError
from shards.publish.verify import verify
from tests.filters import models
from tests.pipelines.conftest import RECIPE, SampleRun, without_proxies

PLAIN = "side: 8, mean: [0, 0, 0], deviation: [1, 1, 1]"


@pytest.fixture
def run(sample_run: SampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleRun:
    """A copy of the sample run. Its fetched images are recorded, and a new request would fail."""
    without_proxies(monkeypatch)
    return SampleRun(sample_run.copy(tmp_path / "run"), sample_run.settings)


def again(run: SampleRun, *settings: str) -> SampleRun:
    execute(recipe(run, *settings), str(run.folder), on="local", workers=2)
    assert list(verify(run.folder)) == []
    return SampleRun(run.folder, run.settings)


def recipe(run: SampleRun, *settings: str) -> Recipe:
    return read(str(RECIPE), [*run.settings, *settings])


def folders(run: SampleRun, name: str) -> list[str]:
    """The folders of the steps whose names begin with `name`."""
    return sorted(f for s in run.manifest["stages"] if s["node"].startswith(name) for f in s["folders"])


def scores(run: SampleRun, name: str) -> list[dict[str, Any]]:
    files = [
        str(f)
        for folder in folders(run, name)
        for f in (run.folder / folder).glob("*scores*")
        if f.suffix in (".parquet", ".arrow")
    ]
    return [r for f in files for r in ds.dataset(f, format=Path(f).suffix[1:]).to_table().to_pylist()]


def when(run: SampleRun, names: list[str]) -> dict[str, int]:
    return {name: (run.folder / name / "manifest.json").stat().st_mtime_ns for name in names}


def test_pixel_scores_are_computed_once_and_used_by_a_rule(run: SampleRun) -> None:
    first = again(run, "web.rules.image.entropy.min=5", "images.pixels=true")
    fetched = {r["sha256"] for r in first.ledger("fetch", "outcomes") if r["sha256"]}
    measured = scores(first, "fetch.pixels")
    assert len(measured) == len({r["sha256"] for r in measured}) and {r["sha256"] for r in measured} == fetched
    assert all(0 <= r["entropy"] <= 8 and 0 <= r["solid"] <= 1 and r["blur"] >= 0 for r in measured)
    entropy = {r["sha256"]: r["entropy"] for r in measured}
    where = {r["url"]: r["sha256"] for r in first.ledger("fetch", "outcomes")}
    dropped = [r for r in first.ledger("web", "images") if r["reason"] == "entropy_low"]
    assert dropped and all(
        (r["score"], r["threshold"]) == (entropy[where[r["image"]]], 5) and r["score"] < 5 for r in dropped
    )
    kept = [m["sha256"] for d in first.packed("web") for m in d["image_meta"]]
    assert kept and all(entropy[s] >= 5 for s in kept)
    # some documents lost an image and were kept
    assert {d["id"] for d in first.packed("web")} & {r["id"] for r in dropped}
    assert [d["id"] for d in first.packed("pairs")] == [d["id"] for d in run.packed("pairs")]  # pairs have no such rule

    explanation = CliRunner().invoke(app, ["explain", str(first.folder), dropped[0]["image"]]).stdout
    assert f"dropped, entropy_low ({dropped[0]['score']:.4g}, limit 5)" in explanation

    _, what, current, rows = sweep_run(str(first.folder), "entropy=4..6:0.5")
    by = {r["threshold"]: r["kept_images"] for r in rows}
    assert (what.level, current) == ("image", 5) and by[4] > by[5] > by[6]
    assert by[4] - by[5] == sum(r["score"] >= 4 for r in dropped)

    before = when(first, folders(first, "fetch"))
    second = again(run, "web.rules.image.entropy.min=4")
    assert when(second, folders(second, "fetch")) == before
    assert len([r for r in second.ledger("web", "images") if r["reason"] == "entropy_low"]) == sum(
        r["score"] < 4 for r in dropped
    )


@pytest.mark.slow
def test_a_model_scores_each_image_once_and_may_drop_its_document(run: SampleRun, tmp_path: Path) -> None:
    model = models.image_model(tmp_path / "means.onnx")
    named = f"images.models=[{{name: redness, model: {model}, {PLAIN}}}]"
    first = again(
        run, named, "pairs.rules.image.redness={max: 0.7}", "web.rules.image.redness={max: 0.7, drops: document}"
    )
    score = {r["sha256"]: r["redness"] for r in scores(first, "fetch.model.redness")}
    hashes = {r["url"]: r["sha256"] for r in first.ledger("fetch", "outcomes")}
    for source in ("web", "pairs"):
        dropped = [r for r in first.ledger(source, "documents") if r["reason"] == "redness_high"]
        assert dropped and all(r["score"] > 0.7 and r["threshold"] == pytest.approx(0.7) for r in dropped)
        images = {r["id"]: r for r in first.ledger(source, "images") if r["reason"] == "redness_high"}
        assert all(score[hashes[images[r["id"]]["image"]]] == images[r["id"]]["score"] for r in dropped)
    assert all(score[m["sha256"]] <= 0.7 for d in first.packed("web") for m in d["image_meta"])
    before = when(first, folders(first, "fetch"))

    # The scores are recorded. Another threshold, or the same model in another place, scores no image again. Another
    # model has its own record.
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(Path(model).read_bytes())
    second = again(run, named.replace(model, str(moved)), "web.rules.image.redness={max: 0.9}")
    assert when(second, list(before)) == before and len(scores(second, "fetch.model.redness")) == len(score)
    third = again(run, named.replace("}]", ", column: 1}]"), "web.rules.image.redness={max: 0.9}")
    assert folders(third, "fetch.model") != folders(second, "fetch.model")


@pytest.mark.slow
def test_images_that_do_not_match_their_text_are_dropped(run: SampleRun, tmp_path: Path) -> None:
    """The captions of the image list name the colour of the picture."""
    halves = {
        "image_model": models.image_model(tmp_path / "i.onnx"), "text_model": models.text_model(tmp_path / "t.onnx"),
        "tokenizer": models.tokenizer(tmp_path / "tokenizer.json"),
    }  # fmt: skip
    setting = f"images.similarity={{{', '.join(f'{k}: {v}' for k, v in halves.items())}, tokens: 12, {PLAIN}}}"
    rules = [
        "pairs.rules.image.similarity.min=0.5",
        "pairs.rules.image.relevance_rank.max=7",
        "web.rules.image.similarity.min=0.1",
    ]
    first = again(run, setting, *rules)
    reasons = Counter(r["reason"] for r in first.ledger("pairs", "documents"))
    assert reasons["similarity_low"] > 5 and reasons["relevance_rank_high"] > 0 and reasons[None] > 20
    dropped = {r["id"]: r for r in first.ledger("pairs", "documents") if r["reason"] == "similarity_low"}
    assert all(0 <= r["score"] < 0.5 and r["threshold"] == 0.5 for r in dropped.values())
    assert all(
        {"red", "green", "blue", "grey"} & set(d["caption"].replace(",", "").lower().split())
        for d in first.packed("pairs")
    )
    assert "similarity_low" in {r["reason"] for r in first.ledger("web", "images")}
    name, what, current, rows = sweep_run(str(first.folder), "similarity=0.5..0.99:0.49", "pairs")
    assert (name, what.level, current) == ("pairs", "image", 0.5)
    assert rows[0]["kept_images"] > rows[1]["kept_images"]
    before = when(first, folders(first, "fetch") + folders(first, "pairs.text_vectors"))
    again(run, setting, *rules, "pairs.rules.image.similarity.min=0.4")
    assert when(first, list(before)) == before


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ["images.models=[{name: nsfw, model: /nowhere/x.onnx}]"],
            "images.models.0 (nsfw): model `/nowhere/x.onnx`: no such file",
        ),
        (["images.models=[{name: nsfw, model: MEANS, side: 9}]"], "images.models.0 (nsfw): model `"),
        (
            ["images.models=[{name: aspect, model: MEANS, side: 8}]"],
            "images.models.0 (aspect): there is a score 'aspect' already",
        ),
        (["images.models=[{name: nsfw, modle: MEANS}]"], "images.models.0.modle: no such key; did you mean `model`?"),
        (["images.model=[]"], "images.model: no such key; did you mean `models`?"),
        (["web.rules.image.nsfw.max=0.9"], "web.rules.image.nsfw: no such score"),
        (["web.rules.image.entropie.min=3"], "web.rules.image.entropie: no such score; did you mean `entropy`?"),
        (["web.rules.document.entropy.min=3"], "web.rules.document.entropy: no such score"),
        (
            ["web.rules.image.similarity.min=0.2"],
            "web.rules.image.similarity: nothing gives this score; name two models in images.similarity",
        ),
        (["images.similarity={image_model: MEANS, side: 8}"], "images.similarity.text_model: field required"),
        (
            ["images.models=[{name: nsfw, model: MEANS, side: 8}]", "web.rules.document.nsfw.max=1"],
            "web.rules.document.nsfw: a score of images; its rule goes under web.rules.image",
        ),
    ],
)
def test_a_wrong_setting_is_reported_in_one_line(tmp_path: Path, settings: list[str], line: str) -> None:
    model = models.image_model(tmp_path / "means.onnx") if any("MEANS" in s for s in settings) else ""
    (tmp_path / "pairs.csv").write_text("url,text\n")
    files = {"pairs.urls", "llava.files", "cauldron.files", "texts.files"}
    inputs = [f"{key}={tmp_path / 'pairs.csv'}" for key in sorted(files)]
    with pytest.raises(RecipeError) as error:
        resolve(read(str(RECIPE), [*inputs, *(s.replace("MEANS", model) for s in settings)]))
    assert line in str(error.value)
    assert "\n" not in str(error.value)
