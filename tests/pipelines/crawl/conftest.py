import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from pipelines.fetch.http import Response, Session
from tests.pipelines.crawl.server import Web, serving

SHARED = Path(__file__).resolve().parents[4] / "shared"
LOOPBACK = ("127.0.0.0/8",)


def get(url: str, *, allow_private: tuple[str, ...] = (), **options: Any) -> Response:
    """`Session.get` for one URL."""
    with Session(allow_private=allow_private) as session:
        return session.get(url, **options)


def assert_within(seconds: float, work: Callable[[], object], rounds: int = 5) -> None:
    """Asserts that the work takes less than ``seconds`` in one of the rounds.

    A busy machine only makes a round slower, so the fastest round shows the time of the code itself.
    """
    times = []
    while len(times) < rounds and min(times, default=seconds) >= seconds:
        start = time.monotonic()
        work()
        times.append(time.monotonic() - start)
    assert min(times) < seconds, times


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Local(NamedTuple):
    web: Web
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def local() -> Iterator[Local]:
    with serving() as (web, port):
        yield Local(web, port)


@pytest.fixture
def proxied(local: Local, monkeypatch: pytest.MonkeyPatch) -> Local:
    """The local server as a proxy, so that a request to any host goes to it."""
    monkeypatch.setenv("http_proxy", local.base)
    return local


class Origin(NamedTuple):
    proxy: str
    ca: str
    module: ModuleType


@contextmanager
def _started(folder: Path) -> Iterator[Origin]:
    script = SHARED / "realweb" / "origin.py"
    if not script.exists():
        pytest.skip(f"{script} is not here: the real web is not part of the project")
    ca = folder / "ca.pem"
    process = subprocess.Popen(
        [sys.executable, str(script), "--port", "0", "--ca", str(ca)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("origin: "), line
        spec = importlib.util.spec_from_file_location("origin", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        spec.loader.exec_module(module)
        sys.dont_write_bytecode = before
        yield Origin(line.split()[1], str(ca), module)
    finally:
        process.terminate()
        process.wait(10)


def _use(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Origin:
    monkeypatch.setenv("http_proxy", origin.proxy)
    monkeypatch.setenv("https_proxy", origin.proxy)
    monkeypatch.setenv("SSL_CERT_FILE", origin.ca)
    return origin


@pytest.fixture(scope="session")
def _origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with _started(tmp_path_factory.mktemp("origin")) as server:
        yield server


@pytest.fixture
def origin(_origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """The real web on loopback, reached by the proxy variables. All tests share it."""
    return _use(_origin, monkeypatch)


@pytest.fixture
def fresh_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """As `origin`, for one test alone, which reads the counters of the server."""
    with _started(tmp_path) as server:
        yield _use(server, monkeypatch)
