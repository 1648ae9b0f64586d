"""Speed of MinHash signatures, and recall of planted copies: ours, datasketch and datatrove on the same texts.

Texts: the main content of the real pages beside the checkout (../shared/realweb) if they exist, else random words; each
row says which. Each contender runs in a new process, so that its peak memory is its own. Speeds are by processor time
on one core, the best of up to three runs after a warm-up. Only signing is timed, from a text in memory to signature and
band keys (ours: the whole `Sign` stage, with addresses and exact hashes). Recall: of copies of half of the documents,
with 3 % of their words changed, the share where exactly one of the two is dropped. `lost`: documents without a copy
that are dropped. datasketch is also the check of our signatures: tests/dedup/test_minhash.py.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PAGES = Path(__file__).resolve().parents[2] / "shared" / "realweb" / "pages.warc.gz"
SHARE = 0.03  # of the words changed in a planted copy
BATCH = 256  # documents

Row = dict[str, Any]


def texts() -> tuple[str, list[str]]:
    """(their source, documents of at least 50 words)."""
    if PAGES.exists():
        from fastwarc.warc import ArchiveIterator, WarcRecordType
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding

        pages = []
        with PAGES.open("rb") as f:
            for record in ArchiveIterator(f, record_types=WarcRecordType.response):
                body = record.reader.read()
                text = extract_plain_text(
                    bytes_to_str(body, detect_encoding(body)), main_content=True, alt_texts=False, links=False
                )
                pages.append(" ".join(text.split()))
        return "real pages", sorted({t for t in pages if len(t.split()) >= 50})
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    return "random words", [" ".join(rng.choices(vocabulary, k=rng.randint(100, 1500))) for _ in range(600)]


def copy_of(text: str, seed: int) -> str:
    rng = random.Random(seed)
    words = text.split()
    for place in rng.sample(range(len(words)), max(1, round(SHARE * len(words)))):
        words[place] = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7))
    return " ".join(words)


def planted(documents: Sequence[str]) -> tuple[list[str], int]:
    """The documents, followed by copies of the first half: (texts, number of documents)."""
    return [*documents, *(copy_of(t, n) for n, t in enumerate(documents[: len(documents) // 2]))], len(documents)


# Contenders: `run` signs texts, `dropped` gives the indices of the texts that are dropped.


def _batches(documents: Sequence[str]) -> list[Any]:
    import pyarrow as pa

    from manifests.schema import DECISION, DOCUMENT

    schema = pa.schema([*DOCUMENT, *DECISION])
    rows = [
        {
            "id": f"{n:032x}",
            "url": f"http://{n}.example/",
            "nodes": [{"kind": "text", "text": t}],
            "keep": True,
            "node_keep": [True],
            "fetched_at": 0,
        }
        for n, t in enumerate(documents)
    ]
    return [pa.RecordBatch.from_pylist(rows[low : low + BATCH], schema=schema) for low in range(0, len(rows), BATCH)]


class Ours:
    def __init__(self, bands: int = 14, rows: int = 8, threshold: float = 0.8) -> None:
        from dedup.sign import Sign
        from dedup.verify import Verify

        self.sign, self.verify = Sign(bands=bands, rows=rows), Verify(threshold)

    def prepare(self, documents: Sequence[str]) -> Any:
        return _batches(documents)

    def run(self, batches: Any) -> dict[str, list[Any]]:
        from manifests.stage import DirectContext

        out: dict[str, list[Any]] = defaultdict(list)
        first = 0
        for batch in batches:
            for name, table in self.sign(batch, DirectContext(first=first)):
                out[name].append(table)
            first += batch.num_rows
        return out

    def dropped(self, documents: Sequence[str]) -> set[int]:
        import pyarrow as pa

        from dedup.group import Components, Group
        from dedup.verify import GatherClusters

        def one(stage: Any, **tables: Any) -> dict[str, Any]:
            return {name: pa.Table.from_batches([rows]) for name, rows in stage(tables)}

        signed = {name: pa.Table.from_batches(t) for name, t in self.run(self.prepare(documents)).items()}
        membership = one(Components(), **one(Group(), bands=signed["bands"]))["membership"]
        clusters = one(GatherClusters(), membership=membership, signatures=signed["signatures"])
        return set(one(self.verify, **clusters)["duplicates"]["row"].to_pylist())


def grams(text: str) -> list[bytes]:
    words = text.lower().split()
    return [" ".join(words[n : n + 5]).encode() for n in range(max(len(words) - 4, 1))]


class Datasketch:
    def __init__(self, threshold: float = 0.7) -> None:
        import datasketch
        import xxhash

        self.lib, self.threshold, self.hash = datasketch, threshold, xxhash.xxh32_intdigest

    def prepare(self, documents: Sequence[str]) -> Any:
        return documents

    def run(self, documents: Sequence[str]) -> list[Any]:
        hashed = self.lib.MinHash.generator((grams(t) for t in documents), num_perm=112, seed=1, hashfunc=self.hash)
        return [self.lib.LeanMinHash(m) for m in hashed]

    def dropped(self, documents: Sequence[str]) -> set[int]:
        """As in its documentation: a document is dropped if the index of the kept ones has a similar one."""
        index = self.lib.MinHashLSH(threshold=self.threshold, num_perm=112)
        gone = set()
        for n, sketch in enumerate(self.run(documents)):
            if index.query(sketch):
                gone.add(n)
            else:
                index.insert(n, sketch)
        return gone


class _Blanks:
    """Words by `str.split`. datatrove's WhitespaceTokenizer uses spaCy and is no faster than its default."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


class Datatrove:
    """The methods of its signature step with the default configuration; ``blanks``: with another tokenizer."""

    def __init__(self, blanks: bool = False) -> None:
        from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

        self.step = MinhashDedupSignature(tempfile.mkdtemp(prefix="bench-"))
        if blanks:
            self.step.word_tokenizer = _Blanks()

    def prepare(self, documents: Sequence[str]) -> Any:
        return documents

    def run(self, documents: Sequence[str]) -> list[Any]:
        return [self.step.get_signature(self.step.get_shingles(t)) for t in documents]

    def dropped(self, documents: Sequence[str]) -> set[int]:
        """Its stages 2 and 3: documents that share a bucket are a cluster, without a check, and the first one stays."""
        parent = list(range(len(documents)))

        def root(n: int) -> int:
            while parent[n] != n:
                n = parent[n]
            return n

        first: dict[tuple[int, tuple[int, ...]], int] = {}
        for n, signature in enumerate(self.run(documents)):
            for bucket, values in enumerate(signature):
                a, b = sorted((root(n), root(first.setdefault((bucket, tuple(values)), n))))
                parent[b] = a
        return {n for n in range(len(documents)) if root(n) != n}


CONTENDERS: dict[str, Callable[[], Any]] = {
    "ours": Ours,
    "ours, 28 bands of 4, verified at 0.7": lambda: Ours(28, 4, 0.7),
    "ours, 28 bands of 4, verified at 0.6": lambda: Ours(28, 4, 0.6),
    "datasketch (generator, xxh32), threshold 0.7": Datasketch,
    "datatrove": Datatrove,
    "datatrove, words by str.split": lambda: Datatrove(blanks=True),
}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str) -> Row:
    """The row of one contender, measured in this process."""
    source, documents = texts()
    contender = CONTENDERS[name]()
    ready = contender.prepare(documents)
    before = _peak_mb()
    seconds = []
    while len(seconds) < 2 or (len(seconds) < 4 and sum(seconds) < 5):
        start = time.process_time()
        contender.run(ready)
        seconds.append(time.process_time() - start)
    best, peak = min(seconds[1:]), _peak_mb()
    everything, originals = planted(documents)
    # Some documents are copies of one another without a planted copy: they do not count as lost.
    alone = contender.dropped(documents)
    gone = contender.dropped(everything) - alone
    half = originals // 2
    recalled = sum(1 for n in range(half) if (originals + n in gone) != (n in gone))
    count = sum(len(t.split()) for t in documents)
    return {
        "name": name,
        "text": source,
        "docs_per_s": round(len(documents) / best, 1),
        "words_per_s": round(count / best),
        "words_per_doc": round(count / len(documents), 1),
        "recall": round(recalled / half, 4),
        "lost": sum(1 for n in range(half, originals) if n in gone),
        "already_alike": len(alone),
        "peak_mb": round(peak),
        "grew_mb": round(peak - before),
    }


def rows(names: Iterable[str] = tuple(CONTENDERS)) -> list[Row]:
    """One row for each contender: documents per second of processor time, recall of planted copies, peak memory."""
    table = []
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            table.append(pool.apply(measure, (name,)))
    return table
