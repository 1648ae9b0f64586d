"""Which language a paragraph is in, and, by a vote of its paragraphs, a document.

Two ways, and `name` says which was used:

* fastText, where the user names a model file (lid.176.bin or .ftz, or one of their own). Paragraphs are lower-cased
  first, as in OBELICS.
* ``function-words``: the default, which needs no file and no network. It counts function words (the lists of
  `filters/lists`, some fifty to three hundred a language) and, for scripts that one language has to itself, letters. It
  knows about thirty languages and is made for running text: a paragraph whose words speak for two languages alike, or
  one of fewer than five words with no function word, is left undecided and does not vote.

A document's language is the one with the most characters behind it, each paragraph's characters weighted by its
confidence (mOSCAR's vote, reference: arXiv 2406.08707); the document's confidence is that sum's share of the characters
that voted. Where no paragraph votes, it is the language that the page declares, without a confidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filters import characters as ch
from filters.flat import Flat
from filters.wordlists import Hits, Lexicon, languages

#: scripts that one language has (nearly) to itself; Han with kana is Japanese
SCRIPT_LANGUAGE = {
    "hangul": "ko", "thai": "th", "greek": "el", "hebrew": "he", "devanagari": "hi", "bengali": "bn", "tamil": "ta", "telugu": "te",
    "armenian": "hy", "georgian": "ka",
}  # fmt: skip

FULL_SHARE = 0.15  # share of function words from which a paragraph's evidence counts in full; prose has 0.3 to 0.5
FEW_WORDS = 5  # below it, a paragraph without evidence does not vote
KANA_SHARE = 0.1  # of Han and kana, from which on it is Japanese


@dataclass(frozen=True, eq=False)
class Guess:
    """Language of each text: an index into ``labels`` or -1, its confidence (0 to 1), and whether it counts in a vote."""

    labels: tuple[str, ...]
    code: NDArray[np.int64]
    score: NDArray[np.float64]
    voting: NDArray[np.bool_]

    def strings(self) -> pa.Array:
        """The labels as an Arrow string array, null where unknown."""
        return pa.array(self.labels, pa.string()).take(pa.array(self.code, mask=self.code < 0))


def name(model: str | None) -> str:
    """What a report calls the way languages were told."""
    if model is not None:
        return f"the fastText model {PurePath(model).name}"
    return f"function words and scripts, the offline default for {len(labels())} languages: others are left unknown or mistaken"


def vote(guess: Guess, flat: Flat) -> Guess:
    """The documents' languages from their paragraphs'."""
    documents, kinds = len(flat.of), len(guess.labels)
    document = np.repeat(np.arange(documents), flat.of.size)
    length = flat.paragraphs.size
    some = guess.code >= 0
    weight = (length * guess.score)[some]
    place = document[some] * kinds + guess.code[some]
    votes = np.bincount(place, weight, documents * kinds).reshape(documents, kinds)
    best = votes.argmax(1) if documents else np.zeros(0, np.int64)
    won = votes[np.arange(documents), best]
    cast = np.bincount(document, length * guess.voting, documents)
    known = won > 0
    score = np.divide(won, cast, out=np.zeros(documents), where=known)
    return Guess(guess.labels, np.where(known, best, -1), np.minimum(score, 1.0), known)


def declared(guess: Guess, said: list[str | None]) -> pa.Array:
    """The documents' languages as strings, and where their text does not tell, the one they declare
    (``DOCUMENT.lang``), as short captions
    do not. Its confidence stays unknown; pages that declare a language they are not in do so by their layout, so the
    text has the first word."""
    return pc.coalesce(guess.strings(), pa.array(said, pa.string()))


# --- function words
# ----------------------------------------------------------------------------------------------------------------


@lru_cache
def labels() -> tuple[str, ...]:
    return tuple(sorted({*languages(), *SCRIPT_LANGUAGE.values(), "zh", "ja"}))


class _Evidence:
    """For each lexicon entry, the languages it speaks for and how much: 1 / (number of languages that share it)
    squared.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        columns = [(lexicon.column(f"stop_{code}"), labels().index(code)) for code in languages()]
        member = lexicon.member[:, [c for c, _ in columns]]
        entry, which = np.nonzero(member)
        shared = member.sum(1)
        self.language = np.array([label for _, label in columns])[which]
        self.weight = 1.0 / shared[entry] ** 2
        self.size = shared.astype(np.int64)
        self.first = np.cumsum(self.size) - self.size


@lru_cache(maxsize=4)
def _evidence(lexicon: Lexicon) -> _Evidence:
    return _Evidence(lexicon)


def by_function_words(flat: Flat, found: Hits) -> Guess:
    """Language of each paragraph from its function words and its script."""
    evidence, kinds, paragraphs = _evidence(found.lexicon), len(labels()), len(flat.paragraphs)
    per_paragraph = flat.paragraph_words.size
    counted = evidence.size[found.entry] > 0
    entry, paragraph = found.entry[counted], found.paragraph[counted]
    size = evidence.size[entry]
    # each hit's row of the evidence table, laid end to end
    place = np.arange(size.sum()) + np.repeat(evidence.first[entry] - (np.cumsum(size) - size), size)
    cell = np.repeat(paragraph * kinds, size) + evidence.language[place]
    votes = np.bincount(cell, evidence.weight[place], paragraphs * kinds).reshape(paragraphs, kinds)
    counts = np.bincount(cell, minlength=paragraphs * kinds).reshape(paragraphs, kinds)

    # the words that few languages share decide which; how sure that is, the share of all hits that are words of that
    # language
    code = votes.argmax(1) if paragraphs else np.zeros(0, np.int64)
    hits = np.bincount(paragraph, minlength=paragraphs)
    most = votes[np.arange(paragraphs), code]
    tied = (votes >= most[:, None] * (1 - 1e-9)).sum(1) > 1  # `refer to caption`: English, Czech and Polish have `to`
    known = (hits > 0) & ~tied
    share = np.divide(hits, per_paragraph, out=np.zeros(paragraphs), where=known)
    own = counts[np.arange(paragraphs), code]
    score = np.divide(own, hits, out=np.zeros(paragraphs), where=known) * np.minimum(share / FULL_SHARE, 1)
    code = np.where(known, code, -1)
    _by_script(flat, code, score)
    return Guess(labels(), code, score, (code >= 0) | ((per_paragraph >= FEW_WORDS) & (hits == 0)))


def _by_script(flat: Flat, code: NDArray[np.int64], score: NDArray[np.float64]) -> None:
    """Overwrites paragraphs of which more than half the letters are of a script that tells the language."""
    place = np.flatnonzero((flat.codes >= 0x370) & flat.where(ch.ALPHA))
    if not len(place):
        return
    script = ch.scripts()[flat.codes[place]]
    paragraph = np.searchsorted(flat.paragraphs.start, place, "right") - 1
    kinds = len(ch.SCRIPTS)
    counts = np.bincount(paragraph * kinds + script, minlength=len(code) * kinds).reshape(len(code), kinds)
    letters = np.maximum(flat.paragraphs.count(flat.where(ch.ALPHA)), 1)
    for name_, language in SCRIPT_LANGUAGE.items():
        share = counts[:, ch.SCRIPTS.index(name_)] / letters
        won = share > 0.5
        code[won], score[won] = labels().index(language), share[won]
    kana = counts[:, ch.SCRIPTS.index("kana")]
    both = kana + counts[:, ch.SCRIPTS.index("han")]
    share = both / letters
    won = share > 0.5
    japanese = kana > KANA_SHARE * both
    code[won] = np.where(japanese, labels().index("ja"), labels().index("zh"))[won]
    score[won] = share[won]


# --- fastText
# ----------------------------------------------------------------------------------------------------------------------


# what a fastText model begins with (FASTTEXT_FILEFORMAT_MAGIC_INT32 of its source)
MAGIC = (793712314).to_bytes(4, "little")


def check_model(path: str) -> None:
    """Whether a file looks like a fastText model, without reading all of it. Raises ValueError, one line."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if head != MAGIC:
        raise ValueError(f"{path} is no fastText model")


@lru_cache(maxsize=2)
def _model(path: str) -> Any:
    import fasttext

    try:
        return fasttext.load_model(path)
    except ValueError as error:
        raise ValueError(f"language_model `{path}`: {error}") from error


@lru_cache(maxsize=2)
def _model_labels(path: str) -> tuple[str, ...]:
    return tuple(label.removeprefix("__label__") for label in _model(path).get_labels())


def by_fasttext(flat: Flat, path: str, at: Callable[[int], bool], first: int) -> tuple[Guess, NDArray[np.bool_]]:
    """Language of each paragraph by the fastText model at ``path``; and which documents were left out because ``at``
    said so.

    ``at`` is asked with the document's row (``first`` is the row of the first) before native code touches it.
    """
    model, known = _model(path), _model_labels(path)
    index = {label: i for i, label in enumerate(known)}
    paragraphs, documents = len(flat.paragraphs), len(flat.of)
    code, score = np.full(paragraphs, -1, np.int64), np.zeros(paragraphs)
    left_out = np.zeros(documents, np.bool_)
    lettered = flat.paragraphs.count(flat.where(ch.ALPHA)) > 0
    for document in range(documents):
        if not at(first + document):
            left_out[document] = True
            continue
        rows = [p for p in range(flat.of.start[document], flat.of.end[document]) if lettered[p]]
        if not rows:
            continue
        texts = [flat.text[flat.paragraphs.start[p] : flat.paragraphs.end[p]].lower().replace("\n", " ") for p in rows]
        found, scores = model.predict(texts)
        code[rows] = [index[f[0].removeprefix("__label__")] for f in found]
        score[rows] = [min(float(s[0]), 1.0) for s in scores]  # fastText says 1.00001 at times
    return Guess(known, code, score, code >= 0), left_out
