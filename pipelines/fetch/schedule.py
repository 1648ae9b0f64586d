"""Whose turn it is: rows waiting by host, at most so many of one host in flight, hosts in turn.

A thread asks for any row whose host is free, so a slow host holds as many threads as it has slots and no more.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence


class Schedule:
    """``hosts[row]`` is the row's host. Each row is handed out once; rows of one host in order, hosts in the order they
    first appear.
    """

    def __init__(self, hosts: Sequence[str], per_host: int) -> None:
        if per_host < 1:
            raise ValueError(f"per_host is {per_host}: at least 1")
        self._waiting: dict[str, deque[int]] = defaultdict(deque)
        for row, host in enumerate(hosts):
            self._waiting[host].append(row)
        self._ready = deque(self._waiting)  # hosts with a row and a free slot, each at most once
        self._listed = set(self._ready)
        self._resting: list[tuple[float, str]] = []  # (monotonic time, host) under a crawl delay
        self._flying: Counter[str] = Counter()
        self._limit: defaultdict[str, int] = defaultdict(lambda: per_host)
        self._changed = threading.Condition()

    def take(self) -> tuple[int, str]:
        """The next row and its host; waits until a host is free. IndexError when every row has been handed out."""
        with self._changed:
            while True:
                self._wake()
                while self._ready:
                    host = self._ready.popleft()
                    self._listed.discard(host)
                    waiting = self._waiting.get(host)
                    if not waiting or self._flying[host] >= self._limit[host]:
                        continue
                    row = waiting.popleft()
                    if not waiting:
                        del self._waiting[host]
                    self._flying[host] += 1
                    self._list(host)
                    return row, host
                if not self._waiting:
                    raise IndexError("no rows left")
                self._changed.wait(max(0.001, self._resting[0][0] - time.monotonic()) if self._resting else None)

    def give_back(self, host: str, delay: float = 0.0) -> None:
        """A slot of the host is free again. ``delay``: seconds the host rests first, and it is then served one at a
        time.
        """
        with self._changed:
            self._flying[host] -= 1
            if delay > 0:
                self._limit[host] = 1
                if host in self._listed:
                    self._listed.discard(host)
                    self._ready.remove(host)
                heapq.heappush(self._resting, (time.monotonic() + delay, host))
            else:
                self._list(host)
            self._changed.notify_all()

    def move(self, old: str, new: str, timeout: float) -> bool:
        """Change a slot of one host for one of another, as a redirect asks. The old one is free at once, so nobody
        waits in a ring.

        False when there was none in time: then no slot is held.
        """
        if old == new:
            return True
        self.give_back(old)
        with self._changed:
            if not self._changed.wait_for(lambda: self._flying[new] < self._limit[new], timeout):
                return False
            self._flying[new] += 1
            return True

    def _list(self, host: str) -> None:
        resting = any(h == host for _, h in self._resting)
        if (
            host in self._waiting
            and host not in self._listed
            and not resting
            and self._flying[host] < self._limit[host]
        ):
            self._ready.append(host)
            self._listed.add(host)

    def _wake(self) -> None:
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            _, host = heapq.heappop(self._resting)
            self._list(host)
