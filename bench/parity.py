"""Verdicts of our presets and of the datatrove filters that they are taken from, on real documents.

Documents: the reference texts and the pages of ``../shared/realweb``, extracted as a run extracts them. datatrove gets
each document as lines, with our words (`split_words`) and sentences as its tokenizer. A second comparison has
datatrove's own words, which are spaCy's.
"""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from bench._inputs import PAGES, REAL, TRUTH, joined, reference_texts
from filters.characters import MORE_SPACES, folded
from filters.decide import Decide
from filters.flat import flat_of
from filters.lines import line_scores
from filters.rules import load
from filters.text import TextScores
from manifests.schema import DOCUMENT, TEXT
from manifests.words import letters
from pipelines.html.interleave import extract_files

PRESETS = {
    "gopher": ("GopherQualityFilter", "GopherRepetitionFilter"),
    "c4": ("C4QualityFilter",),
    "fineweb": ("FineWebQualityFilter",),
}
Verdict = tuple[bool, str]


def documents() -> Iterator[list[str]]:
    """The paragraphs of each real document.

    Documents that are mostly in scripts without blanks are left out: we count their words by their letters
    (`manifests.words`), and datatrove's classes have no such count.
    """
    pages = ([t for t in page["texts"] if t] for page in extract_files([str(PAGES)]))
    yield from (texts for texts in chain(reference_texts(), pages) if texts and not _without_blanks(" ".join(texts)))


def _without_blanks(text: str) -> bool:
    return 2 * len(re.findall(letters(), text)) > sum(map(str.isalpha, text))


def ours(preset: str, texts: list[list[str]]) -> list[Verdict]:
    """Whether each document is kept, and why not, by one of our presets."""
    rows = [{"id": str(i), "nodes": [{"kind": TEXT, "text": p} for p in lines]} for i, lines in enumerate(texts)]
    batch = pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)
    ((_, scores),) = TextScores()(batch)
    ((_, decided),) = Decide(load(preset))(joined(batch, scores))
    columns = zip(*(decided[c].to_pylist() for c in ("keep", "reason", "score", "threshold")), strict=True)
    return [(k, "" if k else f"{r} {s:.4g} against {t:.4g}" if s is not None else r) for k, r, s, t in columns]


def split_words(text: str) -> list[str]:
    """The words and numbers of a text, case folded, as the scores count them."""
    flat = flat_of([[text]])
    characters = folded()[flat.codes].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return [characters[a:b] for a, b in zip(flat.terms.start.tolist(), flat.terms.end.tolist(), strict=True)]


def tokenizer() -> Any:
    """Our words and sentences, as a tokenizer of datatrove."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Ours(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return split_words(text)

        def sent_tokenize(self, text: str) -> list[str]:
            return [text] * len(self.span_tokenize(text))

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            number = int(line_scores(flat_of([[text]]))[1]["sentences"][0])
            return [(i, i + 1) for i in range(number)]  # datatrove uses their number alone

    return Ours()


def theirs(preset: str, texts: list[list[str]], language: Any) -> list[Verdict]:
    """Whether each document is kept, and why not, by datatrove. ``language``: a code, or a tokenizer."""
    import datatrove.pipeline.filters as filters
    from datatrove.data import Document

    classes = [getattr(filters, name)(language=language) for name in PRESETS[preset]]
    verdicts: list[Verdict] = []
    with np.errstate(all="ignore"):
        for i, paragraphs in enumerate(texts):
            results = (one.filter(Document(text="\n".join(paragraphs), id=str(i))) for one in classes)
            failure = next((result for result in results if result is not True), None)
            why = failure[1] if isinstance(failure, tuple) else "filtered"
            verdicts.append((True, "") if failure is None else (False, why))
    return verdicts


def cause(preset: str, paragraphs: list[str]) -> str:
    """A known reason for two different verdicts on a document."""
    if any(p and not p.strip(MORE_SPACES) for p in paragraphs):
        return "our scores do not count lines of zero-width spaces alone"
    if preset == "c4" and any("\n" in p for p in paragraphs):
        return "line breaks within a paragraph, as in code: C4 judges each line, our rules each paragraph"
    return "unknown"


def compare(preset: str, texts: list[list[str]], language: Any) -> tuple[float, list[str]]:
    """Share of documents with the same verdict, and a line for each other document with both verdicts."""
    lines = []
    for paragraphs, mine, other in zip(texts, ours(preset, texts), theirs(preset, texts, language), strict=True):
        if mine[0] != other[0]:
            both = [f"{who}: {verdict[1] or 'kept'}" for who, verdict in (("ours", mine), ("datatrove", other))]
            text = " ".join(paragraphs)[:60]
            lines.append(f"{preset}: {'; '.join(both)}; cause: {cause(preset, paragraphs)}; `{text}`")
    return 1 - len(lines) / len(texts), lines


def rows(limit: int | None = None, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """One row for each preset. ``say`` gets a line for each disagreement."""
    if not TRUTH.exists():
        raise SystemExit(f"bench parity needs the real documents of {REAL}")
    texts = list(documents())[:limit]
    table = []
    for preset in PRESETS:
        same, lines = compare(preset, texts, tokenizer())
        for line in lines:
            say(line)
        with_spacy, _ = compare(preset, texts, "eng")
        kept = sum(keep for keep, _ in ours(preset, texts))
        shares = {"same_words": round(same, 4), "spacy_words": round(with_spacy, 4)}
        table.append({"preset": preset, "documents": len(texts), "kept": kept, **shares})
    return table
