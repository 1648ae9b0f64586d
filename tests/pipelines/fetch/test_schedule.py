import threading
import time
from collections import Counter

import pytest

from pipelines.fetch.schedule import Schedule


def test_hosts_take_turns_and_rows_of_a_host_are_in_order() -> None:
    schedule = Schedule(["a", "a", "a", "b", "c"], per_host=2)
    rows = [schedule.take() for _ in range(4)]
    assert rows == [(0, "a"), (3, "b"), (4, "c"), (1, "a")]
    schedule.give_back("a")
    assert schedule.take() == (2, "a")
    with pytest.raises(IndexError):
        schedule.take()


def test_every_row_is_taken_once_within_the_limit_of_its_host() -> None:
    hosts = [f"h{i % 7}" for i in range(300)]
    schedule = Schedule(hosts, per_host=2)
    in_flight: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    rows: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            try:
                row, host = schedule.take()
            except IndexError:
                return
            with lock:
                rows.append(row)
                in_flight[host] += 1
                peak[host] = max(peak[host], in_flight[host])
            time.sleep(0.0005)
            with lock:
                in_flight[host] -= 1
            schedule.give_back(host)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
    assert sorted(rows) == list(range(300))
    assert max(peak.values()) <= 2


def test_a_host_rests_after_a_delay() -> None:
    schedule = Schedule(["a", "a"], per_host=2)
    schedule.take()
    schedule.give_back("a", delay=0.1)
    start = time.monotonic()
    assert schedule.take() == (1, "a")
    assert time.monotonic() - start >= 0.09


def test_a_redirect_waits_for_the_other_host_without_holding_its_own() -> None:
    schedule = Schedule(["a", "b", "a"], per_host=1)
    schedule.take()
    schedule.take()
    assert not schedule.move("a", "b", 0.05)
    assert schedule.take() == (2, "a")
    threading.Timer(0.05, schedule.give_back, ("b",)).start()
    assert schedule.move("a", "b", 5)
