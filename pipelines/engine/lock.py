"""One driver for each run: a file lock on local disks, an object with a heartbeat on object stores."""

import contextlib
import fcntl
import itertools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from pipelines.engine.retry import RunError
from pipelines.engine.storage import SCRATCH, Store

LOCK = "lock"  # the file of a local run; every node of a cluster sees it if it sees the run's folder
BEAT_S = 10.0  # interval at which the holder of an object rewrites it
SILENT_S = 35.0  # a holder that has not rewritten its object for this time is dead


@contextlib.contextmanager
def hold(store: Store) -> Iterator[threading.Event]:
    """Hold the lock of a run; the event is set if another driver takes it. Raises RunError if another one has it, or
    where the run's folder is the root of the disk.
    """
    if store.local and os.path.abspath(store.path(".")) == "/":
        raise RunError(f"{store.root or 'an empty path'}: a run needs a folder of its own")
    with _file_lock(store) if store.local else _object_lock(store) as lost:
        store.remove_folder(SCRATCH)  # unfinished files of killed processes
        yield lost
        store.remove_folder(SCRATCH)


@contextlib.contextmanager
def _file_lock(store: Store) -> Iterator[threading.Event]:
    """A lock that the system releases when the driver dies."""
    os.makedirs(store.root, exist_ok=True)
    with open(store.path(LOCK), "a+", encoding="utf-8") as f:
        f.seek(0)
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = f.read().strip() or "unknown process"
            raise RunError(f"{store.root}: another driver is at work on this run ({holder})") from None
        f.truncate()
        f.write(f"process {os.getpid()}")
        f.flush()
        yield threading.Event()


@contextlib.contextmanager
def _object_lock(store: Store) -> Iterator[threading.Event]:
    """`lock.json`, created only if there is none, and rewritten every beat. A silent one is taken over."""
    holder = {"host": socket.gethostname(), "process": os.getpid(), "began": _start_time(os.getpid()), "beat": 0}
    holder["id"] = uuid.uuid4().hex
    if not store.create("lock.json", json.dumps(holder).encode()):
        _wait_for_silence(store)
        with contextlib.suppress(FileNotFoundError):
            store.remove("lock.json")
        if not store.create("lock.json", json.dumps(holder).encode()):
            raise RunError(f"{store.root}: another driver has just taken this run over")
    lost, stop = threading.Event(), threading.Event()

    def beat() -> None:
        for n in itertools.count(1):
            if lost.is_set() or stop.wait(BEAT_S):
                return
            try:
                if json.loads(store.read("lock.json"))["id"] != holder["id"]:
                    raise FileNotFoundError
                store.replace("lock.json", json.dumps({**holder, "beat": n}).encode())
            except FileNotFoundError:  # the object is gone or another driver's
                lost.set()
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
    """Returns when the holder is known to be dead or has let go. Raises RunError as soon as it shows life."""
    with contextlib.suppress(FileNotFoundError):  # the lock was released
        first = store.read("lock.json")
        holder = json.loads(first)
        if holder["host"] == socket.gethostname():
            alive = _start_time(holder["process"]) == holder["began"]
        else:
            alive, until = False, time.monotonic() + SILENT_S  # this machine's clock: the holder's may be wrong
            while not alive and time.monotonic() < until:
                time.sleep(BEAT_S / 4)
                alive = store.read("lock.json") != first
        if alive:
            name = f"process {holder['process']} on {holder['host']}"
            raise RunError(f"{store.root}: another driver is at work on this run ({name})")


def _start_time(process: int) -> str:
    """The start of a process of this machine, in clock ticks since boot; empty if it is dead or a zombie."""
    try:
        with open(f"/proc/{process}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
