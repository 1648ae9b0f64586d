"""Speed of our text scores and of datatrove's filters: documents per second on one core, on the same real documents.

Documents: the reference texts of ``../shared/realweb/truth.jsonl``, repeated; each copy ends with its own number. Each
contender runs in a process of its own on one core. Batches are built when they are needed, and that time does not
count. Ours computes all text scores (OBELICS', Gopher's of quality and repetition, C4's and FineWeb's of lines, the
language). A datatrove filter gives one verdict and stops at the first rule that fails. Ours also runs over a tenth of
the documents: memory must not grow with their number.

Contenders take turns for three rounds. A row is the median run by processor time, with the range of all runs.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from bench._inputs import TRUTH, joined, reference_texts
from bench._timed import in_new_process, interleaved, peak_mb

BATCH = 512
MANY, FEW = 20_480, 1_024  # documents for ours, and for contenders that are a hundred times slower
RUNS = 3
FILTERS = ("GopherQualityFilter", "GopherRepetitionFilter", "C4QualityFilter", "FineWebQualityFilter")
OURS = "ours: every text score"


def batches(count: int) -> Iterator[list[str]]:
    real = ["\n\n".join(paragraphs) for paragraphs in reference_texts()]
    for first in range(0, count, BATCH):
        yield [f"{real[i % len(real)]} {i}" for i in range(first, min(first + BATCH, count))]


def _documents(batch: list[str]) -> pa.RecordBatch:
    from manifests.schema import DOCUMENT

    nodes = ([{"kind": "text", "text": paragraph} for paragraph in text.split("\n\n")] for text in batch)
    rows = [{"id": str(i), "nodes": own} for i, own in enumerate(nodes)]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def ours(batch: list[str]) -> Callable[[], object]:
    """All text scores, the language by the built-in method."""
    from filters.text import TextScores

    return partial(lambda stage, documents: list(stage(documents)), TextScores(), _documents(batch))


def ours_decision(batch: list[str]) -> Callable[[], object]:
    """The OBELICS rules over stored scores."""
    from filters.decide import Decide
    from filters.rules import load
    from filters.text import TextScores

    documents = _documents(batch)
    ((_, scores),) = TextScores()(documents)
    batch_with_scores = joined(documents, scores)
    return partial(lambda stage: list(stage(batch_with_scores)), Decide(load("obelics")))


def datatrove(names: tuple[str, ...], spacy: bool, batch: list[str]) -> Callable[[], object]:
    """datatrove's filters, each on every document, with their default words (spaCy's) or words at white space."""
    import datatrove.pipeline.filters as theirs
    from datatrove.data import Document
    from datatrove.pipeline.filters import fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter

    if not spacy:
        for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
            module.split_into_words = lambda text, language: text.split()
    filters = [getattr(theirs, name)() for name in names]
    # a copy for each filter: C4's rewrites the text
    copies = [[Document(text=text, id=str(i)) for i, text in enumerate(batch)] for _ in filters]
    return lambda: [list(map(one.filter, documents)) for one, documents in zip(filters, copies, strict=True)]


CONTENDERS: dict[str, tuple[int, Callable[[list[str]], Callable[[], object]]]] = {
    OURS: (MANY, ours),
    f"{OURS}, a tenth": (MANY // 10, ours),
    "ours: the OBELICS decision": (MANY, ours_decision),
    **{f"datatrove {name}, spaCy words": (FEW, partial(datatrove, (name,), True)) for name in FILTERS},
    **{f"datatrove {name}, white-space words": (FEW, partial(datatrove, (name,), False)) for name in FILTERS[:2]},
    "datatrove, the four, white-space words (C4: sentences by spaCy)": (FEW, partial(datatrove, FILTERS, False)),
}


def _measure(contender: str, limit: int | None) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    count, prepare = CONTENDERS[contender]
    prepare(next(batches(4)))()  # tables and tokenizers load on first use
    done, words, wall, cpu = 0, 0, 0.0, 0.0
    for batch in batches(min(count, limit or count)):
        run = prepare(batch)
        wall0, cpu0 = time.perf_counter(), time.process_time()
        run()
        wall, cpu = wall + time.perf_counter() - wall0, cpu + time.process_time() - cpu0
        done, words = done + len(batch), words + sum(len(text.split()) for text in batch)
    return {
        "name": contender,
        "documents": done,
        "words_per_doc": round(words / done),
        "docs_per_s": round(done / wall, 1),
        "docs_per_cpu_s": round(done / cpu, 1),  # comparable on a busy machine too
        "of_500_words_per_cpu_s": round(words / 500 / cpu, 1),
        "peak_mb": round(peak_mb()),
    }


def rows(limit: int | None = None, runs: int = RUNS) -> list[dict[str, Any]]:
    """One row a contender: its median run, the range of all, how many times faster ours is. limit: of documents."""
    if not TRUTH.exists():
        raise SystemExit(f"bench filters needs the real documents of {TRUTH.parent}")
    results = interleaved({name: partial(in_new_process, _measure, name, limit) for name in CONTENDERS}, runs)
    ours = statistics.median(row["of_500_words_per_cpu_s"] for row in results[OURS])
    table = []
    for measured in results.values():
        measured.sort(key=lambda row: row["docs_per_cpu_s"])
        spread = f"{measured[0]['docs_per_cpu_s']:.0f}..{measured[-1]['docs_per_cpu_s']:.0f}"
        median = measured[len(measured) // 2]
        ratio = float(f"{ours / median['of_500_words_per_cpu_s']:.2g}")
        table.append({**median, "spread": spread, "ours_times": ratio})
    return table
