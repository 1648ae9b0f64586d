"""The requests that `--plan` counts, against those that moto's server sees."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bench import _texts
from pipelines.cli import app
from pipelines.commands.run import execute, plan_rows
from pipelines.engine.progress import Progress
from pipelines.engine.requests import RUN, Requests
from pipelines.recipe.load import parse

#: what is counted, as a share of what was seen: files without rows get no name in the run, and are counted
LEAST, MOST = 0.9, 1.3

DEAR, CHEAP = ("put", "list"), ("get", "head")


def recipe(files: str) -> Any:
    return parse({"sources": {"texts": {"kind": "text", "files": files, "preset": "gopher"}}}, "test")


def write(folder: Path, files: int) -> None:
    (rows,) = _texts.blocks(200 * files)
    for n in range(files):
        pq.write_table(pa.Table.from_batches([rows.slice(200 * n, 200)]), folder / f"{n}.parquet")


@pytest.fixture
def seen(s3: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests that the server has had, by the kinds of `Requests`."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Server

    counts: Counter[str] = Counter()
    answer = Server.__call__

    def counting(self: Any, environ: Any, start: Any) -> Any:
        kind = "list" if "list-type" in environ.get("QUERY_STRING", "") else environ["REQUEST_METHOD"].lower()
        counts[kind] += 1
        return answer(self, environ, start)

    monkeypatch.setattr(Server, "__call__", counting)
    return counts


def counted(rows: list[dict[str, Any]], kinds: tuple[str, ...]) -> int:
    return sum(row["requests"][kind] for row in rows for kind in kinds)


@pytest.mark.parametrize("files", [2, 7])
def test_the_plan_counts_the_requests_of_a_run(s3: str, seen: Counter[str], tmp_path: Path, files: int) -> None:
    write(tmp_path, files)
    root = f"{s3}/counted-{files}"
    fsspec.filesystem("s3", use_listings_cache=False).put(f"{tmp_path}/", f"{root}-in/", recursive=True)
    texts = recipe(f"{root}-in/*.parquet")
    rows = plan_rows(texts, root, None)
    seen.clear()
    execute(texts, root, on="local", workers=2, progress=Progress(quiet=True))
    for kinds in (DEAR, CHEAP):
        more = sum(getattr(RUN, kind) for kind in kinds)
        share = (counted(rows, kinds) + more) / sum(seen[kind] for kind in kinds)
        assert LEAST < share < MOST, (kinds, share)
    before = counted(rows, DEAR)
    rows = plan_rows(texts, root, None)
    assert {row["state"] for row in rows} == {"done"}
    assert counted(rows, DEAR) < before / 4  # a finished step is only looked at


def test_a_plan_at_a_url_ends_with_the_requests_of_each_step(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe(f"{tmp_path}/*.parquet").dump()))
    arguments = ["run", str(tmp_path / "recipe.yaml"), "--plan", "--out"]
    at_url, local = (CliRunner().invoke(app, [*arguments, out]) for out in ("memory://run", str(tmp_path / "run")))
    assert at_url.exit_code == local.exit_code == 0, at_url.output
    *_, last = (line.split() for line in at_url.stdout.splitlines() if line.strip())
    assert last[:2] == ["all", "steps"] and len(last) == 7 and all(int(n) > 20 for n in last[2:6]), last
    assert "dollars" not in local.stdout


def test_dollars_are_the_sum_of_the_prices() -> None:
    assert Requests(put=1000, list=1000, get=1000, head=1000).dollars == pytest.approx(0.0108)
    assert Requests(put=2) * 3 + Requests(get=1) == Requests(put=6, get=1)
