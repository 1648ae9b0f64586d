"""The sample recipe, run once on the sample web, for all tests of a complete run."""

import contextlib
import fcntl
import functools
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from pipelines.commands.run import execute
from pipelines.engine.progress import Progress
from pipelines.engine.storage import SCRATCH
from pipelines.outputs import assemble
from pipelines.recipe.load import parse, read
from pipelines.sample import serve
from pipelines.sample.inputs import write_inputs
from tests.pipelines.conversation_sets import llava
from tests.pipelines.counting import assert_every_row_is_counted

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = ROOT / "pipelines" / "recipes" / "sample.yaml"
PROXIES = tuple(name for p in ("http_proxy", "https_proxy", "no_proxy", "all_proxy") for name in (p, p.upper()))

Row = dict[str, Any]


class SampleRun:
    """A finished run of the sample recipe: its folder, and its tables as rows."""

    def __init__(self, folder: pathlib.Path, settings: list[str]) -> None:
        self.folder, self.settings = folder, settings
        self.stats = json.loads((folder / "stats.json").read_text())
        self.manifest = json.loads((folder / "manifest.json").read_text())

    @functools.cache  # noqa: B019  the object lives as long as the tests
    def ledger(self, label: str, table: str) -> list[Row]:
        """Rows of ``ledger/<label>-<table>-*.parquet``, in order."""
        return [
            r
            for p in sorted(self.folder.glob(f"ledger/{label}-{table}-*.parquet"))
            for r in pq.read_table(p).to_pylist()
        ]

    def documents(self, source: str) -> dict[str, Row]:
        """Address -> row of the ledger's documents. For sources with one document an address, as web pages."""
        return {r["url"]: r for r in self.ledger(source, "documents")}

    def shards(self, source: str) -> list[tuple[str, Row]]:
        """(split, row of the manifest) of each shard of a source."""
        return [(split, s) for split, rows in sorted(self.manifest["sources"][source]["splits"].items()) for s in rows]

    @functools.cache  # noqa: B019
    def index(self, source: str) -> list[Row]:
        """Index rows of a source, shard after shard."""
        return [r for _, s in self.shards(source) for r in pq.read_table(self.folder / s["index"]).to_pylist()]

    @functools.cache  # noqa: B019
    def packed(self, source: str) -> list[Row]:
        """The JSON of every sample, in the order of the index."""
        from shards import tar

        out = []
        for _, s in self.shards(source):
            with open(self.folder / s["path"], "rb") as f:
                data = f.read()
            for row in pq.read_table(self.folder / s["index"]).to_pylist():
                _, parts = tar.parse(data[row["offset"] : row["offset"] + row["size"]], s["path"])
                out.append(json.loads(parts["json"]))
        return out

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Only one test at a time runs the recipe in the shared folder, because a second driver is refused."""
        with open(self.folder.parent / "sample.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def copy(self, folder: pathlib.Path) -> pathlib.Path:
        """The run in another folder, by hard links, because a run replaces files and never changes them."""
        return pathlib.Path(
            shutil.copytree(self.folder, folder, copy_function=os.link, ignore=shutil.ignore_patterns("lock", SCRATCH))
        )


def without_proxies(patch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def every_run_is_counted() -> Iterator[None]:
    """In every run of these tests, each row of each source has a number."""

    def checked(recipe: Any, planned: Any, outcome: Any, root: str) -> Row:
        stats = assemble(recipe, planned, outcome, root)
        assert_every_row_is_counted(stats, root)
        return stats

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.commands.run.assemble", checked)
        yield


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """The finished sample run. All pytest workers share it: the first one makes it and the others wait."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = base / "sample"
    with open(base / "sample.lock", "w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "run.json").exists():
            settings = write_inputs(base / "inputs")
            (base / "inputs" / "settings.json").write_text(json.dumps(settings))
            without_proxies(patch)
            with serve() as web:
                patch.setenv("http_proxy", web.proxy)
                patch.setenv("HTTP_PROXY", web.proxy)
                recipe = read(str(RECIPE), settings)
                execute(recipe, str(folder), on="local", workers=2, progress=Progress(quiet=True))
    return SampleRun(folder, json.loads((base / "inputs" / "settings.json").read_text()))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a bucket."""
    server = pytest.importorskip("moto.server", reason="needs moto[server] and s3fs").ThreadedMotoServer(
        "127.0.0.1", 0, verbose=False
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line for each request would hide the output of a test
    server.start()
    host, port = server.get_host_and_port()
    s3_class = fsspec.get_filesystem_class("s3")
    s3_class.clear_instance_cache()  # fsspec caches connections by their arguments, not by the environment
    with pytest.MonkeyPatch.context() as patch:
        for name in (*PROXIES, "SSL_CERT_FILE", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            patch.setenv(name, value)
        fs = fsspec.filesystem("s3", use_listings_cache=False)
        if not fs.exists("bucket"):  # the servers of one process share their contents
            fs.mkdir("bucket")
        yield "s3://bucket"
    s3_class.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="session")
def chats(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a small finished run: 42 conversations. A test that changes it makes a copy."""
    folder = tmp_path_factory.mktemp("chats")
    file = llava(folder / "in", range(40))
    source = {"kind": "conversations", "files": [str(file)]}
    recipe = parse({"name": "chats", "sources": {"chat": source}, "shards": {"validation": 0.2}}, "test")
    execute(recipe, str(folder / "run"), on="local", workers=1, progress=Progress(quiet=True))
    return folder / "run"
