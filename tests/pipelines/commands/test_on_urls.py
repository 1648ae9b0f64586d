"""Every command takes a run by its path, by a file:// URL and by an s3:// URL (moto's server on loopback)."""

import json
import pathlib
from typing import Any

import fsspec
import pytest

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


def test_each_command_reads_the_run(run: str, chats: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stats = call("stats", run, "--json")
    assert json.loads(stats.stdout) == json.loads((chats / "stats.json").read_text())
    (first, *_) = rows(call("samples", run, "--json", "-n", 50))
    assert first["id"] in call("explain", run, first["url"]).stdout
    swept = json.loads(call("sweep", run, "characters.min=0..400:100", "--json").stdout)
    assert swept["rows"][0]["kept"] == 42 > swept["rows"][-1]["kept"]
    assert json.loads(call("diff", run, chats, "--json").stdout) == []
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


def test_the_plan_of_a_finished_run_has_nothing_to_do(run: str, chats: pathlib.Path, tmp_path: pathlib.Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(manifest(chats)["recipe"]))
    result = call("run", recipe, "--out", run, "--plan", "--json")
    assert {row["state"] for row in json.loads(result.stdout)} == {"done", "recorded"}, result.output


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
