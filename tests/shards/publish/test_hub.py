import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml

from manifests.runfiles import RunFiles
from shards import forget, manifest
from shards.loader import Loader
from shards.publish import preview, staging
from shards.publish.hub import PublishError, RefusedError, publish
from shards.publish.staging import staged
from tests.shards import made

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT.parent / "shared" / "hubserver" / "server.py"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.run(tmp_path / "run", {"interleaved": [3], "pairs": [4]})


def test_a_dry_run_lists_the_files_and_leaves_no_file(run: Path) -> None:
    (run / "stages").mkdir()
    (run / "stages/private.txt").write_text("not to be published")
    before = sorted(run.rglob("*"))
    lines: list[str] = []
    plan = publish(run, "me/demo", dry_run=True, say=lines.append)
    shard = "shards/interleaved/train-000000.tar"
    expected = {"README.md", "manifest.json", shard, f"{shard}.idx", "index/interleaved-train-000000.parquet"}
    assert expected <= set(plan.files)
    assert not any("stages" in path for path in plan.files)
    assert "shards/pairs/.nv-meta/dataset.yaml" in plan.files
    assert lines == [f"me/demo: {len(plan.files)} files, {plan.bytes:,} bytes, about 1 commit"]
    assert sorted(run.rglob("*")) == before


def test_a_credential_is_not_published(run: Path) -> None:
    (run / "stats.json").write_text(json.dumps({"token": "hf_" + "a" * 34}))
    assert publish(run, "me/demo", dry_run=True).problems == [
        "stats.json: holds what looks like a credential (hf_aaaaa...)"
    ]
    with pytest.raises(PublishError, match=r"not published: stats\.json"):
        publish(run, "me/demo", endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "secret",
    ["AKIA" + "A" * 16, "AIza" + "b" * 35, "ghp_" + "c" * 36, "-----BEGIN RSA PRIVATE KEY-----", "sk-" + "d" * 40],
)
def test_credentials_are_problems_and_addresses_without_one_are_not(run: Path, secret: str) -> None:
    raw = json.loads((run / "manifest.json").read_text())
    inputs = {"warc": ["https://a.example:8080/x@y.gz", "s3://bucket/a:b@c"]}
    (run / "manifest.json").write_text(json.dumps({**raw, "recipe": {"web": inputs}}))
    (run / "report.html").write_text("<p>https://user:word@a.example/ on a page")
    assert publish(run, "me/demo", dry_run=True).problems == []
    (run / "report.html").write_text(f"<p>{secret}")
    (run / "manifest.json").write_text(
        json.dumps({**raw, "recipe": {"web": {"warc": ["https://me:secret@a.example/x.gz"]}}})
    )
    assert [line.partition(":")[0] for line in publish(run, "me/demo", dry_run=True).problems] == [
        "manifest.json",
        "report.html",
    ]


def test_a_run_with_a_missing_shard_is_not_published(run: Path) -> None:
    (run / "shards/pairs/train-000000.tar").unlink()
    with pytest.raises(PublishError, match=r"pairs/train-000000\.tar: the manifest names it"):
        publish(run, "me/demo", dry_run=True)
    assert not list(run.glob(".publish-*"))


@pytest.mark.parametrize("path", ["shards/pairs/train-000000.tar", "index/pairs-train-000000.parquet"])
@pytest.mark.parametrize("to", ["me/demo", "memory://bucket/flipped"])
def test_a_flipped_byte_is_refused_before_anything_is_sent(run: Path, path: str, to: str) -> None:
    raw = json.loads((run / "manifest.json").read_text())
    for source in raw["sources"].values():
        for row in (row for rows in source["splits"].values() for row in rows):
            row["index_sha256"] = hashlib.sha256((run / row["index"]).read_bytes()).hexdigest()
    (run / "manifest.json").write_text(json.dumps(raw))
    data = bytearray((run / path).read_bytes())
    data[len(data) // 2] ^= 1
    (run / path).write_bytes(data)
    for dry_run in (True, False):
        with pytest.raises(
            RefusedError, match=rf"not published: {path}: its sha256 is not that of the manifest.*remove"
        ):
            publish(run, to, dry_run=dry_run, endpoint="http://127.0.0.1:9")
    assert not fsspec.filesystem("memory").exists("/bucket/flipped")
    assert not list(run.glob(".publish-*"))


@pytest.mark.parametrize(
    ("to", "options", "says"),
    [
        ("s3://bucket/x", {"tag": "v1", "squash": True}, "no repository of the Hub: it does not take --tag, --squash"),
        ("memory://x", {"private": True, "create_pr": True}, "does not take --private, --pr"),
        ("/tmp/folder", {}, "/tmp/folder is no name of a repository"),
        ("me/a/b", {}, "no name of a repository"),
        ("me/-x-", {}, "no name of a repository"),
        ("me/" + "x" * 97, {}, "no name of a repository"),
        ("", {}, "no name of a repository"),
    ],
)
def test_a_target_that_cannot_be_is_one_line_also_in_a_dry_run(
    run: Path, to: str, options: dict[str, Any], says: str
) -> None:
    for dry_run in (True, False):
        with pytest.raises(PublishError, match=says) as error:
            publish(run, to, dry_run=dry_run, **options)
        assert "\n" not in str(error.value)


def test_a_hub_that_does_not_answer_is_one_line(run: Path) -> None:
    with pytest.raises(
        PublishError, match=r"^me/demo: the Hub does not answer, or refuses: .*check the network"
    ) as error:
        publish(run, "me/demo", endpoint="http://127.0.0.1:9", token="t")
    assert "\n" not in str(error.value) and not list(run.glob(".publish-*"))


def test_a_read_only_run_is_published(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    before = sorted(run.rglob("*"))
    publish(run, "memory://bucket/read-only")
    assert sorted(run.rglob("*")) == before
    shard = "shards/pairs/train-000000.tar"
    assert fsspec.filesystem("memory").cat_file(f"/bucket/read-only/{shard}") == (run / shard).read_bytes()


def test_the_preview_has_the_same_plain_columns_for_every_sample(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    with staged(run, "me/demo", "other") as folder:
        assert preview.files(RunFiles(run), manifest.read(RunFiles(run))) == preview.files(
            RunFiles(run), manifest.read(RunFiles(run))
        )
        # the default configuration
        rows = datasets.load_dataset(str(folder), split="pairs", cache_dir=str(tmp_path / "cache"))
        documents = datasets.load_dataset(str(folder), "preview", split="interleaved", streaming=True)
        assert rows.column_names == [
            "__key__",
            "__url__",
            "sheet.jpg",
            "txt",
            "source.txt",
            "n_images.cls",
            "n_tokens.cls",
        ]
        assert sorted(row["txt"] for row in rows) == sorted("<image>\n\n" + caption for caption in captions(run))
        assert all(row["sheet.jpg"].size[0] == 640 and row["n_images.cls"] == 1 for row in rows)
        assert sorted(row["n_images.cls"] for row in documents) == [0, 1, 2]
        rows = datasets.load_dataset(str(folder), "pairs", split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == 4


def test_the_preview_of_sources_whose_names_are_not_valid_for_splits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    layouts = {"my-pairs": "pairs", "my_pairs": "pairs", "chats": "text"}
    run = made.run(tmp_path / "run", {"my-pairs": [2], "my_pairs": [3], "chats": [2]}, layouts=layouts)
    with staged(run, "me/demo", "other") as folder:
        rows = datasets.load_dataset(str(folder), "preview", cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows[split]) for split in rows} == {"chats": 2, "my_pairs": 5}
        assert set(rows["chats"]["n_images.cls"]) == {0}


def test_a_source_with_the_name_of_the_preview_takes_its_place(tmp_path: Path) -> None:
    run = made.run(tmp_path / "run", {"preview": [2]}, layouts={"preview": "pairs"})
    with staged(run, "me/demo", "other") as folder:
        front = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert [(c["config_name"], c["data_files"][0]["path"]) for c in front["configs"]] == [
        ("preview", "shards/preview/train-*.tar")
    ]


def captions(run: Path) -> list[str]:
    mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 512}}, "batch_sequences": 4}
    return [s.json["caption"] for b in Loader(run, mixture, epochs=1) for q in b.sequences for s in q]


def test_a_run_older_than_its_last_takedown_is_not_published(run: Path) -> None:
    (run / forget.NAME).write_bytes(forget.added(None, [forget.entry("a.example")], "x"))
    with pytest.raises(PublishError, match="the shards were made before the last takedown"):
        publish(run, "me/demo", dry_run=True)
    raw = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**raw, "forgotten": forget.digest([forget.entry("a.example")])}))
    assert forget.NAME not in publish(run, "me/demo", dry_run=True).files  # the list names who asked


def test_more_columns_than_the_viewer_shows_are_a_problem(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_COLUMNS", 4)
    monkeypatch.setattr(staging, "MAX_ENTRIES", 3)
    problems = publish(run, "me/demo", dry_run=True).problems
    assert "interleaved: 5 columns, one for each image; the viewer shows at most 4" in problems
    assert any("shards/" in line and "a folder has at most 3" in line for line in problems)


def test_an_interrupted_upload_to_any_storage_continues(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    url, lines = "memory://bucket/demo", list[str]()
    put, targets = memory.put_file, list[str]()

    def interrupted_put(source: str, target: str) -> None:
        if len(targets) == 5:
            raise KeyboardInterrupt
        targets.append(target)
        put(source, target)

    monkeypatch.setattr(memory, "put_file", interrupted_put)
    with pytest.raises(KeyboardInterrupt):
        publish(run, url)
    # the manifest is written last, so a reader sees no incomplete run
    assert not memory.exists("/bucket/demo/manifest.json")
    monkeypatch.setattr(memory, "put_file", put)
    result = publish(run, url, say=lines.append)
    assert (
        lines[-1]
        == f"{url}: {len(result.files) - 5} files sent, 0 removed; all {len(result.files)} are there, checked by hash"
    )
    mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 512}}, "batch_sequences": 4}
    assert list(Loader(url, mixture, epochs=1)) == list(Loader(run, mixture, epochs=1))
    memory.pipe("/bucket/demo/shards/pairs/train-000009.tar", b"of an earlier run")
    memory.pipe("/bucket/demo/notes.txt", b"not ours")
    memory.pipe("/bucket/demo/README.md", b"another")
    publish(run, url, say=lines.append)
    assert ": 1 files sent, 1 removed" in lines[-1]
    assert not memory.exists("/bucket/demo/shards/pairs/train-000009.tar")
    assert memory.exists("/bucket/demo/notes.txt")


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
    while True:
        try:
            urllib.request.urlopen(f"{url}/__state").read()
            break
        except OSError:
            assert server.poll() is None, (tmp_path / "hub.log").read_text()
            time.sleep(0.05)
    yield url
    server.terminate()
    server.wait()


PUBLISH = """
import json, sys
from shards.publish.hub import publish
done = publish(sys.argv[1], "me/demo", endpoint=sys.argv[2], token="t", **json.loads(sys.argv[3]))
print(json.dumps({"revision": done.revision, "files": done.files}))
"""

READ_BY_DATASETS = """
import json
from datasets import Image, load_dataset
rows = load_dataset("me/demo", "pairs", split="train", streaming=True).cast_column("jpg", Image(decode=False))
print(json.dumps([[row["__key__"], row["txt"], len(row["jpg"]["bytes"])] for row in rows]))
"""

READ_BY_OURS = """
import json
from shards.loader import Loader
mixture = {"sources": {"pairs": {"weight": 1, "sequence_length": 512}}, "batch_sequences": 4}
batches = Loader("hf://datasets/me/demo", mixture, epochs=1)
print(json.dumps(sorted(s.key for b in batches for q in b.sequences for s in q)))
"""


def python(code: str, hub: str, tmp_path: Path, xet: bool, *args: str) -> list[Any]:
    """Runs the code in its own process, since the client reads its address from the environment when it is imported."""
    environment = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "t",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
    }
    process = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return [json.loads(line) for line in process.stdout.splitlines()]


def server_state(hub: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{hub}/__state") as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def repository_state(hub: str) -> dict[str, Any]:
    answer: dict[str, Any] = server_state(hub)["repos"]["datasets/me/demo"]
    return answer


@pytest.mark.real
@pytest.mark.parametrize("xet", [True, False])
def test_a_second_publication_makes_no_commit_and_the_data_reads_back(
    run: Path, hub: str, tmp_path: Path, xet: bool
) -> None:
    (result,) = python(PUBLISH, hub, tmp_path, xet, str(run), hub, json.dumps({"tag": "v1"}))
    assert set(repository_state(hub)["files"]["main"]) >= set(result["files"])
    assert "v1" in repository_state(hub)["tags"]
    assert bool(server_state(hub)["xorbs"]) == xet  # the upload used Xet if and only if it was enabled
    commits = repository_state(hub)["n"]
    python(PUBLISH, hub, tmp_path, xet, str(run), hub, "{}")
    assert repository_state(hub)["n"] == commits
    (rows,) = python(READ_BY_DATASETS, hub, tmp_path, xet)
    requests = len(log(hub))
    (keys,) = python(READ_BY_OURS, hub, tmp_path, xet)
    assert keys == [f"{i:012d}" for i in range(4)]
    assert [row[0] for row in rows] == keys
    assert sum(
        "train-000000.tar" in line and '"range": "bytes=' in line.lower() for line in log(hub)[requests:]
    ) >= len(keys)


@pytest.mark.real
@pytest.mark.parametrize("xet", [True, False])
def test_a_run_can_be_published_as_a_pull_request(run: Path, hub: str, tmp_path: Path, xet: bool) -> None:
    (result,) = python(PUBLISH, hub, tmp_path, xet, str(run), hub, json.dumps({"create_pr": True}))
    assert result["revision"] == "refs/pr/1"
    assert set(repository_state(hub)["files"]["refs/pr/1"]) >= set(result["files"])
    assert "manifest.json" not in repository_state(hub)["files"]["main"]


@pytest.mark.real
def test_files_that_a_run_no_longer_has_are_removed_from_every_commit(run: Path, hub: str, tmp_path: Path) -> None:
    old = made.run(tmp_path / "old", {"interleaved": [3], "pairs": [4, 2]})
    (first,) = python(PUBLISH, hub, tmp_path, False, str(old), hub, "{}")
    removed = "shards/pairs/train-000001.tar"
    assert removed in repository_state(hub)["files"]["main"]
    (result,) = python(PUBLISH, hub, tmp_path, False, str(run), hub, json.dumps({"squash": True, "tag": "v2"}))
    assert removed not in repository_state(hub)["files"]["main"]
    assert set(result["files"]) <= set(repository_state(hub)["files"]["main"])
    assert any("super-squash" in line for line in log(hub))
    assert result["revision"] != first["revision"]


def log(hub: str) -> list[str]:
    with urllib.request.urlopen(f"{hub}/__log") as answer:
        return [json.dumps(row) for row in json.load(answer)]


# The process kills itself at the nth request or response of a kind, so the place does not depend on time.
CUT = """
import os, signal, sys
import httpx2
from huggingface_hub import set_client_factory
*arguments, when, method, part, left = sys.argv
sys.argv, left = arguments, int(left)

def count(what, request):
    global left
    if what == when and request.method == method and part in str(request.url):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

hooks = {"request": [lambda r: count("request", r)], "response": [lambda r: count("response", r.request)]}
set_client_factory(lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=None))
"""


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("xet", "at", "uploaded"),
    [
        (False, ("response", "POST", "/preupload/", "1"), "nothing"),
        (False, ("response", "PUT", "", "3"), "objects"),
        (False, ("request", "POST", "/commit/", "1"), "objects"),
        (False, ("response", "POST", "/commit/", "1"), "everything"),
        (True, ("response", "POST", "/preupload/", "1"), "nothing"),
        (True, ("request", "POST", "/commit/", "1"), "objects"),  # Xet's own client has sent all the bytes by now
        (True, ("response", "POST", "/commit/", "1"), "everything"),
    ],
)
def test_a_second_publication_after_kill_9_uploads_the_rest(
    run: Path, hub: str, tmp_path: Path, xet: bool, at: tuple[str, ...], uploaded: str
) -> None:
    environment = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "t",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
    }
    killed = subprocess.run(
        [sys.executable, "-c", CUT + PUBLISH, str(run), hub, "{}", *at],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    before, commits = repository_state(hub)["files"]["main"], repository_state(hub)["n"]
    uploads = server_state(hub)["lfs"]
    assert bool(uploads) == (uploaded != "nothing")
    (result,) = python(PUBLISH, hub, tmp_path, xet, str(run), hub, "{}")  # checks every remote hash
    assert set(result["files"]) <= set(repository_state(hub)["files"]["main"])
    assert (set(result["files"]) <= set(before)) == (uploaded == "everything")
    assert (repository_state(hub)["n"] == commits) == (uploaded == "everything")
    assert not list(run.glob(".publish-*"))  # the folder of the killed process was removed
