"""The fence round native code: a long-lived child process that runs parts, one a time.

The child writes the row (and sub-row) it is on into a small shared file before it touches it. The parent watches: a child that
crashes, hangs past the row's deadline or takes too much memory is killed, and the row it was on is known. A child exits when its
parent does. No address-space limit is set: it breaks Arrow and torch; memory is watched instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import pickle
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pipelines.engine.commit import Sidecar
from pipelines.engine.part import FATAL, Work, run_part, why

_CRUMB = struct.Struct("<qqd")  # row, sub-row, monotonic seconds


@dataclass(frozen=True)
class Ended:
    """How a part ended in the child: committed, or failed at a row for a cause."""

    sidecar: Sidecar | None
    row: int = 0
    sub: int = 0
    cause: str = ""
    detail: str = ""
    fatal: bool = False


class Child:
    """The parent's handle on one child. `start` a part, `poll` until it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.work: Work | None = None

    def start(self, work: Work) -> None:
        if self.process is None:
            self._spawn()
        self.work = work
        _CRUMB.pack_into(self.crumb, 0, 0, -1, time.monotonic())
        with contextlib.suppress(BrokenPipeError):  # it died idle: poll says so
            self.pipe.send_bytes(pickle.dumps(work))

    def poll(self) -> Ended | None:
        """How the part ended, or None while it runs."""
        assert self.process is not None and self.work is not None
        if self.pipe.poll():
            try:
                ended = pickle.loads(self.pipe.recv_bytes())
            except (EOFError, ConnectionResetError):
                return self._died()
            self.work = None
            assert isinstance(ended, Ended)
            return ended
        if self.process.poll() is not None:
            return self._died()
        row, sub, since = _CRUMB.unpack_from(self.crumb, 0)
        if time.monotonic() - since > self.work.deadline_s:
            return self._killed(row, sub, "hang", f"no answer within {self.work.deadline_s:g} s")
        if _resident(self.process.pid) > self.work.memory:
            return self._killed(row, sub, "memory", f"more than {self.work.memory >> 20} MiB resident")
        return None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    def _spawn(self) -> None:
        here, there = os.pipe(), os.pipe()  # here: child -> parent; there: parent -> child
        self.crumb_file = tempfile.NamedTemporaryFile(prefix="panoramix-row-")  # noqa: SIM115  closed in _forget
        self.crumb_file.truncate(_CRUMB.size)
        self.crumb = mmap.mmap(self.crumb_file.fileno(), _CRUMB.size)
        for fd in (there[0], here[1]):
            os.set_inheritable(fd, True)
        code = f"from pipelines.engine.fence import child; child({there[0]}, {here[1]}, {self.crumb_file.name!r}, {os.getpid()})"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", code], pass_fds=(there[0], here[1]), env=env, stdin=subprocess.DEVNULL)
        os.close(there[0])
        os.close(here[1])
        self.pipe = _Pipe(Connection(here[0], writable=False), Connection(there[1], readable=False))

    def _died(self) -> Ended:
        assert self.process is not None
        code = self.process.wait()
        row, sub, _ = _CRUMB.unpack_from(self.crumb, 0)
        cause = signal.Signals(-code).name if code < 0 else f"exit {code}"
        self._forget()
        return Ended(None, row, sub, f"crash: {cause}")

    def _killed(self, row: int, sub: int, cause: str, detail: str) -> Ended:
        self.close()
        return Ended(None, row, sub, cause, detail)

    def _forget(self) -> None:
        self.pipe.close()
        self.crumb.close()
        self.crumb_file.close()
        self.process = self.work = None


class _Pipe:
    def __init__(self, incoming: Connection, outgoing: Connection):
        self.incoming, self.outgoing = incoming, outgoing
        self.poll, self.recv_bytes, self.send_bytes = incoming.poll, incoming.recv_bytes, outgoing.send_bytes

    def close(self) -> None:
        self.incoming.close()
        self.outgoing.close()


def attempt(work: Work, crumb: Any) -> Ended:
    """Run a part in this process; exceptions become how it ended."""

    def mark(row: int, sub: int) -> None:
        _CRUMB.pack_into(crumb, 0, row, sub, time.monotonic())

    try:
        return Ended(run_part(work, mark))
    except Exception as e:
        row, sub, _ = _CRUMB.unpack_from(crumb, 0)
        full = isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT)
        return Ended(None, row, sub, why(e), traceback.format_exc(), isinstance(e, FATAL) or full or not work.is_map)


def child(incoming: int, outgoing: int, crumb_path: str, parent: int) -> None:
    """The child's life: parts come in, how they ended goes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with(parent)
    pipe_in, pipe_out = Connection(incoming, writable=False), Connection(outgoing, readable=False)
    with open(crumb_path, "r+b") as f:
        crumb = mmap.mmap(f.fileno(), _CRUMB.size)
    while True:
        try:
            work = pickle.loads(pipe_in.recv_bytes())
        except EOFError:
            return
        pipe_out.send_bytes(pickle.dumps(attempt(work, crumb)))


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
