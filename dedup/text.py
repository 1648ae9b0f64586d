"""From a batch of documents with their decisions to the kept text, and from text to hashed words.

All of it works on whole columns: a word is processed once in a batch, however often it occurs, so the cost of
normalisation is that of the distinct words.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import required
from manifests.flat import FlatNodes, bools, flat_nodes, lengths, offsets, within
from manifests.hashing import U64, hash_strings, ngram_hashes
from manifests.schema import TEXT
from manifests.words import MARK, WORD, Weights, kinds, letters

I64 = npt.NDArray[np.int64]

NUMBER = r"\p{Nd}+(?:[.,:/]\p{Nd}+)*"
NOT_A_WORD = r"[^\p{L}\p{N}\p{M}]+"
# the most frequent marks around words; NOT_A_WORD removes the others
EDGES = ".,;:!?\"'`()[]{}<>*-–—…“”‘’«»|"


class Grams(NamedTuple):
    """N-grams of words, in the order of the texts: hashes, and how many each text has."""

    hashes: U64
    counts: I64


class Words(NamedTuple):
    """The words of some texts: hashes of all words, offsets (texts + 1), and how much of a word each of them is."""

    hashes: U64
    offsets: I64
    weights: Weights

    def sizes(self) -> npt.NDArray[np.float64] | I64:
        """The number of words of each text."""
        return self.weights.count(self.offsets[:-1], self.offsets[1:])

    def grams(self, size: int, short: bool = False) -> Grams:
        """Every run of ``size`` words of each text. ``short``: a text of fewer words has one run, of all its words.

        In scripts without blanks between words, a run is as many letters as are ``size`` words (`manifests.words`).
        """
        lengths = np.diff(self.offsets)
        counts = np.maximum(lengths - size + 1, 0)
        odd, own = np.zeros(len(lengths), bool), np.zeros(0, np.int64)  # texts with letters, and sizes of their runs
        if self.weights.totals is not None:
            odd = np.diff(self.weights.totals[self.offsets]) != WORD * lengths
            some = lengths[odd]
            place = np.repeat(self.offsets[:-1][odd], some) + within(some)
            ends = self.weights.ends(place, size)
            fits = ends <= np.repeat(self.offsets[1:][odd], some)
            own = (ends - place)[fits]
            counts[odd] = np.diff(offsets(fits)[offsets(some)])
        all_words = (counts == 0) & (lengths > 0) & short
        counts[all_words] = 1
        odd |= all_words
        first = np.repeat(self.offsets[:-1], counts) + within(counts)
        if not odd.any():
            return Grams(ngram_hashes(self.hashes, first, size), counts)
        of_odd, of_all = np.repeat(odd, counts), np.repeat(all_words[odd], counts[odd])
        sizes = np.zeros(len(of_all), np.int64)
        sizes[of_all], sizes[~of_all] = lengths[all_words], own
        hashes = np.zeros(len(first), np.uint64)
        hashes[of_odd] = self.hashed(first[of_odd], sizes)
        hashes[~of_odd] = ngram_hashes(self.hashes, first[~of_odd], size)
        return Grams(hashes, counts)

    def hashed(self, first: I64, sizes: I64) -> U64:
        """The hash of each run of words that begins at ``first`` and has ``sizes`` words, or letters."""
        out = np.zeros(len(first), np.uint64)
        for size in np.flatnonzero(np.bincount(sizes)).tolist():
            some = sizes == size
            out[some] = ngram_hashes(self.hashes, first[some], size)
        return out


@dataclass(frozen=True)
class KeptNodes:
    """The nodes of a batch, and which of them are kept."""

    flat: FlatNodes  # every node of every document
    document: I64  # the row of each node's document
    index: I64  # the node's place in its document
    kept: npt.NDArray[np.bool_]  # document and node are both kept

    def field(self, name: str, mask: npt.NDArray[np.bool_]) -> pa.Array:
        return self.flat.field(name).filter(pa.array(mask))

    def of_kind(self, kind: str) -> npt.NDArray[np.bool_]:
        """Which nodes are kept and of a kind."""
        return self.flat.of_kind(kind) & self.kept

    def texts(self) -> pa.Array:
        """The kept text of each document: its paragraphs joined by a blank, empty where there is none."""
        return self.flat.joined_texts(self.of_kind(TEXT), " ")


def kept_nodes(batch: pa.RecordBatch, stage: str) -> KeptNodes:
    """Nodes of a zipped DOCUMENT and DECISION batch. Raises ValueError where they differ in the number of nodes."""
    lists, keep, node_keep = required(batch, ("nodes", "keep", "node_keep"), stage)
    kept_documents, sizes, flags = bools(keep), lengths(lists), lengths(node_keep)
    # A dropped document may have no decisions on its nodes; a kept one must have them.
    wrong = np.flatnonzero((sizes != flags) & (kept_documents | (flags != 0)))
    if wrong.size:
        row = int(wrong[0])
        found = f"row {row} has {sizes[row]} nodes but {flags[row]} node decisions"
        raise ValueError(f"{stage}: {found}; zip documents with their own decisions")
    flat = flat_nodes(lists)
    kept = np.zeros(len(flat.nodes), bool)
    kept[np.repeat(sizes == flags, sizes)] = bools(pc.list_flatten(node_keep))
    return KeptNodes(flat, flat.document, within(sizes), kept & kept_documents[flat.document])


def words(texts: pa.Array, fold_numbers: bool = True) -> Words:
    """Hashed words of each text.

    The normalisation is that of FineWeb's MinHash (datatrove utils/text.py ``simplify_text``): lower case, numbers
    become ``0`` (unless ``fold_numbers`` is False, for tables, which may differ in numbers alone), punctuation becomes
    a blank, diacritics are removed. Blanks separate words, so no language's tokenizer is loaded; in scripts without
    blanks each letter is a token, which is a part of a word (`manifests.words`).
    """
    tokens = pc.ascii_split_whitespace(pc.utf8_lower(texts))  # `NOT_A_WORD` separates words at other blanks
    edges = tokens.offsets.to_numpy().astype(np.int64)
    flat = pc.list_flatten(tokens).dictionary_encode()
    index = flat.indices.to_numpy()
    hashes, weights, starts, sizes = _normalised(flat.dictionary, fold_numbers)
    each = sizes[index]
    edges = offsets(each)[edges - edges[0]]
    if len(starts) == len(hashes) and (sizes == 1).all():
        place = starts[index]
    else:  # s, s + 1 ... s + n - 1 for each (start s, size n), one after another
        place = np.repeat(starts[index], each) + within(each)
    return Words(hashes[place], edges, Weights.of(None if weights is None else weights[place]))


def _normalised(tokens: pa.Array, fold_numbers: bool) -> tuple[U64, npt.NDArray[np.uint8] | None, I64, I64]:
    """(hashes, weights, starts, sizes) of each distinct token's words: none for a dash, several for ``one-way``.

    The weights are None where every word is a whole one.
    """
    tokens = pc.utf8_trim(tokens, characters=EDGES)
    plain = pc.ascii_is_alpha(tokens)  # most tokens are words already, and need no regular expression
    is_plain = bools(plain)
    lists, has_letters = _split(tokens.filter(pc.invert(plain)), fold_numbers)
    as_is = hash_strings(tokens.filter(plain).to_pylist())
    starts, sizes = np.zeros(len(tokens), np.int64), np.ones(len(tokens), np.int64)
    starts[is_plain] = np.arange(len(as_is))
    cuts = lists.offsets.to_numpy().astype(np.int64)
    starts[~is_plain] = len(as_is) + cuts[:-1]
    sizes[~is_plain] = np.diff(cuts)
    hashes = np.concatenate([as_is, hash_strings(lists.values.to_pylist())])
    if not has_letters:
        return hashes, None, starts, sizes
    kind = kinds()[[ord(word[0]) for word in lists.values.to_pylist()]]
    is_letter = (kind > 0) & (kind < MARK)
    weights = np.full(len(hashes), WORD, np.uint8)
    weights[len(as_is) :][is_letter] = kind[is_letter]
    return hashes, weights, starts, sizes


def _split(tokens: pa.Array, fold_numbers: bool) -> tuple[pa.ListArray, bool]:
    """The words of each token, which is in lower case and not a plain word; and whether some are letters of scripts
    without blanks between words.
    """
    has_letters = False
    if fold_numbers:
        tokens = pc.replace_substring_regex(tokens, NUMBER, "0")
    foreign = pc.invert(pc.string_is_ascii(tokens))
    if pc.any(foreign).as_py():
        some = pc.replace_substring_regex(pc.utf8_normalize(tokens.filter(foreign), form="NFD"), r"\p{Mn}+", "")
        alone = pc.replace_substring_regex(some, rf"({letters()}\p{{M}}*)", r" \1 ")
        has_letters = pc.sum(pc.binary_length(alone)) != pc.sum(pc.binary_length(some))
        tokens = pc.replace_with_mask(tokens, foreign, alone)
    lists = pc.split_pattern_regex(tokens, NOT_A_WORD)
    full = pc.not_equal(pc.list_flatten(lists), "")
    edges = lists.offsets.to_numpy().astype(np.int64)
    without_empty = offsets(bools(full))[edges - edges[0]].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(without_empty), pc.list_flatten(lists).filter(full)), has_letters
