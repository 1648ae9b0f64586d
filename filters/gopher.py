"""Gopher's repetition of words (MassiveText; arXiv 2112.11446, A.1.1, table A1): shares of a document's characters.

The definitions are those of datatrove's GopherRepetitionFilter. Words are words and numbers (`filters.flat`), case
folded. The plain versions, for the ``words`` of one document::

    def top(words, n):                           # characters of the top n-gram; of several, the earliest one
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        gram, times = Counter(grams).most_common(1)[0]
        return len(" ".join(gram)) * times

    def duplicated(words, n):                    # characters of the n-grams that repeat an earlier one
        earlier, characters, i = set(), 0, 0
        while i <= len(words) - n:
            gram = tuple(words[i : i + n])
            if gram in earlier:
                characters, i = characters + len("".join(gram)), i + n
            else:
                earlier, i = earlier | {gram}, i + 1
        return characters

A longer n-gram can repeat only where the shorter one does, so all nine lengths cost little more than the first. In
scripts without blanks between words, n words are several letters (`manifests.words`), and no blank stands between two
letters.
"""

from typing import Final

import numpy as np

from filters.flat import Flat
from filters.hashing import Running
from filters.repetition import equal, salted_grams
from filters.spans import Bools, Floats, Ints, Spans, ratio
from manifests.flat import run_starts
from manifests.words import Weights

TOP: Final = (2, 3, 4)
DUPLICATED: Final = (5, 6, 7, 8, 9, 10)


def repetition_scores(flat: Flat, characters: Ints) -> dict[str, Floats]:
    """The scores. ``characters``: of each document's text, with one line break between two paragraphs."""
    documents, letters = flat.document_terms, np.append(0, np.cumsum(flat.terms.size))
    running = Running.of(flat.term_hashes)
    owner = documents.owner(len(flat.terms))
    weights, blanks = flat.term_weights, _blanks(flat)
    place, first = equal(salted_grams(running, 2, documents, weights))
    out: dict[str, Floats] = {}
    for n in range(TOP[0], DUPLICATED[-1] + 1):
        if n > TOP[0]:
            repeated = np.zeros(len(flat.terms) + 1, np.bool_)
            repeated[place] = True
            candidates = np.flatnonzero(repeated[:-1] & repeated[1:])
            ends = weights.ends(candidates, n)
            if weights.totals is not None:  # else it ends where the shorter one behind it does
                inside = ends <= documents.end[owner[candidates]]
                candidates, ends = candidates[inside], ends[inside]
            salt = owner[candidates].astype(np.uint64) << np.uint64(40)
            place, first = equal(running.between(candidates, ends) ^ salt, candidates)
        if n in TOP:
            name, count = f"top_{n}_gram", _top(n, place, first, owner, documents, letters, weights, blanks)
        else:
            name, count = f"duplicate_{n}_grams", _duplicated(n, place, first, owner, letters, len(documents), weights)
        out[name] = ratio(count, characters, empty=0)
    return out


def _blanks(flat: Flat) -> Ints | None:
    """Running totals of the blanks between neighbouring terms; None where there is one between any two of them."""
    if flat.letter_weights is None:
        return None
    spaced = flat.letter_weights == 0
    return np.append(0, np.cumsum(spaced[:-1] & spaced[1:]))


def _top(
    n: int, place: Ints, first: Bools, owner: Ints, documents: Spans, letters: Ints, weights: Weights,
    blanks: Ints | None,
) -> Ints:  # fmt: skip
    """`top` of each document. Where no n-gram repeats, the first n-gram is the top one.

    ``place`` and ``first``: places of the n-grams that repeat, in groups (`filters.repetition.equal`); ``owner``: the
    document of each place; ``documents``: the terms of each document; ``letters``: characters of the terms before each
    place; ``blanks``: see `_blanks`.
    """
    start = documents.start
    best = np.where(weights.ends(start, n) <= documents.end, start, -1)
    count = np.ones(len(start), np.int64)
    begin = np.flatnonzero(first)
    if len(begin):
        times = np.diff(np.append(begin, len(place)))
        # One sort of whole numbers: by document, then the most frequent gram first, then the earliest.
        most, places = int(times.max()), len(owner)
        key = np.sort((owner[place[begin]] * (most + 1) + (most - times)) * places + place[begin])
        document = key // ((most + 1) * places)
        leads = key[run_starts(document)]
        of = leads // ((most + 1) * places)
        best[of], count[of] = leads % places, most - leads // places % (most + 1)
    at = np.maximum(best, 0)
    last = np.minimum(weights.ends(at, n), len(letters) - 1)
    between = n - 1 if blanks is None else blanks[np.maximum(last - 1, at)] - blanks[at]
    characters: Ints = np.where(best >= 0, (letters[last] - letters[at] + between) * count, 0)
    return characters


def _duplicated(
    n: int, place: Ints, first: Bools, owner: Ints, letters: Ints, documents: int, weights: Weights
) -> Ints:
    """`duplicated` of each document, with one step for each n-gram that repeats an earlier one; prose has few.

    `duplicated` passes over the n-grams that begin inside a repetition: they do not count, and they are not earlier
    ones of the n-grams behind them.
    """
    begin = np.flatnonzero(first)
    gram = np.cumsum(first) - 1
    later = np.flatnonzero(~first)
    later = later[np.argsort(place[later])]
    places = place[later]  # of the n-grams that occur before too
    grams, earliest = gram[later].tolist(), place[begin][gram[later]].tolist()
    ends = weights.ends(places, n)
    next_step = np.searchsorted(places, ends).tolist()  # index of the first one behind each one's words
    passed_over = bytearray(len(owner))  # places inside a repetition
    read_later = bytearray(len(begin))  # grams that were read at a place that is not their earliest
    repetitions: list[int] = []  # indexes in ``places``
    i = 0
    while i < len(places):
        if read_later[grams[i]] or not passed_over[earliest[i]]:
            place_, end = int(places[i]), int(ends[i])
            repetitions.append(i)
            passed_over[place_ + 1 : end] = b"\1" * (end - place_ - 1)
            i = next_step[i]
        else:
            read_later[grams[i]] = 1
            i += 1
    chosen = np.array(repetitions, np.int64)
    start, end_ = places[chosen], ends[chosen]
    return np.bincount(owner[start], letters[end_] - letters[start], documents).astype(np.int64)
