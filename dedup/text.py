"""From a batch of documents with their decisions to the kept text, and from text to hashed words.

All of it works on whole columns: a word is processed once in a batch, however often it occurs, so the cost of
normalisation is that of the distinct words.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import required
from manifests.flat import FlatNodes, bools, flat_nodes, lengths, offsets, within
from manifests.hashing import U64, hash_strings
from manifests.schema import TEXT

I64 = npt.NDArray[np.int64]

NUMBER = r"\p{Nd}+(?:[.,:/]\p{Nd}+)*"
NOT_A_WORD = r"[^\p{L}\p{N}\p{M}]+"
# the most frequent marks around words; NOT_A_WORD removes the others
EDGES = ".,;:!?\"'`()[]{}<>*-–—…“”‘’«»|"
# Scripts written without spaces. Each character is a word: otherwise a paragraph would be one word.
UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"


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


def words(texts: pa.Array, fold_numbers: bool = True) -> tuple[U64, I64]:
    """Hashed words of each text: (hashes of all words, offsets (texts + 1)).

    The normalisation is that of FineWeb's MinHash (datatrove utils/text.py ``simplify_text``): lower case, numbers
    become ``0`` (unless ``fold_numbers`` is False, for tables, which may differ in numbers alone), punctuation becomes
    a blank, diacritics are removed. Blanks separate words, so no language's tokenizer is loaded; in scripts without
    blanks each character is a word.
    """
    tokens = pc.ascii_split_whitespace(pc.utf8_lower(texts))  # `NOT_A_WORD` separates words at other blanks
    edges = tokens.offsets.to_numpy().astype(np.int64)
    flat = pc.list_flatten(tokens).dictionary_encode()
    index = flat.indices.to_numpy()
    hashes, starts, sizes = _normalised(flat.dictionary, fold_numbers)
    each = sizes[index]
    edges = offsets(each)[edges - edges[0]]
    if len(starts) == len(hashes) and (sizes == 1).all():
        return hashes[starts[index]], edges
    # hashes[s : s + n] for each (start s, size n), one after another
    return hashes[np.repeat(starts[index], each) + within(each)], edges


def _normalised(tokens: pa.Array, fold_numbers: bool) -> tuple[U64, I64, I64]:
    """Each distinct token's words (none for a dash, several for ``state-of-the-art``): (hashes, starts, sizes)."""
    tokens = pc.utf8_trim(tokens, characters=EDGES)
    plain = pc.ascii_is_alpha(tokens)  # most tokens are words already, and need no regular expression
    is_plain = bools(plain)
    lists = _split(tokens.filter(pc.invert(plain)), fold_numbers)
    as_is = hash_strings(tokens.filter(plain).to_pylist())
    starts, sizes = np.zeros(len(tokens), np.int64), np.ones(len(tokens), np.int64)
    starts[is_plain] = np.arange(len(as_is))
    cuts = lists.offsets.to_numpy().astype(np.int64)
    starts[~is_plain] = len(as_is) + cuts[:-1]
    sizes[~is_plain] = np.diff(cuts)
    return np.concatenate([as_is, hash_strings(lists.values.to_pylist())]), starts, sizes


def _split(tokens: pa.Array, fold_numbers: bool) -> pa.ListArray:
    """The words of each token, which is in lower case and not a plain word."""
    if fold_numbers:
        tokens = pc.replace_substring_regex(tokens, NUMBER, "0")
    foreign = pc.invert(pc.string_is_ascii(tokens))
    if pc.any(foreign).as_py():
        some = pc.replace_substring_regex(pc.utf8_normalize(tokens.filter(foreign), form="NFD"), r"\p{Mn}+", "")
        tokens = pc.replace_with_mask(tokens, foreign, pc.replace_substring_regex(some, UNSPACED, r" \1 "))
    lists = pc.split_pattern_regex(tokens, NOT_A_WORD)
    full = pc.not_equal(pc.list_flatten(lists), "")
    edges = lists.offsets.to_numpy().astype(np.int64)
    without_empty = offsets(bools(full))[edges - edges[0]].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(without_empty), pc.list_flatten(lists).filter(full))
