"""Blocks of remote files on the local disk, at most so many bytes of them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

#: bytes of a block: what one request brings. A loader reads the samples of a few shards in random order, so a block is
#: soon wanted again
BLOCK = 4 << 20


class Cache:
    """A folder that several threads, and several processes, may share. What was used longest ago leaves first.

    limit: bytes the folder may hold, about: each process sees what the others have put there when its own blocks make
    it look.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int, block: int = BLOCK) -> None:
        if limit < block:
            raise ValueError(f"a cache of {limit} bytes does not hold one block of {block}")
        self.folder, self.limit, self.block = Path(folder), limit, block
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hits = self.misses = 0
        self._lock = threading.Lock()
        self._held = self._trim()

    def range(self, name: str, start: int, end: int, fetch: Callable[[int, int], bytes]) -> bytes:
        """Bytes [start, end) of the file `name`, fewer where it is shorter; `fetch` reads a stretch of the file itself.

        `name` must be another when the content is another.
        """
        out = []
        for number in range(start // self.block, -(-end // self.block)):
            low = number * self.block
            data = self._block(f"{name} {number}", lambda low=low: fetch(low, low + self.block))  # type: ignore[misc]
            out.append(data[max(0, start - low) : end - low])
        return b"".join(out)

    def _block(self, name: str, fetch: Callable[[], bytes]) -> bytes:
        path = self.folder / f"{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.block"
        try:
            data = path.read_bytes()
            os.utime(path)  # used now
            self.hits += 1
            return data
        except FileNotFoundError:
            pass
        data = fetch()
        self.misses += 1
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".new")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
        with self._lock:
            self._held += len(data)
            if self._held > self.limit:
                self._held = self._trim()
        return data

    def _trim(self) -> int:
        """Bytes held, after the blocks used longest ago have made room for a tenth of the limit where it was passed."""
        found = []
        for path in self.folder.glob("*.block"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process was quicker
                continue
            found.append((stat.st_mtime_ns, stat.st_size, path))
        held = sum(size for _, size, _ in found)
        if held > self.limit:
            for _, size, path in sorted(found):
                if held <= self.limit * 0.9:
                    break
                path.unlink(missing_ok=True)
                held -= size
        return held
