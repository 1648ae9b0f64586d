"""The same promises on an object store: moto's S3 server on loopback, which supports conditional writes."""

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from pipelines.engine import lock
from pipelines.engine.local import Local
from pipelines.engine.run import Outcome, RunError
from pipelines.engine.storage import Store

from .stops import killed_after
from .test_run import expected, files, plan
from .test_run import go as with_warm_children
from .toys import Score


def go(root: Any, steps: Any, start: Any = lambda: Local(2), **more: Any) -> Outcome:
    """With new children: the children of other tests do not have the server's address and credentials."""
    return with_warm_children(root, steps, start, **more)


def _contents(root: str) -> dict[str, str]:
    fs, base = fsspec.core.url_to_fs(root, use_listings_cache=False)
    return {name[len(base) + 1 :]: info["ETag"] for name, info in fs.find(f"{base}/stages", detail=True).items()}


def test_a_second_writer_is_refused_and_listings_are_fresh(s3: str) -> None:
    store = Store(f"{s3}/small")
    assert not store.exists("a/b.json")
    assert store.create("a/b.json", b"first")
    assert not store.create("a/b.json", b"second")
    assert store.read("a/b.json") == b"first"
    assert (store.names("a"), store.folders(""), store.sizes("nowhere")) == (["b.json"], ["a"], {})
    store.link_all({"x/1": "a/b.json", "x/2": "a/b.json"})
    assert list(store.read_all(["x/1", "x/2"])) == [b"first"] * 2
    store.remove_folder("a")
    assert store.names("a") == []


@pytest.mark.slow
def test_a_killed_driver_is_resumed_to_the_same_bytes(s3: str) -> None:
    go(f"{s3}/clean", plan())
    store, root = Store(f"{s3}/killed"), f"{s3}/killed"
    for parts in (2, 7):
        killed_after(parts, root, "plan()")
    assert store.exists("lock.json")  # the process is dead and was on this machine: taken over at once
    outcome = go(root, plan())
    assert not store.exists("lock.json")
    t = outcome.outputs["join"].read(store, "totals")
    assert dict(zip(t["n"].to_pylist(), t["total"].to_pylist(), strict=True)) == expected()
    clean, killed = _contents(f"{s3}/clean"), _contents(root)
    assert {k: v for k, v in killed.items() if k in clean} == clean
    assert go(root, plan(), _refuse).parts == {}


def _refuse() -> Any:
    raise AssertionError("a backend was started")


@pytest.mark.slow
def test_the_same_bytes_as_on_a_disk(s3: str, tmp_path: pathlib.Path) -> None:
    go(tmp_path, plan(Score(bad=333)))
    go(f"{s3}/disk", plan(Score(bad=333)))
    store = Store(f"{s3}/disk")
    on_disk = files(tmp_path)
    names = _contents(f"{s3}/disk")
    assert {n: hashlib.sha256(d).hexdigest() for n, d in zip(names, store.read_all(names), strict=True)} == on_disk


def test_a_lock_that_beats_is_respected_and_its_loss_noticed(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    monkeypatch.setattr(lock, "SILENT_S", 1e9)  # a second driver waits for a beat
    store = Store(f"{s3}/held")
    with lock.hold(store) as lost:
        with (
            pytest.raises(RunError, match=rf"another driver is at work on this run \(process {os.getpid()} on "),
            lock.hold(store),
        ):
            pass
        monkeypatch.setattr(lock.socket, "gethostname", lambda: "elsewhere")  # then only the heartbeat shows life
        with pytest.raises(RunError, match="another driver is at work"), lock.hold(store):
            pass
        assert not lost.is_set()
        while not lost.wait(0.5):  # a beat at the same moment may write it again
            store.remove("lock.json")


def test_a_lock_that_is_silent_is_taken_over(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    monkeypatch.setattr(lock, "SILENT_S", 0.5)
    store = Store(f"{s3}/silent")
    dead = {"host": "gone", "process": 1, "began": "1", "id": "x", "beat": 7}
    store.replace("lock.json", json.dumps(dead).encode())
    began = time.monotonic()
    with lock.hold(store):
        assert time.monotonic() - began >= 0.5
        assert json.loads(store.read("lock.json"))["process"] == os.getpid()
    assert not store.exists("lock.json")


def test_a_bucket_that_is_gone_is_named(s3: str) -> None:
    with pytest.raises(RunError, match=r"s3://nobody/run: .*bucket does not exist"):
        go("s3://nobody/run", plan())


@pytest.fixture
def uncached(s3: str) -> Iterator[str]:
    """fsspec caches connections by their arguments and ignores changes of the environment."""
    s3_class = fsspec.get_filesystem_class("s3")
    s3_class.clear_instance_cache()
    yield s3
    s3_class.clear_instance_cache()


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_SECRET_ACCESS_KEY": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                "HOME": "/nowhere",
            },
            "Unable to locate credentials",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "Could not connect to the endpoint URL: .*",
        ),
    ],
)
def test_an_unreachable_store_is_one_line(
    uncached: str, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=rf"^{uncached}/run: {line}$"):
        go(f"{uncached}/run", plan())
