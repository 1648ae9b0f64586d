"""A run as a webdataset pipeline: every sample of the manifest's shards, decoded, and what it says where there are
none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import shards
from shards import manifest, tar
from shards.manifest import ManifestError
from shards.store import Store
from tests.shards import made

webdataset = pytest.importorskip("webdataset")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made.run(tmp_path_factory.mktemp("a run {0..2}"), {"interleaved": [5, 4], "pairs": [3], "ocr": [2]})
    stray = folder / "shards" / "interleaved" / "train-000009.tar"  # a shard that no manifest names does not exist
    stray.write_bytes((folder / "shards" / "interleaved" / "train-000000.tar").read_bytes())
    return folder


def keys(run: Path, config: str) -> list[str]:
    """By a scan of the named shards with our own reader."""
    out = []
    for shard in manifest.read(Store(run)).shards(config, "train"):
        with open(run / shard.path, "rb") as f:
            out += [key for key, _ in tar.groups(tar.scan(f, shard.path), shard.path)]
    return out


def test_interleaved_samples_in_order(run: Path) -> None:
    samples = list(shards.as_webdataset(run, "interleaved"))
    assert [s["__key__"] for s in samples] == keys(run, "interleaved")
    images = 0
    for sample in samples:
        texts, names = sample["json"]["texts"], sample["json"]["images"]
        for text, name in zip(texts, names, strict=True):
            assert (text is None) != (name is None)
        sizes = [sample[name].size for name in names if name is not None]
        assert sizes == [(m["width"], m["height"]) for m in sample["json"]["image_meta"]]
        images += len(sizes)
    assert len(samples) == 9 and images > 5


@pytest.mark.parametrize(("config", "text"), [("pairs", "caption"), ("ocr", "text")])
def test_one_image_and_its_text(run: Path, config: str, text: str) -> None:
    samples = list(shards.as_webdataset(str(run), config))
    assert [s["__key__"] for s in samples] == keys(run, config)
    for sample in samples:
        assert sample["txt"] == sample["json"][text]
        assert sample["jpg"].size == (sample["json"]["width"], sample["json"]["height"])


def test_its_own_methods_and_options(run: Path) -> None:
    raw = next(iter(shards.as_webdataset(run, "pairs", decode=None)))
    assert raw["jpg"][:2] == b"\xff\xd8" and json.loads(raw["json"])["caption"] == raw["txt"].decode()
    pixels, caption = next(
        iter(shards.as_webdataset(run, "pairs", decode="rgb8", shardshuffle=2).shuffle(10).to_tuple("jpg", "txt"))
    )
    assert pixels.shape[2] == 3 and isinstance(caption, str)


@pytest.mark.parametrize(
    ("config", "split", "line"),
    [
        (
            "interleave",
            "train",
            r"no shards of config 'interleave', split 'train'; there are interleaved \(train\); ocr \(train\); pairs \(train\)",
        ),
        ("pairs", "validation", r"no shards of config 'pairs', split 'validation'"),
    ],
)
def test_what_is_not_there_is_named(run: Path, config: str, split: str, line: str) -> None:
    with pytest.raises(ManifestError, match=line) as error:
        shards.as_webdataset(run, config, split)
    assert str(run) in str(error.value)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"{tmp_path}/nowhere/manifest.json: no such file"):
        shards.as_webdataset(tmp_path / "nowhere", "pairs")
    with pytest.raises(ManifestError, match="memory://run: webdataset opens local shards"):
        shards.as_webdataset("memory://run", "pairs")


def test_without_webdataset(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(
        ImportError, match=r"needs the package webdataset, of the extra `pipeline`: pip install 'panoramix\[pipeline\]'"
    ):
        shards.as_webdataset(run, "pairs")


def test_the_room_does_not_load_it() -> None:
    code = "import sys, shards, shards.loader; print('webdataset' in sys.modules, callable(shards.as_webdataset))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "True",
    ]
