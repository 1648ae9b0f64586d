"""Scores of lines, phrases and composition: the measures of Gopher, C4, FineWeb and OmniCorpus.

Sources: Gopher (arXiv 2112.11446, A.1.1); C4 (arXiv 1910.10683, 2.2, and its code, tensorflow datasets' c4_utils);
FineWeb (arXiv 2406.17557, and datatrove's FineWebQualityFilter); OmniCorpus (arXiv 2406.08418: words per image, short
paragraphs).
"""

import re
from typing import AnyStr

import numpy as np
from numpy.typing import NDArray

from filters import characters as ch
from filters.flat import Flat
from filters.spans import Bools, Floats, Ints, Spans, ratio
from filters.wordlists import Hits, lines
from manifests.flat import run_starts

BULLETS = "•-"  # of datatrove's version of Gopher
TERMINAL = ".!?\"'"  # C4
ELLIPSIS = "…"
CLOSING = "\"')]”’»"  # may follow the mark at the end of a sentence
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")  # C4 removes them before it looks at a line's end
SHORT_WORDS = 4  # OmniCorpus
SHORT_CHARACTERS = 30  # FineWeb


def line_scores(flat: Flat) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """`filters.scores.LINES` of documents and of paragraphs, NaN where null."""
    plain = np.minimum(flat.codes, 127).astype(np.uint8).tobytes().lower()  # all phrases are ASCII
    policy = np.zeros(len(flat.paragraphs), np.bool_)
    for phrase in lines("policy_en"):
        policy |= _found(flat, plain, phrase.encode()) > 0
    shares = {"terminal_ends": _ends(flat), "javascript": _found(flat, plain, b"javascript") > 0, "policy": policy}
    counts = {
        "spaced_words": flat.paragraph_spaced.size,
        "sentences": _sentences(flat),
        "braces": _rare(flat, "{"),
        "lorem_ipsum": _found(flat, plain, b"lorem ipsum"),
    }
    longest = flat.paragraph_spaced.largest(flat.spaced.size)
    each = {name: values.astype(float) for name, values in (shares | counts | {"longest_word": longest}).items()}
    total = {name: ratio(flat.of.sum(values.astype(np.int64)), flat.of.size) for name, values in shares.items()}
    total |= {name: flat.of.sum(values).astype(float) for name, values in counts.items()}
    return total | {"longest_word": flat.of.largest(longest).astype(float)}, each


def document_scores(flat: Flat, hits: Hits, images: Ints) -> dict[str, Floats]:
    """`filters.scores.DOCUMENT_ONLY` but Gopher's repetition and word_confidence. ``images``: of each document."""
    paragraphs, total = flat.of.size, flat.of.sum
    words = flat.word_count
    count, terms = total(words), total(flat.term_count)
    lines_, of = flat.lines, flat.document_lines
    size, repeated, last = lines_.size, _repeated(flat), _edge(flat, lines_, 1)
    first = flat.codes[flat.spaced.start[np.searchsorted(flat.spaced.start, lines_.start)]]  # after its indentation

    def share(where: Bools) -> Floats:
        return ratio(of.count(where), of.size)

    return {
        "images": images.astype(float),
        "paragraphs": paragraphs.astype(float),
        "lines": of.size.astype(float),
        "words_per_image": ratio(count, images),
        "longest_paragraph": flat.of.largest(words).astype(float),
        "short_paragraphs": ratio(flat.of.count(words <= SHORT_WORDS), paragraphs),
        "short_lines": share(size <= SHORT_CHARACTERS),
        "lines_per_word": ratio(np.maximum(of.size - 1, 0), terms),
        "duplicate_lines": share(repeated),
        "duplicate_line_characters": ratio(of.sum(repeated * size), of.sum(size)),
        "gopher_words": terms.astype(float),
        "gopher_word_length": ratio(total(flat.paragraph_terms.sum(flat.terms.size)), terms),
        "gopher_stop_words": _different(hits, "gopher", len(flat.of)),
        "hashes": ratio(total(_rare(flat, "#")), terms),
        "ellipses": ratio(total(_rare(flat, ELLIPSIS) + _found(flat, flat.text, "...")), terms),
        "bullets": share(np.isin(first, _codes(BULLETS))),
        "ellipsis_ends": share(_dotted(flat, lines_) | (last == ord(ELLIPSIS))),
        "sentence_ends": share(ch.sentence_ends()[last]),
    }


def _codes(characters: str) -> NDArray[np.uint32]:
    return np.array([ord(c) for c in characters], np.uint32)


def _edge(flat: Flat, spans: Spans, back: int) -> NDArray[np.uint32]:
    """The code point ``back`` places before the end of each slice, 0 where the slice is too short."""
    at = spans.end - back
    inside = at >= spans.start
    codes = np.zeros(len(at), np.uint32)
    codes[inside] = flat.codes[at[inside]]
    return codes


def _dotted(flat: Flat, spans: Spans) -> Bools:
    """Slices that end in three full stops."""
    return np.asarray(np.all([_edge(flat, spans, i) == ord(".") for i in (1, 2, 3)], axis=0))


def _ends(flat: Flat) -> Bools:
    """Paragraphs with an end that C4 accepts: a terminal mark, not three full stops, after citations are removed."""
    last = _edge(flat, flat.paragraphs, 1)
    ends = np.isin(last, _codes(TERMINAL)) & ~_dotted(flat, flat.paragraphs)
    for p in np.flatnonzero(last == ord("]")).tolist():
        text = CITATION.sub("", flat.text[flat.paragraphs.start[p] : flat.paragraphs.end[p]])
        ends[p] = text.endswith(tuple(TERMINAL)) and not text.endswith("...")
    return ends


def _sentences(flat: Flat) -> Ints:
    """Number of sentences of each paragraph: . ! ? (with closing marks) before white space, and one for a rest."""
    codes = flat.codes
    place = flat.points[np.isin(codes[flat.points], _codes(".!?"))]
    after = place + 1 + np.isin(codes[place + 1], _codes(CLOSING))
    after = after[(flat.kinds[after] & ch.SPACE) != 0]
    paragraph = flat.paragraphs.owner(len(codes))[after - 1]
    count = np.bincount(paragraph, minlength=len(flat.paragraphs))
    last = np.zeros(len(flat.paragraphs), np.int64)
    last[paragraph] = after  # ascending, so the last one remains
    return count + ((flat.paragraphs.size > 0) & (last < flat.paragraphs.end))


def _rare(flat: Flat, character: str) -> Ints:
    """How often a character occurs in each paragraph; fast for a rare one."""
    return _counted(flat, np.flatnonzero(flat.codes == ord(character)))


def _found(flat: Flat, text: AnyStr, phrase: AnyStr) -> Ints:
    """How often ``phrase`` occurs in each paragraph, without overlap. One step for each occurrence: they are rare."""
    places: list[int] = []
    at = text.find(phrase)
    while at >= 0:
        places.append(at)
        at = text.find(phrase, at + len(phrase))
    return _counted(flat, np.array(places, np.int64))


def _counted(flat: Flat, places: Ints) -> Ints:
    paragraph = np.searchsorted(flat.paragraphs.start, places, "right") - 1
    return np.bincount(paragraph, minlength=len(flat.paragraphs))


def _repeated(flat: Flat) -> Bools:
    """Lines that repeat an earlier one of their document."""
    document, hashes = flat.document_lines.owner(len(flat.lines)), flat.exact.between(flat.lines.start, flat.lines.end)
    order = np.lexsort((hashes, document))  # stable: of equal lines, the earliest is first
    repeated = np.zeros(len(order), np.bool_)
    repeated[order] = ~run_starts(document[order], hashes[order])
    return repeated


def _different(hits: Hits, name: str, documents: int) -> Floats:
    """How many distinct words of a list occur in each document."""
    some, words = hits.has(name), len(hits.lexicon.hashes)
    pairs = np.unique(hits.document[some] * np.int64(words) + hits.entry[some])
    return np.bincount(pairs // max(words, 1), minlength=documents).astype(float)
