"""The fence round native code: a long-lived child process that runs parts, one a time.

The child writes the row (and sub-row) it is on into a small shared file before it touches it. The parent watches: a
child that crashes, hangs past the row's deadline or takes too much memory is killed, and the row it was on is known. A
child exits when its parent does. No address-space limit is set: it breaks Arrow and torch; memory is watched instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
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

from pipelines.engine.part import OUTSIDE, Task, fatal, run_part, why
from pipelines.engine.retry import Kind, PartResult
from pipelines.engine.storage import in_a_line, of_a_store

_CRUMB = struct.Struct("<qqd")  # row, sub-row, monotonic seconds


OUTSIDE_S = 3600.0  # for reading, committing and loading a model, whatever a row is given
PARTS_A_CHILD = 1000  # then a fresh one, against what libraries leak


class Child:
    """The parent's handle on one child. `start` a part, `poll` until it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.work: Task | None = None
        self.stage: Any = None  # the last it was given
        self.parts = 0

    def start(self, work: Task) -> None:
        if self.process is not None and (self.parts >= PARTS_A_CHILD or _resident(self.process.pid) > work.memory / 2):
            self.close()
        if self.process is None:
            self._spawn()
        self.work, self.stage = work, work.stage
        self.parts += 1
        _write(self.crumb, 0, OUTSIDE)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died idle: poll says so
            self.pipe.send_bytes(pickle.dumps(work))

    def poll(self) -> PartResult | None:
        """How the part ended, or None while it runs."""
        assert self.process is not None and self.work is not None
        if self.pipe.poll():
            try:
                ended = pickle.loads(self.pipe.recv_bytes())
            except (EOFError, ConnectionResetError):
                return self._died()
            self.work = None
            assert isinstance(ended, PartResult)
            return ended
        if self.process.poll() is not None:
            return self._died()
        row, sub, since = _CRUMB.unpack_from(self.crumb, 0)
        seconds = max(self.work.deadline_s, OUTSIDE_S) if sub == OUTSIDE else self.work.deadline_s
        if time.monotonic() - since > seconds:
            return self._killed(row, sub, "hang", f"hang: no answer within {seconds:g} s")
        if _resident(self.process.pid) > self.work.memory:
            return self._killed(row, sub, "memory", f"memory: more than {self.work.memory >> 20} MiB resident")
        return None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    def _spawn(self) -> None:
        self.pipe, theirs = Pipe()
        self.folder = tempfile.mkdtemp(prefix=f"{_mine()}{os.getpid()}-")  # the child's own: gone when it is
        crumb = os.path.join(self.folder, "row")
        with open(crumb, "w+b") as f:
            f.truncate(_CRUMB.size)
            self.crumb = mmap.mmap(f.fileno(), _CRUMB.size)
        code = f"from pipelines.engine.fence import child; child({theirs.fileno()}, {crumb!r}, {os.getpid()})"
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "OMP_THREAD_LIMIT": "1",
            "OMP_NUM_THREADS": "1",
        }
        env["TMPDIR"] = self.folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[theirs.fileno()], env=env, stdin=subprocess.DEVNULL
        )
        theirs.close()

    def _died(self) -> PartResult:
        assert self.process is not None
        code = self.process.wait()
        row, sub, _ = _CRUMB.unpack_from(self.crumb, 0)
        cause = signal.Signals(-code).name if code < 0 else f"exit {code}"
        self._forget()
        return PartResult(None, row, sub, "lost" if code == -signal.SIGKILL else "crash", f"crash: {cause}")

    def _killed(self, row: int, sub: int, kind: Kind, cause: str) -> PartResult:
        self.close()
        return PartResult(None, row, sub, kind, cause)

    def _forget(self) -> None:
        self.pipe.close()
        self.crumb.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.process = self.work = self.stage = None
        self.parts = 0


def _mine() -> str:
    return f"panoramix-{socket.gethostname()}-"


def sweep() -> None:
    """Remove what children of dead parents have left on this machine."""
    for name in os.listdir(tempfile.gettempdir()):
        owner = name.removeprefix(_mine()).partition("-")[0]
        if name.startswith(_mine()) and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def _write(crumb: Any, row: int, sub: int) -> None:
    """Where the part stands, and since when. In one copy: `pack_into` clears the place first, and whoever reads it in
    that moment takes
    the row for one that hangs since the machine was started."""
    crumb[: _CRUMB.size] = _CRUMB.pack(row, sub, time.monotonic())


def attempt(work: Task, crumb: Any) -> PartResult:
    """Run a part in this process; exceptions become how it ended."""

    def mark(row: int, sub: int) -> None:
        _write(crumb, row, sub)

    try:
        return PartResult(run_part(work, mark))
    except Exception as e:
        row, sub, _ = _CRUMB.unpack_from(crumb, 0)
        if fatal(e) and not isinstance(e, ImportError):  # its line says it all
            return PartResult(None, row, sub, "fatal", in_a_line(e, work.root) if of_a_store(e) else str(e))
        kind: Kind = "fatal" if fatal(e) else "memory" if isinstance(e, MemoryError) else "exception"
        return PartResult(None, row, sub, kind, why(e), traceback.format_exc())


def child(fd: int, crumb_path: str, parent: int) -> None:
    """The child's life: parts come in, how they ended goes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with(parent)
    pipe = Connection(fd)
    with open(crumb_path, "r+b") as f:
        crumb = mmap.mmap(f.fileno(), _CRUMB.size)
    while True:
        try:
            data = pipe.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        try:
            work = pickle.loads(data)
        except Exception as e:  # a stage whose module this machine does not have
            ended = PartResult(None, kind="fatal", cause=why(e), detail=traceback.format_exc())
        else:
            ended = attempt(work, crumb)
        pipe.send_bytes(pickle.dumps(ended))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:  # elsewhere, and where the parent died before the call above
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _resident(pid: int) -> int:
    """Resident bytes of a process; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
