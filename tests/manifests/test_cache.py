import os
import pickle
import threading
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.cache import Cache
from manifests.runfiles import RunFiles
from shards.loader import Loader
from tests.shards import made

DATA = os.urandom(5000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5500), st.integers(0, 3000)), max_size=8),
    st.integers(200, 900),
    st.integers(1, 9),
)
def test_any_range_has_its_bytes_and_the_folder_stays_within_its_limit(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int]], block: int, blocks: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = Cache(folder, block * blocks, block)
    for start, size in ranges:
        assert cache.range("a", start, start + size, lambda a, b: DATA[a:b]) == DATA[start : start + size]
        assert sum(path.stat().st_size for path in folder.iterdir()) <= block * blocks


def test_a_block_is_fetched_once_and_the_least_recently_used_is_removed_first(tmp_path: Path) -> None:
    starts: list[int] = []

    def fetch(a: int, b: int) -> bytes:
        starts.append(a)
        return DATA[a:b]

    cache = Cache(tmp_path, 350, 100)
    for at in (0, 100, 200, 0, 0):
        cache.range("a", at, at + 50, fetch)
    assert starts == [0, 100, 200]
    for n, path in enumerate(sorted(tmp_path.iterdir(), key=lambda p: p.read_bytes() != DATA[100:200])):
        os.utime(path, (n, n))
    cache.range("a", 300, 350, fetch)
    cache.range("a", 100, 150, fetch)
    assert starts == [0, 100, 200, 300, 100]
    assert cache.range("another file", 0, 50, fetch) == DATA[:50]
    assert starts[-1] == 0


def test_a_folder_may_be_shared_by_threads_and_opened_again(tmp_path: Path) -> None:
    wrong: list[int] = []

    def read(seed: int) -> None:
        cache = Cache(tmp_path, 1000, 100)
        for i in range(200):
            at = (i * 37 + seed * 101) % 4900
            if cache.range("a", at, at + 100, lambda a, b: DATA[a:b]) != DATA[at : at + 100]:
                wrong.append(at)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not list(tmp_path.glob("*.new"))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 * 1000
    Cache(tmp_path, 1000, 100)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_a_cache_too_small_for_a_block_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a cache of 10 bytes does not hold one block"):
        Cache(tmp_path, 10)


def test_a_remote_run_is_read_through_the_cache(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    run = made.run(tmp_path / "run", {"pairs": [20, 11]})
    memory = fsspec.filesystem("memory")
    for path in run.rglob("*"):
        if path.is_file():
            memory.pipe(f"/cached/{path.relative_to(run)}", path.read_bytes())
    mixture = {"batch_sequences": 4, "sources": {"pairs": {"weight": 1, "sequence_length": 256}}}
    loader = Loader("memory://cached", mixture, cache=tmp_path / "cache", cache_bytes=50 << 20, threads=2)
    sequences = [b.sequences for b in islice(loader, 20)]
    assert sequences == [b.sequences for b in islice(Loader(run, mixture), 20)]
    cache = loader._files.cache
    assert cache is not None
    assert 2 <= cache.misses <= 4  # two shards of one block; two threads may miss the same at once
    assert cache.hits > 50


def test_run_files_with_a_cache_can_be_pickled(tmp_path: Path) -> None:
    store = pickle.loads(pickle.dumps(RunFiles("memory://x", Cache(tmp_path, 1000, 100))))
    assert (store.root, store.cache.limit, store.cache.block) == ("memory://x", 1000, 100)
    assert pickle.loads(pickle.dumps(RunFiles(tmp_path))).cache is None
