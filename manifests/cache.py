"""A cache of blocks of remote files on the local disk, with a limit in bytes."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

#: bytes of a block, which one request fetches. A loader reads a few shards in random order, so it needs a block again
BLOCK = 4 << 20


class Cache:
    """A folder that several threads and processes may share. The least recently used blocks are removed first.

    limit: bytes of the folder, about: a process counts the blocks of the others only when its own reach the limit.
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
        """Bytes [start, end), or fewer, of the file `name`, which names its content. fetch: reads a range of it."""
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
            os.utime(path)  # the time of its last use
            self.hits += 1
            return data
        except FileNotFoundError:
            self.misses += 1
        data = fetch()
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
        """Bytes held. If they pass the limit, removes the least recently used blocks down to nine tenths of it."""
        blocks = []
        for path in self.folder.glob("*.block"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process has removed it
                continue
            blocks.append((stat.st_mtime_ns, stat.st_size, path))
        held = sum(size for _, size, _ in blocks)
        if held > self.limit:
            for _, size, path in sorted(blocks):
                if held <= self.limit * 0.9:
                    break
                path.unlink(missing_ok=True)
                held -= size
        return held
