"""Ranges of large files over https, s3 or a disk: which rows to read together, and when to try a range again.

Nothing here depends on what the bytes are.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from pipelines.fetch.http import Response, Session, retry_after

#: why a range could not be read. After missing, forbidden and wrong there is no second try
REASONS = ("range_missing", "range_forbidden", "range_timeout", "range_failed", "range_wrong")
_FINAL = ("range_missing", "range_forbidden", "range_wrong")

# before the second try; doubled each time. A random half of it is left out, so that readers do not come in step
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Read:
    """Bytes ``[start, stop)`` of a file, and the numbers of the rows that lie in them."""

    file: str
    start: int
    stop: int
    rows: tuple[int, ...]


def plan_reads(files: Sequence[str], places: Sequence[tuple[int, int]], gap: int, most: int) -> Iterator[Read]:
    """Which rows to read together. The rows are sorted by file and offset; ``places`` has (offset, length) of each.

    Neighbours at most ``gap`` bytes apart are one read, of at most ``most`` bytes unless a single row is longer.
    """
    start = stop = 0
    rows: list[int] = []
    for i, (file, (offset, length)) in enumerate(zip(files, places, strict=True)):
        end = offset + length
        if rows and (file != files[rows[-1]] or offset - stop > gap or max(stop, end) - start > most):
            yield Read(files[rows[-1]], start, stop, tuple(rows))
            rows = []
        if not rows:
            start, stop = offset, end
        rows.append(i)
        stop = max(stop, end)
    if rows:
        yield Read(files[rows[-1]], start, stop, tuple(rows))


class Ranges:
    """Reads ranges of files below a prefix (``https://host/``, ``s3://bucket/``, a folder). Threads may share it.

    A range has ``tries`` of at most ``try_s`` seconds each (on a disk and on s3: as far as the library observes it),
    all within ``deadline_s``. All files of a prefix come from one server: when it says that it is overloaded (429,
    503), every thread pauses.
    """

    def __init__(self, session: Session, prefix: str, *, tries: int, try_s: float, deadline_s: float) -> None:
        self.session, self.prefix = session, prefix if prefix.endswith("/") else prefix + "/"
        self.tries, self.try_s, self.deadline_s = tries, try_s, deadline_s
        self._fs: Any = None
        if not self.prefix.startswith(("http://", "https://")):
            s3 = {"config_kwargs": {"connect_timeout": 10, "read_timeout": try_s, "retries": {"max_attempts": 1}}}
            options = s3 if self.prefix.startswith(("s3://", "s3a://")) else {}
            self._fs, _ = fsspec.core.url_to_fs(self.prefix, **options)
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def get(self, file: str, start: int, stop: int) -> bytes | str:
        """Bytes ``[start, stop)``, or one of REASONS."""
        until = time.monotonic() + self.deadline_s
        pause, reason = FIRST_PAUSE_S, "range_timeout"
        for n in range(self.tries):
            time.sleep(max(0.0, min(self._paused_until, until) - time.monotonic()))
            left = until - time.monotonic()
            if left <= 0:
                break
            result, requested_pause = self._once(file, start, stop, min(self.try_s, left))
            if isinstance(result, bytes) or result in _FINAL:
                return result
            reason = result
            if n + 1 < self.tries:
                wait = min(LONGEST_PAUSE_S, max(random.uniform(pause / 2, pause), requested_pause or 0.0))
                if requested_pause is not None:
                    with self._lock:
                        self._paused_until = max(self._paused_until, time.monotonic() + wait)
                time.sleep(max(0.0, min(wait, until - time.monotonic())))
                pause *= 2
        return reason

    def _once(self, file: str, start: int, stop: int, seconds: float) -> tuple[bytes | str, float | None]:
        """-> (bytes or a reason, seconds for which an overloaded server asks to be left alone, or None)"""
        if self._fs is not None:
            return self._from_file_system(self.prefix + file, start, stop), None
        answer = self.session.get(
            self.prefix + file,
            deadline_s=seconds,
            max_bytes=stop - start,
            headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
            # a server that ignores the range would send the whole file
            judge=lambda status, _: None if status == 206 else "range_wrong",
        )
        pause = (retry_after(answer) or 0.0) if answer.http_status in (429, 503) else None
        return _checked(answer, start, stop), pause

    def _from_file_system(self, path: str, start: int, stop: int) -> bytes | str:
        try:
            data = self._fs.cat_file(path, start=start, end=stop)
        except FileNotFoundError:
            return "range_missing"
        except PermissionError:
            return "range_forbidden"
        except OSError as error:
            return "range_timeout" if isinstance(error, TimeoutError) else "range_failed"
        return bytes(data) if len(data) == stop - start else "range_wrong"


def _checked(answer: Response, start: int, stop: int) -> bytes | str:
    if answer.status == "ok":
        sent = answer.get("content-range").replace("bytes", "").strip()
        right = len(answer.body) == stop - start and sent.startswith(f"{start}-{stop - 1}/")
        return answer.body if right else "range_wrong"
    if answer.http_status in (404, 410):
        return "range_missing"
    if answer.http_status in (401, 403) or answer.status in ("private_address", "bad_url"):
        return "range_forbidden"
    if answer.status in ("range_wrong", "too_large") or answer.http_status == 416:
        return "range_wrong"
    return "range_timeout" if answer.status == "timeout" else "range_failed"
