"""Speed of MinHash signatures, and recall of planted copies: ours, datasketch and datatrove on the same texts.

Texts: the main content of the real pages beside the checkout (../shared/realweb) if they exist, else random words; each
row says which. Contenders take turns for three rounds, each in a new process, so that its peak memory is its own.
Figures are medians; speed is by processor time on one core, after a warm-up. Only signing is timed, from a text in
memory to signature and band keys (ours: the whole `Sign` stage, with addresses and exact hashes). Recall: of copies of
half of the documents, with 3 % of their words changed, the share where exactly one of the two is dropped. `lost`:
documents without a copy that are dropped. tests/dedup/test_minhash.py checks our signatures against datasketch.
"""

import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from bench._inputs import LETTERS, PAGES, random_words
from bench._timed import in_new_process, interleaved, peak_mb

ROUNDS = 3
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
                html = bytes_to_str(body, detect_encoding(body))
                pages.append(extract_plain_text(html, main_content=True, alt_texts=False, links=False).split())
        return "real pages", sorted({" ".join(words) for words in pages if len(words) >= 50})
    rng = random.Random(1)
    vocabulary = random_words(rng, 20_000)
    return "random words", [" ".join(rng.choices(vocabulary, k=rng.randint(100, 1500))) for _ in range(600)]


def copy_of(text: str, seed: int) -> str:
    rng = random.Random(seed)
    words = text.split()
    for place in rng.sample(range(len(words)), max(1, round(SHARE * len(words)))):
        words[place] = "".join(rng.choices(LETTERS, k=7))
    return " ".join(words)


# Contenders: `run` signs texts, `dropped` gives the indices of the texts that are dropped.


def _batches(documents: Sequence[str]) -> list[Any]:
    import pyarrow as pa

    from manifests.schema import DECISION, DOCUMENT

    schema = pa.schema([*DOCUMENT, *DECISION])
    rows = []
    for n, text in enumerate(documents):
        own = {"id": f"{n:032x}", "url": f"http://{n}.example/", "nodes": [{"kind": "text", "text": text}]}
        rows.append({**own, "keep": True, "node_keep": [True], "fetched_at": 0})
    return [pa.RecordBatch.from_pylist(rows[low : low + BATCH], schema=schema) for low in range(0, len(rows), BATCH)]


class Ours:
    def __init__(self, bands: int = 14, rows: int = 8, threshold: float = 0.8) -> None:
        from dedup.sign import Sign
        from dedup.verify import Verify

        self.sign, self.verify = Sign(bands=bands, rows=rows), Verify(threshold)

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

        signed = {name: pa.Table.from_batches(t) for name, t in self.run(_batches(documents)).items()}
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


def speed(name: str) -> dict[str, float]:
    """Processor seconds of signing all texts, the peak memory and its growth by the contender, measured here."""
    contender = CONTENDERS[name]()
    _, documents = texts()
    ready: Any = _batches(documents) if isinstance(contender, Ours) else documents
    before = peak_mb()
    contender.run(ready)  # warm up
    start = time.process_time()
    contender.run(ready)
    seconds, peak = time.process_time() - start, peak_mb()
    return {"seconds": seconds, "peak_mb": peak, "grew_mb": peak - before}


def recall(name: str) -> Row:
    """The share of planted copies that one contender finds, and the documents that it drops without a planted copy."""
    _, documents = texts()
    originals, half = len(documents), len(documents) // 2
    contender = CONTENDERS[name]()
    # Some documents are copies of other documents before copies are planted. They do not count as lost.
    alone = contender.dropped(documents)
    copies = [copy_of(text, n) for n, text in enumerate(documents[:half])]
    gone = contender.dropped([*documents, *copies]) - alone
    recalled = sum((originals + n in gone) != (n in gone) for n in range(half))
    lost = sum(n in gone for n in range(half, originals))
    return {"recall": round(recalled / half, 4), "lost": lost, "already_alike": len(alone)}


def rows(names: Iterable[str] = tuple(CONTENDERS)) -> list[Row]:
    """One row for each contender: documents per second of processor time, recall of planted copies, peak memory."""
    source, documents = texts()
    words = sum(len(text.split()) for text in documents)
    table = []
    for name, measured in interleaved({name: partial(in_new_process, speed, name) for name in names}, ROUNDS).items():
        median = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        row = {"name": name, "text": source, "docs_per_s": round(len(documents) / median["seconds"], 1)}
        row |= {"words_per_s": round(words / median["seconds"]), "words_per_doc": round(words / len(documents), 1)}
        row |= in_new_process(recall, name)
        table.append({**row, "peak_mb": round(median["peak_mb"]), "grew_mb": round(median["grew_mb"])})
    return table
