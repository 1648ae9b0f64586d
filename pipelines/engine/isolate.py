"""Isolation of native code: a long-lived child process runs parts, one at a time.

The child writes its position (row and sub-row) into a small shared file before it touches the row. The parent watches:
it kills a child that hangs past the deadline of the row or uses too much memory, and it knows the row at which a child
crashed. A child exits when its parent does. There is no address-space limit, because that breaks Arrow and torch; the
parent watches the resident memory instead.
"""

import contextlib
import ctypes
import mmap
import os
import pathlib
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from pipelines.engine.part import cause_of, fatal, run_part
from pipelines.engine.retry import Kind, PartResult
from pipelines.engine.stage import OUTSIDE, Task
from pipelines.engine.storage import is_store_error, one_line
from pipelines.engine.usage import Meter

_POSITION = struct.Struct("<qqd")  # row, sub-row, monotonic seconds
_PREFIX = f"panoramix-{socket.gethostname()}-"

OUTSIDE_S = 3600.0  # deadline for reading, committing and loading a model
_KEPT = 256 << 20  # bytes of memory that a child keeps between parts
PARTS_PER_CHILD = 1000  # then a new child starts, against leaks of libraries


class Child:
    """The parent's handle of one child process: `start` a part, then `poll` until it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.task: Task | None = None
        self.stage: Any = None  # of the last part
        self.parts = 0

    def start(self, task: Task) -> None:
        used = 0 if self.process is None else _resident(self.process.pid)
        if self.parts >= PARTS_PER_CHILD or used > task.step.memory / 2:
            self.close()
        if self.process is None:
            self._spawn()
        self.task, self.stage = task, task.step.stage
        self.parts += 1
        _write_position(self.position, 0, OUTSIDE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the child died while idle: poll reports it
            self.pipe.send_bytes(pickle.dumps(task))

    def poll(self) -> PartResult | None:
        """The result of the part, or None while it runs."""
        assert self.process is not None and self.task is not None
        if self.pipe.poll():
            try:
                result = pickle.loads(self.pipe.recv_bytes())
            except (EOFError, ConnectionResetError):
                return self._crashed()
            self.task = None
            assert isinstance(result, PartResult)
            return result
        if self.process.poll() is not None:
            return self._crashed()
        row, sub, since = _POSITION.unpack_from(self.position, 0)
        step = self.task.step
        seconds = max(step.deadline_s, OUTSIDE_S) if sub == OUTSIDE else step.deadline_s
        if time.monotonic() - since > seconds:
            result = PartResult(None, row, sub, "hang", f"hang: no answer within {seconds:g} s")
        elif _resident(self.process.pid) > step.memory:
            result = PartResult(None, row, sub, "memory", f"memory: more than {step.memory >> 20} MiB resident")
        else:
            return None
        self.close()
        return result

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._reset()

    def _spawn(self) -> None:
        self.pipe, child_end = Pipe()
        self.folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")  # for the child's temporary files
        path = os.path.join(self.folder, "row")
        pathlib.Path(path).write_bytes(bytes(_POSITION.size))
        self.position = _map(path)
        code = f"from pipelines.engine.isolate import child; child({child_end.fileno()}, {path!r}, {os.getpid()})"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "TMPDIR": self.folder}
        env |= {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code]
        # stdout belongs to the command: what a stage prints there, also from native code, goes to stderr
        self.process = subprocess.Popen(
            command, pass_fds=[child_end.fileno()], env=env, stdin=subprocess.DEVNULL, stdout=2
        )
        child_end.close()

    def _crashed(self) -> PartResult:
        assert self.process is not None
        code = self.process.wait()
        row, sub, _ = _POSITION.unpack_from(self.position, 0)
        cause = signal.Signals(-code).name if code < 0 else f"exit {code}"
        self._reset()
        return PartResult(None, row, sub, "lost" if code == -signal.SIGKILL else "crash", f"crash: {cause}")

    def _reset(self) -> None:
        self.pipe.close()
        self.position.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.process = self.task = self.stage = None
        self.parts = 0


def remove_stale_folders() -> None:
    """Remove the temporary folders of children whose parent on this machine is dead."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not os.path.exists(f"/proc/{folder.name.removeprefix(_PREFIX).partition('-')[0]}"):
            shutil.rmtree(folder, ignore_errors=True)


def _map(path: str) -> mmap.mmap:
    with open(path, "r+b") as f:
        return mmap.mmap(f.fileno(), _POSITION.size)


def _write_position(position: Any, row: int, sub: int) -> None:
    # One copy. `pack_into` clears the bytes first, and a parent that reads them at that moment sees a row that has hung
    # since the machine was started.
    position[: _POSITION.size] = _POSITION.pack(row, sub, time.monotonic())


def attempt(task: Task, position: Any) -> PartResult:
    """Run a part in this process; an exception becomes the result."""
    meter = Meter()
    try:
        sidecar = run_part(task, lambda row, sub: _write_position(position, row, sub))
        return PartResult(sidecar, usage=meter.usage())
    except Exception as e:
        row, sub, _ = _POSITION.unpack_from(position, 0)
        if fatal(e) and not isinstance(e, ImportError):  # its message says everything
            return PartResult(None, row, sub, "fatal", one_line(e, task.root) if is_store_error(e) else str(e))
        kind: Kind = "fatal" if fatal(e) else "memory" if isinstance(e, MemoryError) else "exception"
        return PartResult(None, row, sub, kind, cause_of(e), traceback.format_exc())


def child(fd: int, position_path: str, parent: int) -> None:
    """The main function of a child: receives tasks and sends results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _die_with(parent)
    pipe = Connection(fd)
    position = _map(position_path)
    while True:
        try:
            data = pipe.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        try:
            result = attempt(pickle.loads(data), position)
        except Exception as e:  # a stage whose module this machine does not have
            result = PartResult(None, kind="fatal", cause=cause_of(e), detail=traceback.format_exc())
        pipe.send_bytes(pickle.dumps(result))
        del result
        _free_memory()


def _free_memory() -> None:
    """Give what the last part has freed back to the system: the next part may be of another stage."""
    if _resident(os.getpid()) > _KEPT:
        pa.default_memory_pool().release_unused()
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:  # on other systems, and for a parent that died before the call above
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _resident(pid: int) -> int:
    """Resident bytes of a process; 0 if the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
