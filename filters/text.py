"""Text scores of documents and of their paragraphs, a whole batch at a time: numpy over flat arrays, no Python loop
over words.

Definitions: `filters.scores` names them; those of OBELICS are as in its paper (arXiv 2306.16527, A.2) and its published
code, and are written down plainly in tests/filters/plain.py, which the tests hold this module to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256 as digest
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters import characters as ch
from filters import language, pii
from filters.flat import Flat, chunks
from filters.gopher import repetition_scores
from filters.hashing import Running
from filters.lines import document_scores, line_scores
from filters.repetition import repeats
from filters.scores import DOCUMENT, NODE, STRINGS
from filters.spans import Spans
from filters.wordlists import Hits, Lexicon, common, languages, words
from manifests.schema import IMAGE, TEXT
from manifests.stage import NO_ENGINE, StageContext

Floats = NDArray[np.float64]
Output = tuple[str, pa.RecordBatch | bytes]

CHARACTER_GRAM, WORD_GRAM = 10, 5  # OBELICS, A.2
FEW_TOKENS = 12  # OBELICS: punctuation is no ground for a paragraph of fewer tokens


def _type(score: str) -> pa.DataType:
    return pa.string() if score in STRINGS else pa.float32()


#: one row a document; ``node_`` columns have one value a node, null for images and breaks
SCORES = pa.schema([(s, _type(s)) for s in DOCUMENT] + [(f"node_{s}", pa.list_(_type(s))) for s in NODE])


@dataclass(frozen=True)
class TextScores:
    """Map: documents -> ("scores", SCORES), one row a document.

    ``language_model``: a fastText model file; None: the embedded default (`filters.language`). ``stop_words``
    (English),
    ``flagged_words``, ``spam_words``: a list of ours by name, or a file of words; ``flagged_by_language``: (code, file)
    of languages that have flagged words of their own; ``common_words``: (code, file or ``wordfreq``) of those that have
    a list of common ones. A row that
    ``at`` refuses is a row of nulls.
    """

    language_model: str | None = None
    stop_words: str = "stop_en"
    flagged_words: str = "flagged_en"
    spam_words: str = "spam_en"
    flagged_by_language: tuple[tuple[str, str], ...] = ()
    common_words: tuple[tuple[str, str], ...] = ()

    #: fields that may name files: their content is part of what the scores depend on
    files: ClassVar[tuple[str, ...]] = ("language_model", "stop_words", "flagged_words", "spam_words")

    def programs(self) -> dict[str, str]:
        """Content of the lists by language, which the scores depend on too."""
        lists = {f"flagged words {code}": words(path) for code, path in self.flagged_by_language}
        lists |= {f"common words {code}": common(code, path) for code, path in self.common_words}
        return {name: digest("\n".join(found).encode()).hexdigest() for name, found in lists.items()}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        nodes = batch["nodes"]
        sizes = np.asarray(pc.fill_null(pc.list_value_length(nodes), 0).to_numpy(zero_copy_only=False), np.int64)
        flat_nodes = nodes.flatten()
        kind = pc.struct_field(flat_nodes, "kind")
        is_text = np.asarray(pc.fill_null(pc.equal(kind, TEXT), False).to_numpy(zero_copy_only=False), np.bool_)
        is_image = np.asarray(pc.fill_null(pc.equal(kind, IMAGE), False).to_numpy(zero_copy_only=False), np.bool_)
        node_offsets = _offsets(sizes)
        text_offsets = _offsets(is_text)[node_offsets]
        images = np.diff(_offsets(is_image)[node_offsets])
        texts = pc.struct_field(flat_nodes, "text").filter(pa.array(is_text))

        said = batch["lang"].to_pylist() if "lang" in batch.schema.names else [None] * batch.num_rows
        lexicon = _lexicon(self.stop_words, self.flagged_words, self.spam_words, self.flagged_by_language)
        documents: list[dict[str, Floats]] = []
        paragraphs: list[dict[str, Floats]] = []
        spoken: list[tuple[pa.Array, pa.Array]] = []
        left_out: list[NDArray[np.bool_]] = []
        for first, last, flat in chunks(texts, text_offsets):
            hits = Hits.of(lexicon, flat)
            if self.language_model is None:
                each = language.by_function_words(flat, hits)
                refused = np.zeros(last - first, np.bool_)  # nothing native here: no row to stand on
            else:
                each, refused = language.by_fasttext(flat, self.language_model, ctx, first)
            left_out.append(refused)
            whole = language.vote(each, flat)
            spoken.append((language.declared(whole, said[first:last]), each.strings()))
            by_document, by_paragraph = text_scores(flat, hits, whole)
            for scores, values in zip(
                (by_document, by_paragraph), _common(flat, whole, self.common_words), strict=True
            ):
                scores["common_words"] = values
            lines_of_document, lines_of_paragraph = line_scores(flat)
            by_document |= lines_of_document | document_scores(flat, hits, images[first:last])
            by_document |= repetition_scores(flat, flat.documents.size - np.maximum(flat.of.size - 1, 0))
            by_document |= pii.counts(flat)
            by_paragraph |= lines_of_paragraph
            by_document["language_score"] = np.where(whole.code >= 0, whole.score, np.nan)
            by_paragraph["language_score"] = np.where(each.code >= 0, each.score, np.nan)
            documents.append(by_document)
            paragraphs.append(by_paragraph)

        columns: dict[str, pa.Array] = {}
        out = np.concatenate([*left_out, np.zeros(0, np.bool_)])
        confidence = _word_confidence(flat_nodes, node_offsets)
        for score in DOCUMENT:
            if score == "language":
                column = pa.chunked_array([w for w, _ in spoken], pa.string()).combine_chunks()
                columns[score] = pc.if_else(pa.array(out), pa.scalar(None, pa.string()), column)
            else:
                values = confidence if score == "word_confidence" else _join(documents, score)
                columns[score] = _nullable(np.where(out, np.nan, values))
        offsets = pa.array(node_offsets, pa.int32(), mask=np.append(out, False))
        place = np.cumsum(is_text) - 1
        for score in NODE:
            if score == "language":
                each_text = pa.chunked_array([e for _, e in spoken], pa.string()).combine_chunks()
                values_ = each_text.take(pa.array(place, mask=~is_text))
            else:
                spread = np.full(len(is_text), np.nan)
                spread[is_text] = _join(paragraphs, score)
                values_ = _nullable(spread)
            columns[f"node_{score}"] = pa.ListArray.from_arrays(offsets, values_)
        yield "scores", pa.RecordBatch.from_arrays([columns[f.name] for f in SCORES], schema=SCORES)


def text_scores(flat: Flat, hits: Hits, spoken: language.Guess) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The scores that documents and paragraphs share (`filters.scores.TEXT`, without the language), NaN where null."""
    paragraphs, documents, total = flat.paragraphs, flat.documents, flat.by_document

    points = flat.count(ch.POINT)
    counts = {
        "words": flat.paragraph_words.size,
        "terms": flat.paragraph_terms.size,
        "characters": paragraphs.size,
        "letters_of_words": flat.words_sum(flat.words.size),
        "special": flat.count(ch.SPECIAL),
        "points": points,
        "tokens": paragraphs.count(_starts(flat.where(ch.TOKEN))) + points,
        "alpha_words": flat.paragraph_terms.count(_lettered(flat)),
        "upper": flat.count(ch.UPPER),
        "alpha": flat.count(ch.ALPHA),
        "digits": flat.count(ch.DIGIT),
        "damaged": flat.count(ch.DAMAGED),
        "flagged": _listed(hits, spoken, "flagged", hits.lexicon.column("flagged"))[0],
        "spam": hits.count(hits.has("spam")),
    }
    counts["stop"], listed = _listed(hits, spoken, "stop")
    # the blank lines between paragraphs are characters of the document's text, special ones
    whole = {key: total(value) for key, value in counts.items()}
    between = documents.size - whole["characters"]
    special_share = _ratio(whole["special"] + between, documents.size, empty=0)

    ch_whole, ch_each = repeats(flat.exact, CHARACTER_GRAM, documents, paragraphs)
    w_whole, w_each = repeats(Running.of(flat.word_hashes), WORD_GRAM, flat.document_words, flat.paragraph_words)

    by_document = _ratios(whole) | {
        "special_characters": special_share,
        "char_repetition": ch_whole.share_of_top(),
        "word_repetition": w_whole.share_repeated(),
    }
    by_paragraph = _ratios(counts) | {
        "special_characters": _ratio(counts["special"], counts["characters"], empty=0),
        "char_repetition": ch_each.share_of_top(),
        "word_repetition": w_each.share_repeated(),
    }
    by_document["stop_words"][~listed] = np.nan
    by_paragraph["stop_words"][np.repeat(~listed, flat.of.size)] = np.nan
    by_paragraph["punctuation"][counts["tokens"] < FEW_TOKENS] = np.nan
    return by_document, by_paragraph


def _ratios(n: dict[str, NDArray]) -> dict[str, Floats]:
    """Shares from counts. As in OBELICS, a share of no words, or of no characters, is 0."""
    return {
        "words": n["words"].astype(float),
        "characters": n["characters"].astype(float),
        "mean_word_length": _ratio(n["letters_of_words"], n["words"]),
        "stop_words": _ratio(n["stop"], n["words"], empty=0),
        "flagged_words": _ratio(n["flagged"], n["words"], empty=0),
        "spam_words": _ratio(n["spam"], n["words"], empty=0),
        "punctuation": _ratio(n["points"], n["tokens"], empty=0),
        "alpha_words": _ratio(n["alpha_words"], n["terms"], empty=0),
        "uppercase": _ratio(n["upper"], n["alpha"]),
        "digits": _ratio(n["digits"], n["characters"], empty=0),
        "damaged": _ratio(n["damaged"], n["characters"], empty=0),
    }


def _listed(
    hits: Hits, spoken: language.Guess, name: str, default: int = -1
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Words of each paragraph that are in the list ``name`` of its document's language, and which documents have a
    list.

    ``default``: the column of the list for languages that have none; -1: they have none. A document whose language is
    not known is read as English: the rule that asks for stop words exists to drop such text.
    """
    columns = {n: i for i, n in enumerate(hits.lexicon.names)}
    column_of = np.array([columns.get(f"{name}_{label}", default) for label in (*spoken.labels, "en")])
    of_document = column_of[spoken.code]  # code -1, unknown, is the last place
    found = hits.lexicon.member[hits.entry, of_document[hits.document]] & (of_document[hits.document] >= 0)
    return hits.count(found), of_document >= 0


def _common(flat: Flat, spoken: language.Guess, lists: tuple[tuple[str, str], ...]) -> tuple[Floats, Floats]:
    """Share of common words of each document and each paragraph; NaN for languages without a list."""
    if not lists:
        return np.full(len(flat.of), np.nan), np.full(len(flat.paragraphs), np.nan)
    found, listed = _listed(Hits.of(_common_lexicon(lists), flat), spoken, "common")
    words_ = flat.paragraph_words.size
    by_document, by_paragraph = (
        _ratio(flat.by_document(found), flat.by_document(words_), empty=0),
        _ratio(found, words_, empty=0),
    )
    by_document[~listed] = np.nan
    by_paragraph[np.repeat(~listed, flat.of.size)] = np.nan
    return by_document, by_paragraph


@lru_cache(maxsize=2)
def _common_lexicon(lists: tuple[tuple[str, str], ...]) -> Lexicon:
    return Lexicon.of({f"common_{code}": common(code, path) for code, path in lists})


@lru_cache(maxsize=4)
def _lexicon(stop_words: str, flagged_words: str, spam_words: str, flagged: tuple[tuple[str, str], ...]) -> Lexicon:
    stop = {f"stop_{code}": words(stop_words if code == "en" else f"stop_{code}") for code in languages()}
    own = {f"flagged_{code}": words(path) for code, path in flagged}
    return Lexicon.of(
        {**stop, **own, "flagged": words(flagged_words), "spam": words(spam_words), "gopher": words("gopher_en")}
    )


def _word_confidence(nodes: pa.Array, offsets: NDArray[np.int64]) -> Floats:
    """Mean confidence of each document's PDF words; NaN without."""
    found = pc.struct_field(nodes, "words")
    sizes = np.asarray(pc.fill_null(pc.list_value_length(found), 0).to_numpy(zero_copy_only=False), np.int64)
    score = pc.struct_field(found.flatten(), "score").to_numpy(zero_copy_only=False).astype(float)
    edges = _offsets(sizes)[offsets]
    known = ~np.isnan(score)
    return _ratio(np.diff(_running(np.where(known, score, 0))[edges]), np.diff(_offsets(known)[edges]))


def _lettered(flat: Flat) -> NDArray[np.bool_]:
    """Which terms hold a letter. Nearly all begin with one."""
    alpha, terms = flat.where(ch.ALPHA), flat.terms
    found: NDArray[np.bool_] = alpha[terms.start]
    others = np.flatnonzero(~found)
    found[others] = Spans(terms.start[others], terms.end[others]).count(alpha) > 0
    return found


def _starts(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """First place of each run."""
    starts = where.copy()
    starts[1:] &= ~where[:-1]
    return starts


def _ratio(part: NDArray, whole: NDArray, empty: float = np.nan) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(whole), empty, float), where=whole > 0)
    return share


def _offsets(sizes: NDArray) -> NDArray[np.int64]:
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros(1), np.cumsum(values)])


def _join(parts: list[dict[str, Floats]], score: str) -> Floats:
    return np.concatenate([*(p[score] for p in parts), np.zeros(0)])


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=np.isnan(values))
