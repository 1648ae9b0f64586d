"""MinHash signing speed, and recall of planted copies: ours, datasketch, datatrove, on the same text.

Text: the main content of the real pages beside the checkout (../shared/realweb) where they are there, else prose made
by rule; each row says which. Each contender runs in a fresh process, so that its peak memory is its own; speeds are of
processor time, on one core, the best of up to three runs after one that warms up. Signing only is timed: text in memory
-> signature and band keys (ours: the whole `Sign` stage, addresses and exact hashes included). Recall: copies of half
of the documents with 3 % of their words changed; found = exactly one of the two leaves. `lost` counts documents without
a copy that leave.
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
    """(where it is from, documents of at least 50 words)."""
    if PAGES.exists():
        from fastwarc.warc import ArchiveIterator, WarcRecordType
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding

        found = []
        with PAGES.open("rb") as f:
            for record in ArchiveIterator(f, record_types=WarcRecordType.response):
                body = record.reader.read()
                text = extract_plain_text(
                    bytes_to_str(body, detect_encoding(body)), main_content=True, alt_texts=False, links=False
                )
                found.append(" ".join(text.split()))
        return "real pages", sorted({t for t in found if len(t.split()) >= 50})
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    return "made prose", [" ".join(rng.choices(vocabulary, k=rng.randint(100, 1500))) for _ in range(600)]


def copy_of(text: str, seed: int) -> str:
    rng = random.Random(seed)
    words = text.split()
    for place in rng.sample(range(len(words)), max(1, round(SHARE * len(words)))):
        words[place] = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7))
    return " ".join(words)


def planted(documents: Sequence[str]) -> tuple[list[str], int]:
    """The documents and, after them, copies of the first half: (texts, number of documents)."""
    return [*documents, *(copy_of(t, n) for n, t in enumerate(documents[: len(documents) // 2]))], len(documents)


# Contenders: a function that signs texts, and one that says which of the texts leave.


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

    def leaving(self, documents: Sequence[str]) -> set[int]:
        import pyarrow as pa

        from dedup.components import Components
        from dedup.group import Group
        from dedup.verify import Carry

        def one(stage: Any, **tables: Any) -> dict[str, Any]:
            return {name: pa.Table.from_batches([rows]) for name, rows in stage(tables)}

        signed = {name: pa.Table.from_batches(t) for name, t in self.run(self.prepare(documents)).items()}
        homes = one(Components(), **one(Group(), bands=signed["bands"]))["homes"]
        clusters = one(Carry(), homes=homes, signatures=signed["signatures"])
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
        found = self.lib.MinHash.generator((grams(t) for t in documents), num_perm=112, seed=1, hashfunc=self.hash)
        return [self.lib.LeanMinHash(m) for m in found]

    def leaving(self, documents: Sequence[str]) -> set[int]:
        """As its documentation's examples do: a document leaves if the index of those kept so far answers."""
        index = self.lib.MinHashLSH(threshold=self.threshold, num_perm=112)
        gone = set()
        for n, sketch in enumerate(self.run(documents)):
            if index.query(sketch):
                gone.add(n)
            else:
                index.insert(n, sketch)
        return gone


class _Blanks:
    """Words by `str.split`: datatrove's own WhitespaceTokenizer goes through spaCy and is no faster than its default."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()


class Datatrove:
    """Its signature step's own methods: default configuration but for the word tokenizer where ``blanks``."""

    def __init__(self, blanks: bool = False) -> None:
        from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

        self.step = MinhashDedupSignature(tempfile.mkdtemp(prefix="bench-"))
        if blanks:
            self.step.word_tokenizer = _Blanks()

    def prepare(self, documents: Sequence[str]) -> Any:
        return documents

    def run(self, documents: Sequence[str]) -> list[Any]:
        return [self.step.get_signature(self.step.get_shingles(t)) for t in documents]

    def leaving(self, documents: Sequence[str]) -> set[int]:
        """Its stages 2 and 3: documents that share a bucket are one cluster, unverified, of which the first stays."""
        parent = list(range(len(documents)))

        def root(n: int) -> int:
            while parent[n] != n:
                n = parent[n]
            return n

        seen: dict[tuple[int, tuple[int, ...]], int] = {}
        for n, signature in enumerate(self.run(documents)):
            for bucket, values in enumerate(signature):
                a, b = sorted((root(n), root(seen.setdefault((bucket, tuple(values)), n))))
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
    """One contender's row. Runs in its own process."""
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
    # Copies among the documents themselves are nobody's fault: what leaves without any planted copy is no loss of the
    # planted run.
    alone = contender.leaving(documents)
    gone = contender.leaving(everything) - alone
    half = originals // 2
    found = sum(1 for n in range(half) if (originals + n in gone) != (n in gone))
    count = sum(len(t.split()) for t in documents)
    return {
        "name": name,
        "text": source,
        "docs_per_s": round(len(documents) / best, 1),
        "words_per_s": round(count / best),
        "words_per_doc": round(count / len(documents), 1),
        "recall": round(found / half, 4),
        "lost": sum(1 for n in range(half, originals) if n in gone),
        "already_alike": len(alone),
        "peak_mb": round(peak),
        "grew_mb": round(peak - before),
    }


def rows(names: Iterable[str] = tuple(CONTENDERS)) -> list[Row]:
    """One row a contender: documents a second of processor time, recall of planted copies, peak memory."""
    found = []
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(measure, (name,)))
    return found
