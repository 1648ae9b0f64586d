"""The manifest: its required keys, and runs of version 1."""

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from manifests.runfiles import RunFiles
from shards import manifest, tar
from shards.loader import Loader, LoaderError
from shards.manifest import ManifestError
from shards.write import Pack
from tests.shards import made

ROW = {"path": "a.tar", "index": "a.parquet", "samples": 1, "bytes": 1, "sha256": "", "images": 0, "tokens": 2}
SOURCE = {"kind": "web", "layout": "interleaved", "tag": None, "splits": {"train": [ROW]}}
TOKENIZER = {"name": "bytes", "sha256": "0"}


def test_sources_have_a_kind_a_layout_a_tag_and_splits() -> None:
    empty = {**ROW, "samples": 0}
    sources = {"news": {**SOURCE, "tag": "clean", "splits": {"train": [ROW, empty], "validation": [empty]}}}
    parsed = manifest.parse({"version": 2, "sources": sources, "tokenizer": TOKENIZER}, "x")
    news = parsed.sources["news"]
    assert (news.kind, news.layout, news.tag, len(news.splits["train"])) == ("web", "interleaved", "clean", 2)
    assert [shard.path for shard in parsed.shards("news", "train")] == ["a.tar"]
    assert parsed.raw["sources"]["news"]["splits"]["train"] == [ROW, empty]
    assert parsed.shards("news", "validation") == parsed.shards("news", "test") == parsed.shards("web", "train") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "x: version 3; this code reads 1 and 2"),
        ({"version": 1}, "x: configs is absent or no mapping"),
        ({"version": 1, "configs": {"pears": {}}}, "x: configs.pears.layout is 'pears', not one of interleaved"),
        ({"sources": []}, "x: sources is absent or no mapping"),
        ({"sources": {"a": {**SOURCE, "layout": "square"}}}, "x: sources.a.layout is 'square', not one of interleaved"),
        ({"sources": {"a": {**SOURCE, "tag": 3}}}, "x: sources.a: kind is 'web' and tag 3"),
        ({"sources": {"a": {**SOURCE, "splits": {"train": {}}}}}, "x: sources.a.train is not a list of shards"),
        ({"sources": {"a": {**SOURCE, "splits": {"train": [{}]}}}}, "x: sources.a.train[0]: path is None"),
        (
            {"sources": {"a": {**SOURCE, "splits": {"train": [{**ROW, "path": "../a.tar"}]}}}},
            "x: sources.a.train[0]: path '../a.tar' leaves the folder",
        ),
        ({"tokenizer": {}}, "x: tokenizer needs name and sha256"),
    ],
)
def test_a_wrong_manifest_is_one_line_that_names_the_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest.parse({"version": 2, "sources": {"a": SOURCE}, "tokenizer": TOKENIZER, **change}, "x")
    assert message in str(caught.value)


def version_1(folder: Path) -> Path:
    """A run with the bytes of commit 8968b3d: the JSON of a sample has no layout, and its `source` is the kind."""
    sources: dict[str, Any] = {}
    for config in ("interleaved", "conversations"):
        nodes = [[made.text(made.prose(i, 9)), made.node("break"), made.text(made.prose(i + 1, 5))] for i in range(12)]
        documents = [made.document(f"{config}-{i}", nodes[i], []) for i in range(12)]
        row = made.shard(folder, Pack(config, config), documents, made.Blobs(folder), 0)
        index, data, new = pq.read_table(folder / row["index"]), (folder / row["path"]).read_bytes(), []
        for sample in index.to_pylist():
            key, members = tar.parse(data[sample["offset"] : sample["offset"] + sample["size"]], "x")
            fields = json.loads(members["json"])
            fields = {k: v for k, v in {**fields, "source": fields["kind"]}.items() if k not in ("kind", "layout")}
            encoded = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            new.append((key, tar.sample(key, [("json", encoded)])))
        rows, offset = index.to_pylist(), 0
        for sample, (_, content) in zip(rows, new, strict=True):
            sample |= {"offset": offset, "size": len(content), "config": config}
            offset += len(content)
        table = index.from_pylist(rows, index.schema).append_column("config", [[config] * len(rows)])
        pq.write_table(table.drop_columns(["kind", "layout", "source"]), folder / row["index"])
        data = b"".join(content for _, content in new) + tar.END
        (folder / row["path"]).write_bytes(data)
        sources[config] = {"train": [{**row, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]}
    made.manifest(folder, {})
    raw = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "configs": sources, "tokenizer": raw["tokenizer"]}))
    return folder


ENTRIES = {
    "interleaved": {"weight": 0.7, "sequence_length": 256},
    "conversations": {"weight": 0.3, "sequence_length": 256},
}
#: `Loader.state_dict` of commit 8968b3d after five batches of such a run, and the next four batches of that loader
STATE = {
    "version": 1,
    "seed": 0,
    "epoch": 1,
    "position": 5,
    "cursors": {"interleaved": [1, 0, 2], "conversations": [1, 0, 0]},
    "fingerprint": {
        "plan": 1,
        "block": 65536,
        "split": "train",
        "shards": "117f9dd458394705",
        "tokenizer": "4b5503625f6fe79e",
        "mixture_seed": 0,
        "batch_sequences": 2,
        "tokens_per_image": 64,
        "sources.interleaved": [0.7, 256, "drop"],
        "sources.conversations": [0.3, 256, "drop"],
    },
}
NEXT = [
    ("interleaved", [[7, 9, 10], [2, 5, 11]]),
    ("interleaved", [[0, 4, 10], [6, 8, 3]]),
    ("interleaved", [[11, 2, 1], [9, 5, 7]]),
    ("conversations", [[6, 11, 0], [8, 9, 4]]),
]


def test_a_run_of_version_1_loads_and_resumes_from_a_state_of_version_1(tmp_path: Path) -> None:
    run = version_1(tmp_path)
    keys = manifest.read(RunFiles(run))
    assert {name: (s.kind, s.layout, s.tag) for name, s in keys.sources.items()} == {
        "interleaved": ("web", "interleaved", None),
        "conversations": ("conversations", "conversations", None),
    }
    loader = Loader(run, {"batch_sequences": 2, "sources": ENTRIES})
    loader.load_state_dict(STATE)
    batches = list(islice(loader, 4))
    assert [(b.source, [[int(s.key) for s in q] for q in b.sequences]) for b in batches] == NEXT
    assert all((b.layout, s.source) == (b.source, b.source) for b in batches for q in b.sequences for s in q)
    assert {b.source for b in Loader(run, "sft", batch_sequences=4, epochs=1)} == {"conversations"}


def test_a_state_of_version_1_is_refused_by_a_run_whose_sources_have_other_names(tmp_path: Path) -> None:
    run = made.run(tmp_path, {"web": [12], "chats": [12]}, layouts={"web": "interleaved", "chats": "conversations"})
    loader = Loader(run, {"batch_sequences": 2, "sources": {"web": ENTRIES["interleaved"]}})
    with pytest.raises(LoaderError, match=r"shards was 117f9dd458394705, is .*; sources.interleaved was .*, is None"):
        loader.load_state_dict(STATE)
