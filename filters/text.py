"""Text scores of documents and of their paragraphs, by numpy over flat arrays, without a Python loop over words.

`filters.scores` has the definitions. OBELICS' scores follow its paper (arXiv 2306.16527, A.2) and its published code.
Their plain versions are in tests/filters/plain.py, and the tests compare them with this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
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
from filters.scores import DOCUMENT, NEED_BLANKS, NODE, STRINGS
from filters.spans import Bools, Floats, Ints, Spans, ratio
from filters.wordlists import Hits, Lexicon, common, languages, words
from manifests.flat import FlatNodes, flat_nodes, lengths, offsets
from manifests.schema import IMAGE, TEXT
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.words import WORD, Weights

CHARACTER_GRAM, WORD_GRAM = 10, 5  # OBELICS, A.2
FEW_TOKENS = 12  # OBELICS: a paragraph of fewer tokens has no score of punctuation


_TYPES = {score: pa.string() if score in STRINGS else pa.float32() for score in DOCUMENT}
#: one row for each document; a ``node_`` column has a list with a value for each node, null for images and breaks
SCORES = pa.schema({**_TYPES, **{f"node_{score}": pa.list_(_TYPES[score]) for score in NODE}})


@dataclass(frozen=True)
class TextScores:
    """Map: documents -> ("scores", SCORES), one row for each document, of nulls where the stage context refuses it.

    ``language_model``: a fastText model file; None: the built-in method (`filters.language`). ``stop_words`` (English),
    ``flagged_words``, ``spam_words``: the name of a list in filters/lists, or a file of words. ``flagged_by_language``:
    (language, file) of the languages with their own flagged words. ``common_words``: (language, file or ``wordfreq``)
    of the languages with a list of common words.
    """

    language_model: str | None = None
    stop_words: str = "stop_en"
    flagged_words: str = "flagged_en"
    spam_words: str = "spam_en"
    flagged_by_language: tuple[tuple[str, str], ...] = ()
    common_words: tuple[tuple[str, str], ...] = ()

    tables: ClassVar[Mapping[str, pa.Schema]] = {"scores": SCORES}
    #: fields that may name files; the scores depend on the files' content
    files: ClassVar[tuple[str, ...]] = ("language_model", "stop_words", "flagged_words", "spam_words")

    def programs(self) -> dict[str, str]:
        """Digests of the lists by language, on which the scores depend too."""
        lists = {f"flagged words {code}": words(path) for code, path in self.flagged_by_language}
        lists |= {f"common words {code}": common(code, path) for code, path in self.common_words}
        return {name: sha256("\n".join(entries).encode()).hexdigest() for name, entries in lists.items()}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        nodes = flat_nodes(batch["nodes"])
        is_text, images = nodes.of_kind(TEXT), nodes.count(nodes.of_kind(IMAGE))
        texts, text_offsets = nodes.field("text").filter(pa.array(is_text)), offsets(is_text)[nodes.offsets]
        declared = batch["lang"].to_pylist() if "lang" in batch.schema.names else [None] * batch.num_rows
        lexicon = _lexicon(self.stop_words, self.flagged_words, self.spam_words, self.flagged_by_language)
        documents: list[dict[str, Floats]] = []
        paragraphs: list[dict[str, Floats]] = []
        languages_: list[tuple[pa.Array, pa.Array]] = []
        out = np.zeros(batch.num_rows, np.bool_)  # documents that the stage context refuses
        for first, last, flat in chunks(texts, text_offsets):
            hits = Hits.of(lexicon, flat)
            if self.language_model is None:
                each = language.by_function_words(flat, hits)  # no native code, so no row to announce
            else:
                each, out[first:last] = language.by_fasttext(flat, self.language_model, ctx, first)
            of_documents = language.vote(each, flat)
            # Where the text gives no language (as in short captions), the declared one, without a confidence. The text
            # comes first because templates of pages declare a wrong language.
            of_declared = pc.coalesce(of_documents.strings(), pa.array(declared[first:last], pa.string()))
            languages_.append((of_declared, each.strings()))
            by_document, by_paragraph = text_scores(flat, hits, of_documents)
            common_scores = _common(flat, of_documents, self.common_words)
            by_document["common_words"], by_paragraph["common_words"] = common_scores
            lines_of_document, lines_of_paragraph = line_scores(flat)
            by_document |= lines_of_document | document_scores(flat, hits, images[first:last])
            by_document |= repetition_scores(flat, flat.documents.size - np.maximum(flat.of.size - 1, 0))
            by_document |= pii.counts(flat)
            by_paragraph |= lines_of_paragraph
            if flat.without_blanks is not None:
                for scores, where in zip((by_document, by_paragraph), flat.without_blanks, strict=True):
                    _as_without_blanks(scores, where)
            by_document["language_score"] = np.where(of_documents.code >= 0, of_documents.score, np.nan)
            by_paragraph["language_score"] = np.where(each.code >= 0, each.score, np.nan)
            documents.append(by_document)
            paragraphs.append(by_paragraph)

        columns: dict[str, pa.Array] = {}
        strings = [pa.chunked_array(chunk, pa.string()).combine_chunks() for chunk in zip(*languages_, strict=True)]
        of_document, of_text = strings or (pa.array([], pa.string()),) * 2
        confidence = _word_confidence(nodes)
        for score in DOCUMENT:
            if score == "language":
                columns[score] = pc.if_else(pa.array(out), pa.scalar(None, pa.string()), of_document)
            else:
                values = confidence if score == "word_confidence" else _join(documents, score)
                columns[score] = _nullable(np.where(out, np.nan, values))
        edges = pa.array(nodes.offsets, pa.int32(), mask=np.append(out, False))
        for score in NODE:
            if score == "language":
                column = of_text.take(pa.array(np.cumsum(is_text) - 1, mask=~is_text))
            else:
                of_node = np.full(len(is_text), np.nan)
                of_node[is_text] = _join(paragraphs, score)
                column = _nullable(of_node)
            columns[f"node_{score}"] = pa.ListArray.from_arrays(edges, column)
        yield "scores", pa.RecordBatch.from_arrays([columns[f.name] for f in SCORES], schema=SCORES)


def text_scores(flat: Flat, hits: Hits, guess: language.Guess) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The scores that documents and paragraphs share (`filters.scores.TEXT`, without the language), NaN where null."""
    paragraphs, documents, total = flat.paragraphs, flat.documents, flat.of.sum

    points, in_token = flat.count(ch.POINT), flat.where(ch.TOKEN)
    counts = {
        "words": flat.word_count,
        "terms": flat.term_count,
        "characters": paragraphs.size,
        "letters_of_words": flat.paragraph_words.sum(flat.words.size),
        "special": flat.count(ch.SPECIAL),
        "points": points,
        "tokens": paragraphs.count(in_token & ~np.append(False, in_token[:-1])) + points,
        "alpha_words": _alpha_words(flat),
        "upper": flat.count(ch.UPPER),
        "alpha": flat.count(ch.ALPHA),
        "digits": flat.count(ch.DIGIT),
        "damaged": flat.count(ch.DAMAGED),
        "flagged": _listed(hits, guess, "flagged", hits.lexicon.names.index("flagged"))[0],
        "spam": hits.count(hits.has("spam")),
    }
    counts["stop"], listed = _listed(hits, guess, "stop")
    # the blank lines between paragraphs are special characters of the document's text
    totals = {key: total(value) for key, value in counts.items()}
    between = documents.size - totals["characters"]
    special_share = ratio(totals["special"] + between, documents.size, empty=0)

    special = special_share, ratio(counts["special"], counts["characters"], empty=0)
    letters = repeats(flat.exact, CHARACTER_GRAM, documents, paragraphs)
    hashes = Running.of(flat.word_hashes)
    words_ = repeats(hashes, WORD_GRAM, flat.document_words, flat.paragraph_words, flat.word_weights)
    by_document, by_paragraph = _ratios(totals), _ratios(counts)
    for i, scores in enumerate((by_document, by_paragraph)):
        scores["special_characters"] = special[i]
        scores["char_repetition"] = letters[i].share_of_top()
        scores["word_repetition"] = words_[i].share_repeated()
    by_document["stop_words"][~listed] = np.nan
    by_paragraph["stop_words"][np.repeat(~listed, flat.of.size)] = np.nan
    by_paragraph["punctuation"][counts["tokens"] < FEW_TOKENS] = np.nan
    return by_document, by_paragraph


def _as_without_blanks(scores: dict[str, Floats], where: Bools) -> None:
    """Sets the scores of texts in scripts without blanks between words: see `filters.scores.NEED_BLANKS`."""
    scores["spaced_words"] = np.where(where, scores["words"], scores["spaced_words"])
    for name in NEED_BLANKS & scores.keys():
        scores[name][where] = np.nan


def _ratios(n: dict[str, NDArray]) -> dict[str, Floats]:
    """Shares from counts. As in OBELICS, a share is 0 where there are no words, or no characters."""
    return {
        "words": n["words"].astype(float),
        "characters": n["characters"].astype(float),
        "mean_word_length": ratio(n["letters_of_words"], n["words"]),
        "stop_words": ratio(n["stop"], n["words"], empty=0),
        "flagged_words": ratio(n["flagged"], n["words"], empty=0),
        "spam_words": ratio(n["spam"], n["words"], empty=0),
        "punctuation": ratio(n["points"], n["tokens"], empty=0),
        "alpha_words": ratio(n["alpha_words"], n["terms"], empty=0),
        "uppercase": ratio(n["upper"], n["alpha"]),
        "digits": ratio(n["digits"], n["characters"], empty=0),
        "damaged": ratio(n["damaged"], n["characters"], empty=0),
    }


def _listed(hits: Hits, guess: language.Guess, name: str, default: int = -1) -> tuple[Ints, Bools]:
    """Number of words of each paragraph in the list ``name`` of its document's language; and which documents have one.

    ``default``: the column of the list for the languages without their own; -1: these have no list. A document without
    a language is treated as English, because the rule on stop words exists to drop such text.
    """
    columns = {n: i for i, n in enumerate(hits.lexicon.names)}
    column_of = np.array([columns.get(f"{name}_{label}", default) for label in (*guess.labels, "en")])
    of_document = column_of[guess.code]  # the code -1, unknown, is the last place
    listed = hits.lexicon.member[hits.entry, of_document[hits.document]] & (of_document[hits.document] >= 0)
    return hits.count(listed), of_document >= 0


def _common(flat: Flat, guess: language.Guess, lists: tuple[tuple[str, str], ...]) -> tuple[Floats, Floats]:
    """Share of common words of each document and each paragraph; NaN for languages without a list."""
    if not lists:
        return np.full(len(flat.of), np.nan), np.full(len(flat.paragraphs), np.nan)
    number, listed = _listed(Hits.of(_common_lexicon(lists), flat), guess, "common")
    words_ = flat.word_count
    by_document = ratio(flat.of.sum(number), flat.of.sum(words_), empty=0)
    by_paragraph = ratio(number, words_, empty=0)
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
    shared = {"flagged": words(flagged_words), "spam": words(spam_words), "gopher": words("gopher_en")}
    return Lexicon.of({**stop, **own, **shared})


def _word_confidence(nodes: FlatNodes) -> Floats:
    """Mean confidence of each document's PDF words; NaN without."""
    words_ = nodes.field("words")
    score = pc.struct_field(words_.flatten(), "score").to_numpy(zero_copy_only=False).astype(float)
    edges = offsets(lengths(words_))[nodes.offsets]
    known = ~np.isnan(score)
    total = np.append(0, np.cumsum(np.where(known, score, 0)))
    return ratio(np.diff(total[edges]), np.diff(offsets(known)[edges]))


def _alpha_words(flat: Flat) -> Floats | Ints:
    """The number of words and numbers of each paragraph that have a letter."""
    lettered = _lettered(flat)
    if flat.letter_weights is None:
        return flat.paragraph_terms.count(lettered)
    weights = np.where(flat.letter_weights, flat.letter_weights, np.uint8(WORD))
    counted = Weights.of(np.where(lettered, weights, np.uint8(0)))
    return counted.count(flat.paragraph_terms.start, flat.paragraph_terms.end)


def _lettered(flat: Flat) -> Bools:
    """Which terms have a letter. Nearly all begin with one."""
    alpha, terms = flat.where(ch.ALPHA), flat.terms
    lettered: Bools = alpha[terms.start]
    others = np.flatnonzero(~lettered)
    lettered[others] = Spans(terms.start[others], terms.end[others]).count(alpha) > 0
    return lettered


def _join(parts: list[dict[str, Floats]], score: str) -> Floats:
    return np.concatenate([*(p[score] for p in parts), np.zeros(0)])


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=np.isnan(values))
