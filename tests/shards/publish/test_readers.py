"""Readers of other packages read the shards: every field is compared."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from shards import tar
from tests.shards import made
from tests.shards.publish.run import with_readers

#: the layout of each source
SOURCES = {
    "web": "interleaved",
    "web-de": "interleaved",
    "pairs": "pairs",
    "papers": "ocr",
    "docvqa": "conversations",
    "notes": "text",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"web": [7, 5], "web-de": [3], "pairs": [6], "papers": [4], "docvqa": [6], "notes": [5]}
    return with_readers(made.run(tmp_path_factory.mktemp("run"), counts, layouts=SOURCES))


def ours(run: Path, source: str) -> list[dict[str, Any]]:
    """Samples as {"__key__", part: bytes}, by the standard grouping of a scan."""
    out = []
    for path in sorted((run / "shards" / source).glob("*.tar")):
        data = path.read_bytes()
        for key, members in tar.groups(tar.scan(io.BytesIO(data), str(path)), str(path)):
            parts = {m.name.partition(".")[2]: data[m.offset : m.offset + m.size] for m in members}
            out.append({"__key__": key, **parts})
    return out


@pytest.mark.parametrize("source", SOURCES)
def test_webdataset_reads_every_part_of_every_sample(run: Path, source: str) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted((run / "shards" / source).glob("*.tar"))]
    raw = [
        {k: v for k, v in s.items() if k not in ("__url__", "__local_path__")}
        for s in webdataset.WebDataset(urls, shardshuffle=False)
    ]
    assert raw == ours(run, source)
    for sample, parts in zip(
        webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"), ours(run, source), strict=True
    ):
        assert sample["json"] == json.loads(parts["json"])
        for name in (name for name in parts if name.endswith("jpg")):
            assert np.array_equal(sample[name], np.asarray(Image.open(io.BytesIO(parts[name])).convert("RGB")))
        for name in sample["json"].get("images") or []:
            assert name is None or name in sample


def equal(row: dict[str, Any], parts: dict[str, Any]) -> None:
    assert row["__key__"] == parts["__key__"]
    assert row["json"] == json.loads(parts["json"])
    for name in (name for name in row if name not in ("__key__", "__url__", "json")):
        value = row[name]["bytes"] if isinstance(row[name], dict) else row[name]
        assert (value.encode() if isinstance(value, str) else value) == parts.get(name)
    assert set(parts) <= set(row)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = pytest.importorskip("datasets")
    module.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    module.disable_progress_bars()
    return module


def undecoded(datasets: Any, rows: Any) -> Any:
    for name, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_every_field_with_the_features_of_the_card(
    run: Path, datasets: Any, tmp_path: Path, source: str, streaming: bool
) -> None:
    card = yaml.safe_load((run / "README.md").read_text().split("---")[1])
    (info,) = [info for info in card["dataset_info"] if info["config_name"] == source]
    features = datasets.Features._from_yaml_list(info["features"])
    files = sorted(str(path) for path in (run / "shards" / source).glob("*.tar"))
    options: dict[str, Any] = {
        "split": "train",
        "features": features,
        "streaming": streaming,
        "cache_dir": str(tmp_path),
    }
    rows = undecoded(datasets, datasets.load_dataset("webdataset", data_files={"train": files}, **options))
    expected = ours(run, source)
    rows = list(rows)
    assert len(rows) == len(expected)
    for row, parts in zip(rows, expected, strict=True):
        equal(row, parts)


@pytest.mark.parametrize("source", SOURCES)
def test_datasets_loads_the_folder_by_its_card_with_the_stated_counts(
    run: Path, datasets: Any, tmp_path: Path, source: str
) -> None:
    rows = undecoded(datasets, datasets.load_dataset(str(run), source, split="train", cache_dir=str(tmp_path)))
    for row, parts in zip(rows, ours(run, source), strict=True):
        equal(row, parts)


def test_the_front_matter_of_the_card(run: Path) -> None:
    card = yaml.safe_load((run / "README.md").read_text().split("---")[1])
    assert [c["config_name"] for c in card["configs"]] == list(SOURCES)
    assert card["configs"][0]["default"] is True
    assert card["configs"][0]["data_files"] == [{"split": "train", "path": "shards/web/train-*.tar"}]
    assert card["size_categories"] == ["n<1K"]
    names = [f["name"] for f in card["dataset_info"][0]["features"]]
    assert names == ["__key__", "__url__", "json", "0.jpg", "1.jpg", "2.jpg"]
    (split,) = card["dataset_info"][0]["splits"]
    assert split["num_examples"] == 12


@pytest.mark.parametrize("source", SOURCES)
def test_the_files_for_energon_name_every_shard_with_its_samples(run: Path, source: str) -> None:
    meta = run / "shards" / source / ".nv-meta"
    info = json.loads((meta / ".info.json").read_text())
    split = yaml.safe_load((meta / "split.yaml").read_text())
    assert (
        list(info["shard_counts"])
        == split["split_parts"]["train"]
        == [p.name for p in sorted((run / "shards" / source).glob("*.tar"))]
    )
    assert split["split_parts"]["val"] == []
    for name, count in info["shard_counts"].items():
        assert (run / "shards" / source / f"{name}.idx").stat().st_size == 8 * (count + 1)
    kind = yaml.safe_load((meta / "dataset.yaml").read_text())
    assert kind["sample_type"]["__module__"] == "megatron.energon"
    assert set(kind.get("field_map", {}).values()) <= {"jpg", "txt"}


def test_the_sample_loader_for_energon_gives_texts_and_images_in_order(run: Path) -> None:
    code: dict[str, Any] = {}
    exec((run / "shards/web/.nv-meta/sample_loader.py").read_text(), code)
    for parts in ours(run, "web"):
        fields = json.loads(parts["json"])
        sequence = code["sample_loader"]({**parts, "json": fields})["sequence"]
        assert [item for item in sequence if isinstance(item, str)] == [
            text for text in fields["texts"] if text is not None
        ]
        assert [item for item in sequence if isinstance(item, bytes)] == [
            parts[f"{i}.jpg"] for i in range(fields["n_images"])
        ]
        assert all(code["part_filter"](part) for part in parts if part != "__key__")
