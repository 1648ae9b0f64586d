"""Every command takes a run by its path, by a file:// URL and by an s3:// URL (moto's server on loopback)."""

import gzip
import json
import pathlib
from typing import Any

import fsspec
import pytest

from filters.quality import read_texts
from manifests.runfiles import root_of
from tests.pipelines.commands.test_commands import call, rows
from tests.pipelines.conftest import without_proxies


@pytest.fixture(params=["path", "file", "s3"])
def run(request: pytest.FixtureRequest, chats: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished run, as a command is given it."""
    without_proxies(monkeypatch)
    if request.param == "s3":
        url = f"{request.getfixturevalue('s3')}/chats"
        fs = fsspec.filesystem("s3", use_listings_cache=False)
        if not fs.exists(url):
            fs.put(f"{chats}/", f"{url}/", recursive=True)
        return f"{url}/"
    return f"file://{chats}" if request.param == "file" else f"{chats}/"


def manifest(chats: pathlib.Path) -> dict[str, Any]:
    return dict(json.loads((chats / "manifest.json").read_text()))


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("runs/a/", "runs/a"),
        ("file:///data/run/", "/data/run"),
        ("s3://bucket/run//", "s3://bucket/run"),
        ("hf://datasets/me/x", "hf://datasets/me/x"),
        ("/", "/"),
        ("", ""),  # never the root of the disk
        (" ", " "),
        ("file://", ""),
    ],
)
def test_the_root_of_a_run(text: str, root: str) -> None:
    assert root_of(text) == root


@pytest.mark.parametrize("out", ["", " ", "/", "//", "file:///", "file://"])
def test_no_run_is_made_in_the_root_of_the_disk(
    out: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.commands.run.run", lambda *arguments, **more: pytest.fail("a run began"))
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "r.yaml").write_text(f"sources: {{a: {{kind: text, files: {tmp_path}/texts.jsonl}}}}\n")
    result = call("run", tmp_path / "r.yaml", "--out", out)
    assert result.exit_code == 2 and result.stderr.startswith("panoramix: --out"), result.output


@pytest.mark.parametrize("where", ["path", "s3"])
def test_a_folder_with_files_of_others_is_no_folder_for_a_run(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, where: str
) -> None:
    root = f"{tmp_path}/mine" if where == "path" else f"{request.getfixturevalue('s3')}/mine"
    fs, base = fsspec.core.url_to_fs(root, use_listings_cache=False)
    fs.makedirs(f"{base}/outputs/thesis", exist_ok=True)
    fs.pipe(f"{base}/outputs/thesis/chapter.txt", b"years of work")
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "r.yaml").write_text(f"sources: {{a: {{kind: text, files: {tmp_path}/texts.jsonl}}}}\n")
    result = call("run", tmp_path / "r.yaml", "--out", root)
    assert result.exit_code == 2 and "holds outputs/, which no run has made there" in " ".join(result.stderr.split())
    assert fs.cat_file(f"{base}/outputs/thesis/chapter.txt") == b"years of work"
    assert len(fs.find(base)) == 1


def test_an_empty_run_is_wrong_usage() -> None:
    for command in ("stats", "verify", "gc", "samples", "report -o r.html", "forget x"):
        name, *options = command.split()
        result = call(name, "", *options)
        assert result.exit_code == 2 and "empty" in result.stderr, result.output


def test_each_command_reads_the_run(run: str, chats: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stats = call("stats", run, "--json")
    assert json.loads(stats.stdout) == json.loads((chats / "stats.json").read_text())
    (first, *_) = rows(call("samples", run, "--json", "-n", 50))
    assert first["id"] in call("explain", run, first["url"]).stdout
    swept = json.loads(call("sweep", run, "characters.min=0..400:100", "--json").stdout)
    assert swept["rows"][0]["kept"] == 42 > swept["rows"][-1]["kept"]
    assert not any(json.loads(call("diff", run, chats, "--json").stdout).values())
    report = call("report", run, "-o", tmp_path / "r.html")
    assert report.exit_code == 0 and (tmp_path / "r.html").read_text() == (chats / "report.html").read_text()
    verified = call("verify", run)
    assert (verified.exit_code, verified.stdout) == (0, ""), verified.output
    assert call("gc", run, "--dry-run").exit_code == 0


def test_a_run_is_published_from_there(run: str, chats: pathlib.Path, tmp_path: pathlib.Path) -> None:
    dry = call("publish", run, "me/chats", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert "shards/chat/train-000000.tar" in json.loads(dry.stdout)["files"]
    sent = call("publish", run, f"file://{tmp_path}/copy")
    assert sent.exit_code == 0, sent.output
    shard = "shards/chat/train-000000.tar"
    assert (tmp_path / "copy" / shard).read_bytes() == (chats / shard).read_bytes()
    assert call("verify", f"file://{tmp_path}/copy").exit_code == 0


def test_a_run_is_trained_on_from_there(run: str, chats: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from trainer.data import Run

    assert Run.open(run).digest == Run.open(chats).digest
    seen: list[Any] = []
    monkeypatch.setattr("trainer.train", lambda *arguments, **more: seen.append(arguments) or {})
    trained = call("train", "recipe.yaml", "--data", run)
    if "s3" in run:
        line = " ".join(trained.stderr.split())
        assert trained.exit_code == 2 and "is not on a local disk: give a folder for checkpoints" in line and not seen
        assert call("train", "recipe.yaml", "--data", run, "--out", "here").exit_code == 0
    assert str(seen[0][1]) == run.rstrip("/").removeprefix("file://")


def test_a_classifier_reads_texts_from_there(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)
    fs = fsspec.filesystem("s3", use_listings_cache=False)
    fs.pipe(f"{s3}/texts/good.txt.gz", gzip.compress(b"one text\nanother text\n"))
    assert list(read_texts([f"{s3}/texts/good.txt.gz"])) == ["one text\n", "another text\n"]
    with pytest.raises(ValueError, match=r"absent\.txt cannot be read"):
        list(read_texts([f"{s3}/texts/absent.txt"]))


def test_the_plan_of_a_finished_run_has_nothing_to_do(run: str, chats: pathlib.Path, tmp_path: pathlib.Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(manifest(chats)["recipe"]))
    result = call("run", recipe, "--out", run, "--plan", "--json")
    assert {row["state"] for row in json.loads(result.stdout)} == {"done", "recorded"}, result.output


def test_a_takedown_of_a_run_in_a_bucket(s3: str, chats: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)
    url, fs = f"{s3}/taken", fsspec.filesystem("s3", use_listings_cache=False)
    fs.put(f"{chats}/", f"{url}/", recursive=True)
    (first, *others) = rows(call("samples", url, "--json", "-n", 50))
    result = call("forget", url, f" {first['id'].upper()} ", "--workers", 1)
    assert result.exit_code == 0 and result.stdout.startswith("1 documents and 0 images are out"), result.output
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # a command is a process of its own
    left = rows(call("samples", url, "--json", "-n", 50))
    assert {row["id"] for row in left} <= {row["id"] for row in others}
    assert call("verify", url).exit_code == 0
    assert "dropped, forgotten" in call("explain", url, first["id"]).stdout


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (None, b"", "is no finished run: it has no"),
        ("manifest.json", b"{", "is damaged: not JSON"),
        ("manifest.json", b"[]", "is damaged: a JSON list, no table"),
        ("manifest.json", b"\xff", "is damaged: not UTF-8"),
        ("manifest.json", b"{}", "manifest.json"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "stats",
        "samples",
        "explain x",
        "sweep words.min=1..2",
        "verify",
        "report -o r.html",
        "gc",
        "publish me/x --dry-run",
        "forget a.example",
        "diff",
    ],
)
@pytest.mark.parametrize("where", ["path", "s3"])
def test_a_folder_that_is_no_run_is_one_line_that_names_the_file(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    where: str,
    command: str,
    name: str | None,
    content: bytes,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    number = abs(hash((command, content)))
    root = f"{tmp_path}/run" if where == "path" else f"{request.getfixturevalue('s3')}/bad/{number}"
    fs, base = fsspec.core.url_to_fs(root, use_listings_cache=False)
    fs.makedirs(base, exist_ok=True)
    if name is not None:
        for file in (name, "stats.json"):
            fs.pipe(f"{base}/{file}", content)
    first, *options = command.split()
    result = call(first, root, *([root] if first == "diff" else []), *options)
    text = " ".join((result.stdout + result.stderr).split())
    assert result.exit_code == 2 and result.stdout == "", (text, result.exception)
    assert (says in text or "stats.json" in text) and root in text.replace(" ", ""), text
    assert "Traceback" not in text and len(text) < 400
