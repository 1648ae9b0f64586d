"""Sources of pairs from tars with images: from the recipe to shards that the loader reads. No network is used."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from manifests.inspect import samples
from manifests.runfiles import RunFiles
from pipelines.cli import app
from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.recipe.load import parse, read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError
from shards.loader import Loader
from shards.publish.verify import verify
from tests.pipelines.image_tars import about, img2dataset, jpeg, sample, tar, url_of
from tests.pipelines.sources.test_conversations import ledger, served  # noqa: F401  a fixture
from tests.trainer.pictures import picture

Row = dict[str, Any]
MIXTURE: Row = {"sources": {"tars": {"weight": 1, "sequence_length": 512, "long": "chunk"}}, "batch_sequences": 1}
MIRROR = "https://mirror.example/0.jpg"
RULES = {"document": {"words": {"min": 1}}, "image": {"bytes": {"min": 1}}}


def recipe(folder: Path, sources: dict[str, Row], **more: Any) -> Path:
    path = folder / "recipe.yaml"
    tables = {name: {"kind": "pairs", "rules": RULES, **table} for name, table in sources.items()}
    path.write_text(yaml.safe_dump({"name": "test", "sources": tables, "mixtures": {}, "seed": 3, **more}))
    return path


def run_of(path: Path, workers: int = 2) -> tuple[Path, Row]:
    out = path.parent / "run"
    return out, execute(read(str(path)), str(out), on="local", workers=workers, progress=Progress(quiet=True))


def explain(run: Path, what: str) -> str:
    return CliRunner().invoke(app, ["explain", str(run), what]).stdout


def test_from_tars_to_the_loader(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    img2dataset(pool / "00000.tar", range(6))
    failed = [("f.json", about(90, status="failed_to_download"))]
    empty = [("e.jpg", b""), ("e.txt", b"a boat in a harbour")]
    bare = [("b.jpg", jpeg(50)), ("b.txt", picture(50)[1].encode())]
    mirror = [("m.jpg", jpeg(0)), ("m.txt", picture(0)[1].encode()), ("m.json", about(0, url=MIRROR))]
    tar(pool / "00001.tar.gz", [*sample(6), *failed, *empty, *bare, *sample(3), *mirror])
    (pool / "00000_stats.json").write_text("{}")
    path = recipe(tmp_path, {"tars": {"tars": f"{pool}/"}}, shards={"validation": 0})
    run, stats = run_of(path)
    numbers = stats["sources"]["tars"]
    assert numbers["refused"] == {"no_image": 1}
    assert numbers["dropped"] == {"empty": 1, "duplicate_pair": 1}
    assert numbers["samples"] == 9 and not stats["fetch"]["status"]
    assert list(verify(run)) == []
    read_back: dict[str, bytes] = {}
    for batch in Loader(run, MIXTURE, epochs=1):
        for sequence in batch.sequences:
            for one in sequence:
                text = next(part for part in one.parts() if isinstance(part, str))
                read_back[text] = one.images[0]
    assert set(read_back) == {picture(seed)[1] for seed in (*range(7), 50)}
    packed = {row["url"]: row for row in samples(RunFiles(str(run)), "tars", 20)}
    assert set(packed) == {*map(url_of, range(7)), MIRROR, f"pairs:{pool}/00001.tar.gz/b"}
    assert len({row["id"] for row in packed.values()}) == 9


def test_tars_and_a_list_in_one_source(tmp_path: Path, served: str) -> None:  # noqa: F811
    file = img2dataset(tmp_path / "a.tar", range(2))
    rows = [{"url": f"{served}/{seed}.jpg", "text": picture(seed)[1]} for seed in (5, 7)]
    # the address is dead, but the tar has the image of this pair
    rows.append({"url": url_of(1), "text": picture(1)[1]})
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = {"both": {"tars": str(file), "urls": str(tmp_path / "list.jsonl")}}
    fetch = {"allow_private": "127.0.0.0/8", "robots": False}
    run, stats = run_of(recipe(tmp_path, sources, shards={"validation": 0}, fetch=fetch))
    assert stats["sources"]["both"]["samples"] == 4 and stats["fetch"]["status"] == {"ok": 2}
    assert stats["sources"]["both"]["dropped"] == {"duplicate_pair": 1}
    captions = {row["caption"] for row in samples(RunFiles(str(run)), "both", 10)}
    assert captions == {picture(seed)[1] for seed in (0, 1, 5, 7)}
    assert list(verify(run)) == []


def test_explain_and_forget_a_sample(tmp_path: Path) -> None:
    bare = [("a b/c.jpg", jpeg(50)), ("a b/c.txt", picture(50)[1].encode()), ("d.jpg", jpeg(51))]
    file = tar(tmp_path / "a.tar", [*sample(0), *sample(1), *sample(2), *bare])
    run, _ = run_of(recipe(tmp_path, {"tars": {"tars": str(file)}}, shards={"validation": 0}))
    assert "kept" in explain(run, url_of(0)) and "kept" in explain(run, f"pairs:{file}/a b/c")
    assert "no_text" in explain(run, f"pairs:{file}/d") and "no_text" in explain(run, "a.tar/4")
    asked = [url_of(0), f"pairs:{file}/a b/c"]
    assert CliRunner().invoke(app, ["forget", str(run), *asked]).exit_code == 0
    left = {row["url"] for row in samples(RunFiles(str(run)), "tars", 10)}
    assert left == {url_of(1), url_of(2)}
    assert "forgotten" in explain(run, url_of(0))


def test_the_blocklists_of_hosts_cover_images_of_tars(tmp_path: Path) -> None:
    file = img2dataset(tmp_path / "a.tar", range(3))
    (tmp_path / "hosts.txt").write_text("site1.example\n")
    (tmp_path / "forget.txt").write_text("site2.example\n")
    sources = {"tars": {"tars": str(file), "blocklist": str(tmp_path / "hosts.txt")}}
    path = recipe(tmp_path, sources, shards={"validation": 0}, forget=str(tmp_path / "forget.txt"))
    _, stats = run_of(path)
    assert stats["sources"]["tars"]["dropped"] == {"blocked_host": 1, "forgotten": 1}


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"tars": "{}/list.csv"}, r"tars\.tars: .*list\.csv is not named as a tar \(\.tar, .* under `urls`$"),
        ({"tars": "{}/none"}, r"tars\.tars: .*none matches no file"),
        ({"tars": "{}/a.tar", "members": {"image": ["jpg"], "text": ".JPG"}}, r"tars\.members: the ending 'jpg' "),
        ({"tars": "{}/a.tar", "members": {"image": []}}, r"tars\.members\.image: "),
        ({"tars": "{}/a.tar", "members": {"images": ["jpg"]}}, r"tars\.members\.images: .*image"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, table: Row, line: str) -> None:
    (tmp_path / "list.csv").write_text("url,text\n")
    img2dataset(tmp_path / "a.tar", range(1))
    named = {**table, "tars": table["tars"].format(tmp_path)}
    with pytest.raises(RecipeError, match=line) as fault:
        resolve(parse({"name": "test", "sources": {"tars": {"kind": "pairs", **named}}}, "test"))
    assert "\n" not in str(fault.value)


def test_the_schema_shows_the_keys() -> None:
    table = json.loads(CliRunner().invoke(app, ["schema"]).stdout)["$defs"]["Members"]["properties"]
    assert {name: field["default"] for name, field in table.items()} == {
        "image": ["jpg", "jpeg", "png", "webp"], "text": ["txt", "caption"], "json": ["json"],
    }  # fmt: skip
