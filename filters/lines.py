"""Scores of a document as a whole: of its lines (here: paragraphs), its phrases and its make-up. Gopher's, C4's and OmniCorpus' measures.

Sources: Gopher (arXiv 2112.11446, A.1.1), C4 (arXiv 1910.10683, 2.2), OmniCorpus (arXiv 2406.08418: words an image, short paragraphs).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.flat import Flat, Ints
from filters.wordlists import Lexicon, lines

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BULLETS = "•-*‣▪"
TERMINAL = ".!?\"'”’»"
ELLIPSIS = "…"
SHORT = 4  # words; OmniCorpus


def line_scores(flat: Flat, lexicon: Lexicon, entries: NDArray[np.int32], images: Ints) -> dict[str, Floats]:
    """`filters.scores.DOCUMENT_ONLY` but for word_confidence, NaN where null. ``images``: image nodes of each document."""
    paragraphs, total = flat.of.size, flat.by_document
    per_paragraph = flat.paragraph_words.size
    count = total(per_paragraph)
    first, last = _edge(flat, 0), _edge(flat, -1)
    dots = np.where(flat.paragraphs.size >= 3, (last == ord(".")) & (_edge(flat, -2) == ord(".")) & (_edge(flat, -3) == ord(".")), False)
    ellipsis = dots | (last == ord(ELLIPSIS))
    lower = flat.text.replace("İ", "I").lower()  # İ alone would change the length

    def share(of: Bools) -> Floats:
        return _ratio(total(of.astype(np.int64)), paragraphs)

    policy = np.zeros(len(flat.paragraphs), np.bool_)
    for phrase in lines("policy_en"):
        policy |= _found(flat, lower, phrase) > 0
    return {
        "images": images.astype(float),
        "paragraphs": paragraphs.astype(float),
        "words_per_image": _ratio(count, images),
        "longest_paragraph": _largest(flat, per_paragraph),
        "short_paragraphs": share(per_paragraph <= SHORT),
        "duplicate_paragraphs": _ratio(_duplicates(flat), paragraphs),
        "gopher_stop_words": _different(flat, lexicon, entries, "gopher"),
        "hashes": _ratio(total(flat.paragraphs.count(flat.codes == ord("#"))), count),
        "ellipses": _ratio(total(flat.paragraphs.count(flat.codes == ord(ELLIPSIS)) + _found(flat, flat.text, "...")), count),
        "bullets": share(np.isin(first, _codes(BULLETS))),
        "ellipsis_ends": share(ellipsis),
        "terminal_ends": share(np.isin(last, _codes(TERMINAL)) & ~ellipsis),
        "braces": total(flat.paragraphs.count(flat.codes == ord("{"))).astype(float),
        "lorem_ipsum": (total(_found(flat, lower, "lorem ipsum")) > 0).astype(float),
        "javascript": share(_found(flat, lower, "javascript") > 0),
        "policy": share(policy),
    }


def _codes(characters: str) -> NDArray[np.uint32]:
    return np.array([ord(c) for c in characters], np.uint32)


def _edge(flat: Flat, place: int) -> NDArray[np.uint32]:
    """The paragraph's character at ``place`` (from its end if negative), 0 where it is too short."""
    at = (flat.paragraphs.start if place >= 0 else flat.paragraphs.end) + place
    inside = (at >= flat.paragraphs.start) & (at < flat.paragraphs.end)
    found = np.zeros(len(at), np.uint32)
    found[inside] = flat.codes[at[inside]]
    return found


def _found(flat: Flat, text: str, phrase: str) -> Ints:
    """How often ``phrase`` occurs in each paragraph, without overlap. A step a hit, and these are rare."""
    places = []
    at = text.find(phrase)
    while at >= 0:
        places.append(at)
        at = text.find(phrase, at + len(phrase))
    paragraph = np.searchsorted(flat.paragraphs.start, np.array(places, np.int64), "right") - 1
    return np.bincount(paragraph, minlength=len(flat.paragraphs)).astype(np.int64)


def _largest(flat: Flat, values: Ints) -> Floats:
    largest = np.zeros(len(flat.of))
    np.maximum.at(largest, _document(flat), values)
    return largest


def _document(flat: Flat) -> Ints:
    return np.repeat(np.arange(len(flat.of)), flat.of.size)


def _duplicates(flat: Flat) -> Ints:
    """Paragraphs of each document that repeat an earlier one, case ignored."""
    document, hashes = _document(flat), flat.paragraph_hashes
    order = np.lexsort((hashes, document))
    same = (document[order][1:] == document[order][:-1]) & (hashes[order][1:] == hashes[order][:-1])
    return np.bincount(document[order][1:][same], minlength=len(flat.of)).astype(np.int64)


def _different(flat: Flat, lexicon: Lexicon, entries: NDArray[np.int32], name: str) -> Floats:
    """How many words of a list occur in each document."""
    hit = np.flatnonzero(lexicon.has(entries, name))
    document = np.repeat(np.arange(len(flat.of)), flat.document_words.size)[hit]
    pairs = np.unique(document * np.int64(len(lexicon.member)) + entries[hit])
    return np.bincount(pairs // len(lexicon.member), minlength=len(flat.of)).astype(float)


def _ratio(part: NDArray, whole: NDArray) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share
