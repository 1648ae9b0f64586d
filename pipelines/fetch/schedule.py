"""The order of requests: hosts take turns, and a host has a limited number of requests at a time.

A thread takes any row whose host has a free slot. So a slow host holds as many threads as it has slots, and no more.
"""

import heapq
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence


class Schedule:
    """``hosts[row]`` is the row's host. Each row is taken once: the rows of a host in order, the hosts in the order of
    their first rows."""

    def __init__(self, hosts: Sequence[str], per_host: int) -> None:
        if per_host < 1:
            raise ValueError(f"per_host is {per_host}: at least 1")
        self._waiting: dict[str, deque[int]] = defaultdict(deque)
        for row, host in enumerate(hosts):
            self._waiting[host].append(row)
        # hosts with a row and a free slot, in order; the values are not used
        self._ready: OrderedDict[str, None] = OrderedDict.fromkeys(self._waiting)
        self._resting: list[tuple[float, str]] = []  # (monotonic time, host) under a crawl delay
        self._used: Counter[str] = Counter()  # slots
        self._limit: defaultdict[str, int] = defaultdict(lambda: per_host)
        self._changed = threading.Condition()

    def take(self) -> tuple[int, str]:
        """The next row and its host. Waits for a free slot. Raises IndexError when every row has been taken."""
        with self._changed:
            while True:
                self._wake()
                while self._ready:
                    host, _ = self._ready.popitem(last=False)
                    rows = self._waiting.get(host)
                    if not rows or self._used[host] >= self._limit[host]:
                        continue
                    row = rows.popleft()
                    if not rows:
                        del self._waiting[host]
                    self._used[host] += 1
                    self._set_ready(host)
                    return row, host
                if not self._waiting:
                    raise IndexError("no rows left")
                self._changed.wait(max(0.001, self._resting[0][0] - time.monotonic()) if self._resting else None)

    def give_back(self, host: str, delay: float = 0.0) -> None:
        """Free a slot. ``delay``: seconds for which the host rests first; from then on it has one slot."""
        with self._changed:
            self._used[host] -= 1
            if delay > 0:
                self._limit[host] = 1
                self._ready.pop(host, None)
                heapq.heappush(self._resting, (time.monotonic() + delay, host))
            else:
                self._set_ready(host)
            self._changed.notify_all()

    def move(self, old: str, new: str, timeout: float) -> bool:
        """Exchange a slot of one host for one of another, after a redirect. The old slot is freed at once, so that
        threads do not wait for one another in a circle. False if none was free in time: then no slot is held."""
        if old == new:
            return True
        self.give_back(old)
        with self._changed:
            if not self._changed.wait_for(lambda: self._used[new] < self._limit[new], timeout):
                return False
            self._used[new] += 1
            return True

    def _set_ready(self, host: str) -> None:
        is_resting = any(other == host for _, other in self._resting)
        if host in self._waiting and not is_resting and self._used[host] < self._limit[host]:
            self._ready.setdefault(host)

    def _wake(self) -> None:
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            _, host = heapq.heappop(self._resting)
            self._set_ready(host)
