"""Gopher's repetition of words (MassiveText; arXiv 2112.11446, A.1.1 and table A1), as shares of a document's
characters.

What the shares count is read as in datatrove's GopherRepetitionFilter: the top n-gram is the most frequent one, the
earliest of several, its words joined by blanks, times how often it occurs; duplicates are found by reading on from the
start, an n-gram that was met before counts with all its words and is stepped over. Words are words and numbers
(`filters.flat`), case folded.

A longer n-gram can repeat only where the shorter one does, so all nine lengths cost little more than the first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from filters.flat import Flat
from filters.hashing import Running
from filters.repetition import equal, salted
from filters.spans import Bools, Ints

Floats = NDArray[np.float64]

TOP: Final = (2, 3, 4)
DUPLICATED: Final = (5, 6, 7, 8, 9, 10)


def repetition_scores(flat: Flat, characters: Ints) -> dict[str, Floats]:
    """``top_2_gram`` to ``top_4_gram`` and ``duplicate_5_grams`` to ``duplicate_10_grams``; 0 for a document too short
    for them.

    ``characters``: of each document's text, a line break between two paragraphs counted as one.
    """
    documents, letters = flat.document_terms, np.append(0, np.cumsum(flat.terms.size))
    running = Running.of(flat.term_hashes)
    owner = documents.owner(len(flat.terms))
    place, first = equal(salted(running.grams(2), 2, documents))
    out: dict[str, Floats] = {}
    for n in range(TOP[0], DUPLICATED[-1] + 1):
        if n > TOP[0]:
            repeated = np.zeros(len(flat.terms) + 1, np.bool_)
            repeated[place] = True
            candidates = np.flatnonzero(repeated[:-1] & repeated[1:])
            salt = owner[candidates].astype(np.uint64) << np.uint64(40)
            place, first = equal(running.between(candidates, candidates + n) ^ salt, candidates)
        if n in TOP:
            taken = _top(n, place, first, owner, documents.start, documents.size, letters)
            out[f"top_{n}_gram"] = _share(taken, characters)
        else:
            taken = _duplicated(n, place, first, owner, letters, len(documents))
            out[f"duplicate_{n}_grams"] = _share(taken, characters)
    return out


def _top(n: int, place: Ints, first: Bools, owner: Ints, start: Ints, size: Ints, letters: Ints) -> Ints:
    """Characters of each document's most frequent n-gram, times its count: of the first n-gram, where none repeats."""
    best = np.where(size >= n, start, -1)
    count = np.ones(len(start), np.int64)
    begin = np.flatnonzero(first)
    if len(begin):
        times = np.diff(np.append(begin, len(place)))
        # one sort of whole numbers: by document, then the most frequent first, then the earliest
        most, places = int(times.max()), len(owner)
        key = np.sort((owner[place[begin]] * (most + 1) + (most - times)) * places + place[begin])
        document = key // ((most + 1) * places)
        leads = key[np.concatenate([np.ones(1, np.bool_), document[1:] != document[:-1]])]
        of = leads // ((most + 1) * places)
        best[of], count[of] = leads % places, most - leads // places % (most + 1)
    at = np.maximum(best, 0)
    last = np.minimum(at + n, len(letters) - 1)
    taken: Ints = np.where(best >= 0, (letters[last] - letters[at] + n - 1) * count, 0)
    return taken


def _duplicated(n: int, place: Ints, first: Bools, owner: Ints, letters: Ints, documents: int) -> Ints:
    """Characters of the n-grams that repeat an earlier one. A step for each one: in prose, these are few."""
    begin = np.flatnonzero(first)
    gram = np.cumsum(first) - 1
    again = np.flatnonzero(~first)
    again = again[np.argsort(place[again])]
    stepped_over = bytearray(len(owner))  # places that were no n-gram's start: what begins there was not met
    met_later = bytearray(len(begin))
    met: list[int] = []
    inside = b"\1" * (n - 1)
    places = place[again]
    grams, earliest = gram[again].tolist(), place[begin][gram[again]].tolist()
    after = np.searchsorted(places, places + n).tolist()  # the next of them behind each one's words
    i = 0
    while i < len(after):
        if met_later[grams[i]] or not stepped_over[earliest[i]]:
            at = int(places[i])
            met.append(at)
            stepped_over[at + 1 : at + n] = inside
            i = after[i]
        else:
            met_later[grams[i]] = 1
            i += 1
    found = np.array(met, np.int64)
    taken = np.bincount(owner[found], letters[found + n] - letters[found], documents)
    return taken.astype(np.int64)


def _share(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return share
