"""The language of a paragraph and, by a vote of its paragraphs, of a document.

There are two methods, and `name` says which one is used:

* fastText, with a model file of the user (lid.176.bin or .ftz, or another). Paragraphs are lower-cased before, as in
  OBELICS.
* Function words, the default, which needs no file and no network. It counts function words (the lists of
  `filters/lists`, 50 to 300 for each language) and, for scripts of one language, letters. It has about thirty
  languages and is made for running text. A paragraph whose words are as frequent in two languages, or one of fewer than
  five words without a function word, has no language and no vote.

A document's language is the one with the most characters, where each paragraph's characters are weighted by its
confidence (the vote of mOSCAR, arXiv 2406.08707). The document's confidence is that sum's share of the characters that
voted. Where no paragraph votes, the language is the one that the page declares, without a confidence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters import characters as ch
from filters.flat import Flat
from filters.needs import readable
from filters.wordlists import Hits, languages

#: scripts that (nearly) one language alone uses; Han with kana is Japanese
SCRIPT_LANGUAGE = {
    "hangul": "ko", "thai": "th", "greek": "el", "hebrew": "he", "devanagari": "hi", "bengali": "bn", "tamil": "ta",
    "telugu": "te", "armenian": "hy", "georgian": "ka", "lao": "lo", "khmer": "km", "myanmar": "my",
}  # fmt: skip

#: with a smaller share of function words, a paragraph's confidence is reduced; prose has 0.3 to 0.5
FULL_SHARE = 0.15
FEW_WORDS = 5  # a paragraph with fewer words and no function word does not vote
KANA_SHARE = 0.1  # a text is Japanese where kana are a larger share of Han and kana


@dataclass(frozen=True, eq=False)
class Guess:
    """Language of each text: an index into ``labels`` or -1, the confidence (0 to 1), and whether the text votes."""

    labels: tuple[str, ...]
    code: NDArray[np.int64]
    score: NDArray[np.float64]
    voting: NDArray[np.bool_]

    def strings(self) -> pa.Array:
        """The labels as an Arrow string array, null where unknown."""
        return pa.array(self.labels, pa.string()).take(pa.array(self.code, mask=self.code < 0))


def name(model: str | None) -> str:
    """The method of recognising languages, for a report."""
    if model is not None:
        return f"the fastText model {PurePath(model).name}"
    method = f"function words and scripts, the offline default for {len(labels())} languages"
    return f"{method}: others are left unknown or mistaken"


def vote(guess: Guess, flat: Flat) -> Guess:
    """The documents' languages from their paragraphs'."""
    documents, kinds = len(flat.of), len(guess.labels)
    document = np.repeat(np.arange(documents), flat.of.size)
    length = flat.paragraphs.size
    has_language = guess.code >= 0
    weight = (length * guess.score)[has_language]
    place = document[has_language] * kinds + guess.code[has_language]
    votes = np.bincount(place, weight, documents * kinds).reshape(documents, kinds)
    best = votes.argmax(1)
    won = votes[np.arange(documents), best]
    cast = np.bincount(document, length * guess.voting, documents)
    decided = won > 0
    score = np.divide(won, cast, out=np.zeros(documents), where=decided)
    return Guess(guess.labels, np.where(decided, best, -1), np.minimum(score, 1.0), decided)


@lru_cache
def labels() -> tuple[str, ...]:
    return tuple(sorted({*languages(), *SCRIPT_LANGUAGE.values(), "zh", "ja"}))


def by_function_words(flat: Flat, words: Hits) -> Guess:
    """Language of each paragraph by its function words and its script."""
    kinds, paragraphs, per_paragraph = len(labels()), len(flat.paragraphs), flat.word_count
    member = words.lexicon.member[:, [words.lexicon.names.index(f"stop_{code}") for code in languages()]]
    shared = member.sum(1)  # number of languages that have each entry
    functional = shared[words.entry] > 0
    entry, paragraph = words.entry[functional], words.paragraph[functional]
    hit, which = np.nonzero(member[entry])
    cell = paragraph[hit] * kinds + np.array([labels().index(code) for code in languages()])[which]
    votes = np.bincount(cell, 1.0 / shared[entry[hit]] ** 2, paragraphs * kinds).reshape(paragraphs, kinds)
    counts = np.bincount(cell, minlength=paragraphs * kinds).reshape(paragraphs, kinds)

    # Weighted votes decide the language. The confidence is the share of all hits that are words of that language.
    code = votes.argmax(1)
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
    """Sets the language of paragraphs with more than half of their letters in a script of one language."""
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


# the first bytes of a fastText model (FASTTEXT_FILEFORMAT_MAGIC_INT32 of its source)
MAGIC = (793712314).to_bytes(4, "little")


def check_model(path: str) -> None:
    """Checks the first bytes of a fastText model. Raises ValueError, one line."""
    with readable(path), open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} is not a fastText model")


@lru_cache(maxsize=4)
def load_model(path: str, what: str = "language_model") -> tuple[Any, tuple[str, ...]]:
    """A fastText model and its labels. Raises ValueError, one line that begins with ``what``."""
    import fasttext

    try:
        model = fasttext.load_model(path)
    except ValueError as error:
        raise ValueError(f"{what} `{path}`: {error}") from error
    return model, tuple(label.removeprefix("__label__") for label in model.get_labels())


def by_fasttext(flat: Flat, path: str, ctx: Callable[[int], bool], first: int) -> tuple[Guess, NDArray[np.bool_]]:
    """Language of each paragraph; and which documents the context refused. ``first``: the row of the first document."""
    model, names = load_model(path)
    index = {label: i for i, label in enumerate(names)}
    paragraphs, documents = len(flat.paragraphs), len(flat.of)
    code, score = np.full(paragraphs, -1, np.int64), np.zeros(paragraphs)
    refused = np.zeros(documents, np.bool_)
    lettered = flat.paragraphs.count(flat.where(ch.ALPHA)) > 0
    for document in range(documents):
        if not ctx(first + document):
            refused[document] = True
            continue
        rows = [p for p in range(flat.of.start[document], flat.of.end[document]) if lettered[p]]
        if not rows:
            continue
        texts = [flat.text[flat.paragraphs.start[p] : flat.paragraphs.end[p]].lower().replace("\n", " ") for p in rows]
        predicted, scores = model.predict(texts)
        code[rows] = [index[p[0].removeprefix("__label__")] for p in predicted]
        score[rows] = [min(float(s[0]), 1.0) for s in scores]  # fastText gives 1.00001 at times
    return Guess(names, code, score, code >= 0), refused
