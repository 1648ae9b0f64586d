"""From a batch of decided documents to their kept text, and from text to hashed words.

Everything here is columnar: a word is looked at once per batch however often it occurs, so the cost of normalising
falls on the distinct words alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hashing import U64, hash_strings
from manifests.schema import TEXT

I64 = npt.NDArray[np.int64]

NUMBER = r"\p{Nd}+(?:[.,:/]\p{Nd}+)*"
NOT_A_WORD = r"[^\p{L}\p{N}\p{M}]+"
# the marks most often found around words; what else is there goes by NOT_A_WORD
EDGES = ".,;:!?\"'`()[]{}<>*-–—…“”‘’«»|"
# Scripts written without spaces: each character is a word, or a whole paragraph would be one.
UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"


def columns(batch: pa.RecordBatch, names: tuple[str, ...], stage: str) -> list[pa.Array]:
    """The named columns, or one clear line that says which are not there."""
    missing = [n for n in names if n not in batch.schema.names]
    if missing:
        raise ValueError(f"{stage} needs the columns {', '.join(names)}; not in its input: {', '.join(missing)}")
    return [batch.column(n) for n in names]


@dataclass(frozen=True)
class Nodes:
    """The kept nodes of a batch's kept documents, flat."""

    nodes: pa.StructArray  # every node of every document, kept or not
    document: I64  # the row of each node's document
    index: I64  # the node's place in its document
    kept: npt.NDArray[np.bool_]  # document and node are both kept
    offsets: I64  # (rows + 1): each document's nodes

    def field(self, name: str, mask: npt.NDArray[np.bool_]) -> pa.Array:
        return pc.struct_field(self.nodes, name).filter(pa.array(mask))

    def of_kind(self, kind: str) -> npt.NDArray[np.bool_]:
        """Mask of the kept nodes of one kind."""
        same = pc.fill_null(pc.equal(pc.struct_field(self.nodes, "kind"), kind), False)
        return np.asarray(same.to_numpy(zero_copy_only=False), bool) & self.kept


def flat_nodes(batch: pa.RecordBatch, stage: str) -> Nodes:
    """Nodes of a zipped DOCUMENT and DECISION batch. ValueError where the decision and the nodes do not agree in
    number.
    """
    lists, keep, node_keep = columns(batch, ("nodes", "keep", "node_keep"), stage)
    keep_np = np.asarray(pc.fill_null(keep, False).to_numpy(zero_copy_only=False), bool)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)
    flags = np.asarray(pc.fill_null(pc.list_value_length(node_keep), 0).to_numpy(zero_copy_only=False), np.int64)
    # A dropped document may come without node decisions; a kept one may not.
    wrong = np.flatnonzero((lengths != flags) & (keep_np | (flags != 0)))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"{stage}: row {row} has {lengths[row]} nodes but {flags[row]} node decisions; zip documents with their own decisions"
        )
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    document = np.repeat(np.arange(len(lengths)), lengths)
    kept = np.zeros(len(document), bool)
    decided = pc.fill_null(pc.list_flatten(node_keep), False)
    kept[np.repeat(lengths == flags, lengths)] = np.asarray(decided.to_numpy(zero_copy_only=False), bool)
    kept &= keep_np[document]
    return Nodes(pc.list_flatten(lists), document, np.arange(len(document)) - offsets[document], kept, offsets)


def joined(texts: pa.Array, document: I64, rows: int) -> pa.Array:
    """Each row's texts joined by a blank: string array of ``rows``; empty where a row has none. ``document`` ascends."""
    offsets = np.searchsorted(document, np.arange(rows + 1)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pc.fill_null(texts, ""))
    return pc.binary_join(lists, " ")


def kept_texts(nodes: Nodes) -> pa.Array:
    """The kept text of each document, one string a row."""
    mask = nodes.of_kind(TEXT)
    return joined(nodes.field("text", mask), nodes.document[mask], len(nodes.offsets) - 1)


def ragged(values: U64, starts: I64, lengths: I64) -> U64:
    """``values[s : s + n]`` for each (s, n), one after another."""
    before = np.cumsum(lengths) - lengths
    return values[np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))]


def words(texts: pa.Array, fold_numbers: bool = True) -> tuple[U64, I64]:
    """Hashed words of each text: (hashes of all words, offsets (texts + 1)).

    Normalised as FineWeb's MinHash does (datatrove utils/text.py ``simplify_text``): lower case, numbers to ``0``
    (unless
    ``fold_numbers`` is False: tables differ in their numbers alone), punctuation to blanks, diacritics removed. Words
    are what blanks part, not what a tokenizer finds, so no language model is loaded; scripts without blanks go by
    characters.
    """
    tokens = pc.ascii_split_whitespace(pc.utf8_lower(texts))  # other blanks are no letters, and part words below
    offsets = tokens.offsets.to_numpy().astype(np.int64)
    flat = pc.list_flatten(tokens).dictionary_encode()
    index = flat.indices.to_numpy()
    hashes, starts, lengths = _normalised(flat.dictionary, fold_numbers)
    each = lengths[index]
    total = np.zeros(len(each) + 1, np.int64)
    np.cumsum(each, out=total[1:])
    offsets = total[offsets - offsets[0]]
    if len(starts) == len(hashes) and (lengths == 1).all():
        return hashes[starts[index]], offsets
    return ragged(hashes, starts[index], each), offsets


def _normalised(tokens: pa.Array, fold_numbers: bool) -> tuple[U64, I64, I64]:
    """Each distinct token's words (none for a dash, several for ``state-of-the-art``): (hashes, starts, lengths)."""
    tokens = pc.utf8_trim(tokens, characters=EDGES)
    plain = pc.ascii_is_alpha(tokens)  # most tokens are words as they stand, and need no regular expression
    is_plain = np.asarray(plain.to_numpy(zero_copy_only=False), bool)
    lists = _parted(tokens.filter(pc.invert(plain)), fold_numbers)
    as_is = hash_strings(tokens.filter(plain).to_pylist())
    starts, lengths = np.zeros(len(tokens), np.int64), np.ones(len(tokens), np.int64)
    starts[is_plain] = np.arange(len(as_is))
    cuts = lists.offsets.to_numpy().astype(np.int64)
    starts[~is_plain] = len(as_is) + cuts[:-1]
    lengths[~is_plain] = np.diff(cuts)
    return np.concatenate([as_is, hash_strings(lists.values.to_pylist())]), starts, lengths


def _parted(tokens: pa.Array, fold_numbers: bool) -> pa.ListArray:
    """Tokens that are not plain words, each as the list of its words. Lower case is given."""
    if fold_numbers:
        tokens = pc.replace_substring_regex(tokens, NUMBER, "0")
    foreign = pc.invert(pc.string_is_ascii(tokens))
    if pc.any(foreign).as_py():
        some = pc.replace_substring_regex(pc.utf8_normalize(tokens.filter(foreign), form="NFD"), r"\p{Mn}+", "")
        tokens = pc.replace_with_mask(tokens, foreign, pc.replace_substring_regex(some, UNSPACED, r" \1 "))
    lists = pc.split_pattern_regex(tokens, NOT_A_WORD)
    full = pc.not_equal(pc.list_flatten(lists), "")
    return _without(lists, np.asarray(full.to_numpy(zero_copy_only=False), bool))


def _without(lists: pa.ListArray, keep: npt.NDArray[np.bool_]) -> pa.ListArray:
    """The lists without the values that ``keep`` does not mark."""
    before = np.zeros(len(keep) + 1, np.int64)
    np.cumsum(keep, out=before[1:])
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return pa.ListArray.from_arrays(
        pa.array(before[offsets - offsets[0]].astype(np.int32)), pc.list_flatten(lists).filter(pa.array(keep))
    )
