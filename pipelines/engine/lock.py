"""One driver a run: a file lock on local disks, an object with a heartbeat elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from pipelines.engine.retry import RunError
from pipelines.engine.storage import Store

BEAT_S = 10.0  # how often the holder of an object says that it is alive
SILENT_S = 35.0  # a holder not heard of for so long is dead


@contextlib.contextmanager
def hold(store: Store) -> Iterator[threading.Event]:
    """Hold a run; what is yielded is set if the lock was taken away. Raises RunError where another driver holds it."""
    with _file(store) if store.local else _object(store) as lost:
        store.remove_folder("tmp")  # what killed processes left half made
        yield lost
        store.remove_folder("tmp")


@contextlib.contextmanager
def _file(store: Store) -> Iterator[threading.Event]:
    """The system lets go of the lock when the driver dies."""
    os.makedirs(store.root, exist_ok=True)
    with open(store.path("lock"), "a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise RunError(
                f"{store.root}: another driver is at work on this run ({f.read().strip() or 'unknown process'})"
            ) from None
        f.seek(0)
        f.truncate()
        f.write(f"process {os.getpid()}")
        f.flush()
        yield threading.Event()


@contextlib.contextmanager
def _object(store: Store) -> Iterator[threading.Event]:
    """`lock.json`, created only if there is none, rewritten every beat. One that stands still is taken over."""
    me = {"host": socket.gethostname(), "process": os.getpid(), "began": _began(os.getpid()), "id": uuid.uuid4().hex}
    if not store.create("lock.json", _said(me, 0)):
        _wait_for_silence(store)
        with contextlib.suppress(FileNotFoundError):
            store.remove("lock.json")
        if not store.create("lock.json", _said(me, 0)):
            raise RunError(f"{store.root}: another driver has just taken this run over")
    lost, stop = threading.Event(), threading.Event()

    def beat() -> None:
        n = 0
        while not stop.wait(BEAT_S):
            n += 1
            try:
                if json.loads(store.read("lock.json"))["id"] != me["id"]:
                    lost.set()
                    return
                store.replace("lock.json", _said(me, n))
            except FileNotFoundError:  # taken away, or the bucket is gone
                lost.set()
                return
            except OSError:  # the store does not answer: the next beat tries again
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()
        if not lost.is_set():
            store.remove("lock.json")


def _wait_for_silence(store: Store) -> None:
    """Returns when the holder is known to be dead. Raises RunError as soon as it is heard of."""
    try:
        first = store.read("lock.json")
    except FileNotFoundError:
        return
    holder = json.loads(first)
    if holder["host"] == socket.gethostname():
        if _began(holder["process"]) != holder["began"]:
            return
    else:
        until = time.monotonic() + SILENT_S  # our own clock alone: another machine's may be wrong
        while time.monotonic() < until:
            time.sleep(BEAT_S / 4)
            try:
                if store.read("lock.json") != first:
                    break
            except FileNotFoundError:
                return
        else:
            return
    raise RunError(
        f"{store.root}: another driver is at work on this run (process {holder['process']} on {holder['host']})"
    )


def _said(me: dict[str, Any], beat: int) -> bytes:
    return json.dumps({**me, "beat": beat}).encode()


def _began(process: int) -> str:
    """When a process of this machine began, in clock ticks since boot; empty where there is none (or it is dead and not
    yet buried).
    """
    try:
        with open(f"/proc/{process}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
