from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.hub import PublishError, publish
from tests.shards import made

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT.parent / "shared" / "hubserver" / "server.py"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.run(tmp_path / "run", {"interleaved": [3], "pairs": [4]})


def test_a_dry_run_lists_the_files_and_leaves_nothing_behind(run: Path) -> None:
    (run / "stages").mkdir()
    (run / "stages/private.txt").write_text("not to be published")
    before = sorted(run.rglob("*"))
    said: list[str] = []
    plan = publish(run, "me/demo", dry_run=True, say=said.append)
    shard = "shards/interleaved/train-000000.tar"
    expected = {"README.md", "manifest.json", shard, f"{shard}.idx", "index/interleaved-train-000000.parquet"}
    assert expected <= set(plan.files)
    assert not any("stages" in path for path in plan.files)
    assert "shards/pairs/.nv-meta/dataset.yaml" in plan.files
    assert said == [f"me/demo: {len(plan.files)} files, {plan.bytes:,} bytes"]
    assert sorted(run.rglob("*")) == before


def test_a_credential_is_not_published(run: Path) -> None:
    (run / "stats.json").write_text(json.dumps({"token": "hf_" + "a" * 34}))
    assert publish(run, "me/demo", dry_run=True).problems == ["stats.json: holds what looks like a credential (hf_aaaaa...)"]
    with pytest.raises(PublishError, match=r"not published: stats\.json"):
        publish(run, "me/demo", endpoint="http://127.0.0.1:9")


def test_a_run_with_a_missing_shard_is_not_published(run: Path) -> None:
    (run / "shards/pairs/train-000000.tar").unlink()
    with pytest.raises(PublishError, match=r"pairs/train-000000\.tar: the manifest names it"):
        publish(run, "me/demo", dry_run=True)
    assert not list(run.glob(".publish-*"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    if not SERVER.is_file():
        pytest.skip("needs the local Hub of ../shared/hubserver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "hub.log").open("w") as log:
        server = subprocess.Popen([sys.executable, str(SERVER), str(port)], stdout=log, stderr=log, cwd=SERVER.parent)
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/__state").read()
            break
        except OSError:
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait()


PUBLISH = """
import json, sys
from shards.hub import publish
done = publish(sys.argv[1], "me/demo", endpoint=sys.argv[2], token="t", **json.loads(sys.argv[3]))
print(json.dumps({"revision": done.revision, "files": done.files}))
"""

READ = """
import json, sys
from datasets import Image, load_dataset
rows = load_dataset("me/demo", "pairs", split="train", streaming=True).cast_column("jpg", Image(decode=False))
print(json.dumps([[row["__key__"], row["txt"], len(row["jpg"]["bytes"])] for row in rows]))
from shards.loader import Loader
mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 512}}, "batch_sequences": 4}
print(json.dumps(sorted(s.key for b in Loader("hf://datasets/me/demo", mixture, epochs=1) for q in b.sequences for s in q)))
"""


def python(code: str, hub: str, tmp_path: Path, xet: bool, *args: str) -> list[Any]:
    """Runs the code in its own process, since the client reads its address from the environment when it is imported."""
    own = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "t", "HF_HUB_DISABLE_XET": "0" if xet else "1"}
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def everything(hub: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{hub}/__state") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def state(hub: str) -> dict[str, Any]:
    found: dict[str, Any] = everything(hub)["repos"]["datasets/me/demo"]
    return found


@pytest.mark.real
@pytest.mark.parametrize("xet", [True, False])
def test_publish_again_and_read_back(run: Path, hub: str, tmp_path: Path, xet: bool) -> None:
    (done,) = python(PUBLISH, hub, tmp_path, xet, str(run), hub, json.dumps({"tag": "v1"}))
    assert set(state(hub)["files"]["main"]) >= set(done["files"])
    assert "v1" in state(hub)["tags"]
    assert bool(everything(hub)["xorbs"]) == xet  # each of the two ways was really taken
    commits = state(hub)["n"]
    python(PUBLISH, hub, tmp_path, xet, str(run), hub, "{}")
    assert state(hub)["n"] == commits
    rows, keys = python(READ, hub, tmp_path, xet)
    assert keys == [f"{i:012d}" for i in range(4)]
    assert [row[0] for row in rows] == keys


@pytest.mark.real
def test_publish_as_a_pull_request(run: Path, hub: str, tmp_path: Path) -> None:
    (done,) = python(PUBLISH, hub, tmp_path, False, str(run), hub, json.dumps({"create_pr": True}))
    assert done["revision"] == "refs/pr/1"
    assert set(state(hub)["files"]["refs/pr/1"]) >= set(done["files"])
    assert "manifest.json" not in state(hub)["files"]["main"]
