"""GatherClusters and Verify: which document of a cluster of candidates survives, and which is a duplicate of which.

A cluster is what keys join, one link after another, so two of its documents may have nothing in common. Therefore no
document is dropped for being in a cluster: it is dropped only as the duplicate of one survivor, after a comparison with
that survivor. A document that is a duplicate of no survivor survives.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import column, one_batch, part_of, row_of
from dedup.minhash import U32, similarity
from dedup.sign import signatures_schema
from manifests.flat import bools, run_starts
from manifests.hashing import U64, mix64
from manifests.stage import NO_ENGINE, Output, StageContext

I64 = npt.NDArray[np.int64]

#: reasons for a duplicate, the surest first, each with the column of `signatures_schema` that is equal then
EQUAL = {
    "duplicate_url": "url_hash",
    "duplicate_text": "text_hash",
    "duplicate_pair": "pair_hash",
    "duplicate_key": "own_hash",
}
REASONS = (*EQUAL, "near_duplicate")
NEAR, NONE = len(EQUAL), -1  # codes: places in REASONS

DUPLICATES = pa.schema(
    [
        ("key", pa.uint64()),  # the document's partition
        ("row", pa.int32()),
        ("reason", pa.string()),  # the first of REASONS that holds
        ("survivor", pa.uint64()),  # document number
        ("survivor_id", pa.string()),
        ("similarity", pa.float32()),  # estimated Jaccard similarity with the survivor; null without signatures
    ]
)


@dataclass(frozen=True)
class GatherClusters:
    """Exchange by partition: ``membership`` (`dedup.group.MEMBERSHIP`) and the rows ``signatures`` of the same
    partition -> ``clusters``: one row for each document of a cluster, with the columns of the signatures after ``key``
    (a hash of the root) and ``root``.

    ``permutations``: length of a signature (bands x rows of `dedup.sign.Sign`).
    """

    permutations: int = 112

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        fields = [("key", pa.uint64()), ("root", pa.uint64()), *signatures_schema(self.permutations)]
        return {"clusters": pa.schema(fields)}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        membership, signatures = tables["membership"], tables["signatures"]
        signatures = signatures.filter(signatures.column("doc").is_valid())  # a quarantined document is a row of nulls
        doc = column(membership, "key") << np.uint64(32) | column(membership, "row", np.uint64)
        order = np.argsort(doc, kind="stable")
        doc, root = doc[order], column(membership, "root")[order]
        signed = column(signatures, "doc")
        by_doc = np.argsort(signed, kind="stable")
        place = np.searchsorted(signed, doc, sorter=by_doc)
        present = place < len(signed)
        present[present] = signed[by_doc[place[present]]] == doc[present]
        if not present.all():
            lost = int(doc[~present][0])
            found = f"no signature for row {lost & 0xFFFFFFFF} of part {lost >> 32}"
            raise ValueError(f"GatherClusters: {found}; its input needs the signatures of the parts in membership")
        rows = signatures.take(pa.array(by_doc[place]))
        rows = rows.add_column(0, "root", pa.array(root)).add_column(0, "key", pa.array(mix64(root)))
        yield "clusters", one_batch(rows)


@dataclass(frozen=True)
class Verify:
    """Exchange by key: ``clusters`` (of `GatherClusters`) -> ``duplicates`` (`DUPLICATES`), ascending by document.

    The documents of a cluster are ordered by preference: the lowest rank (of the source, then of a pair that has its
    image), then the newest fetch (an unknown time is the oldest), then the longest, then the smallest id (so that the
    choice does not depend on how inputs are partitioned), then the smallest document number. OBELICS (build_obelics/08,
    11) and OmniCorpus keep the newest too.

    The first document survives. Every other one is compared with it, and is its duplicate if it has the same address,
    the same text (hash and number of words), the same pair, or an estimated similarity of at least ``threshold``. Of
    the documents that are no duplicates of it, the first survives, and so on.

    ``threshold``: 0.8 as in OmniCorpus (Li et al. 2024); Data-Juicer's default is 0.7. Copies with 3 % of their words
    changed have a similarity of about 0.75 under 5-word shingles, so the share of them that is found depends on the
    threshold and on the bands. Recall of such copies among 602 real pages, with no other page lost in any case
    (`bench.dedup`; bands and rows are fields of `dedup.sign.Sign`)::

        threshold            0.8   0.75  0.7   0.65  0.6
        14 bands of 8 rows   0.15  0.54  0.73  0.80  0.80
        28 bands of 4 rows   0.15  0.62  0.90  0.99  1.00

    ``rounds``: number of survivors of one cluster whose signatures are compared. After them, the other documents are
    compared by their hashes alone. So a cluster of a hundred thousand unlike documents takes seconds, not hours, and no
    document is dropped without a comparison.
    """

    threshold: float = 0.8
    rounds: int = 1000

    tables: ClassVar[Mapping[str, pa.Schema]] = {"duplicates": DUPLICATES}

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be over 0 and at most 1, not {self.threshold}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds}")

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        clusters = tables["clusters"].combine_chunks()
        rows = _Rows(clusters.take(pa.array(preference(clusters))))
        survivor = np.full(len(rows.doc), -1, np.int64)  # index of the survivor; -1: survives, or is undecided
        reason = np.full(len(rows.doc), NONE, np.int8)
        alike = np.full(len(rows.doc), np.nan, np.float32)
        undecided = np.arange(len(rows.doc))
        for _ in range(self.rounds):
            first, undecided = _turn(rows.root, undecided)
            if not len(undecided):
                break
            why, how = rows.compare(first, undecided, self.threshold)
            gone = why != NONE
            lost = undecided[gone]
            survivor[lost], reason[lost], alike[lost] = first[gone], why[gone], how[gone]
            undecided = undecided[~gone]
        else:
            by_hash, why = rows.by_hash(undecided)
            gone = why != NONE
            survivor[undecided[gone]], reason[undecided[gone]] = by_hash[gone], why[gone]
        lost = np.flatnonzero(survivor >= 0)
        lost = lost[np.argsort(rows.doc[lost], kind="stable")]
        doc, kept = rows.doc[lost], survivor[lost]
        why = pa.array([REASONS[r] for r in reason[lost]], pa.string())
        ids, similar = rows.ids.take(pa.array(kept)), pa.array(alike[lost], from_pandas=True)
        columns = [part_of(doc), row_of(doc), why, rows.doc[kept], ids, similar]
        yield "duplicates", pa.record_batch(columns, schema=DUPLICATES)


def preference(clusters: pa.Table) -> I64:
    """Row order: by root, then from the most to the least preferred document (see `Verify`)."""
    fetched = pc.fill_null(clusters.column("fetched"), np.iinfo(np.int64).min + 1).to_numpy()
    length = pc.fill_null(clusters.column("length"), 0).to_numpy().astype(np.int64)
    ids = pc.rank(pc.fill_null(clusters.column("id"), ""), tiebreaker="dense").to_numpy()
    rank, root = column(clusters, "rank", np.int32), column(clusters, "root")
    return np.lexsort((column(clusters, "doc"), ids, -length, -fetched, rank, root))


def _turn(root: U64, undecided: I64) -> tuple[I64, I64]:
    """The first undecided row of each cluster survives: (that row for each other row, the other rows)."""
    starts = run_starts(root[undecided])
    first = undecided[np.flatnonzero(starts)[np.cumsum(starts) - 1]] if len(undecided) else undecided
    return first[~starts], undecided[~starts]


class _Rows:
    """The columns of the sorted clusters as numpy arrays."""

    def __init__(self, table: pa.Table) -> None:
        self.doc, self.root = column(table, "doc"), column(table, "root")
        self.ids = table.column("id").combine_chunks()
        self.length = pc.fill_null(table.column("length"), 0).to_numpy()
        self.hashes = [pc.fill_null(table.column(n), 0).to_numpy() for n in EQUAL.values()]
        self.has = [table.column(n).is_valid().to_numpy() for n in EQUAL.values()]
        # Texts must agree in length too, which makes a chance collision of 64 bits harmless.
        self.same_length = [name == "text_hash" for name in EQUAL.values()]
        lists = table.column("signature").combine_chunks()
        self.signed = bools(lists.is_valid())
        # `.flatten()` leaves null rows out, so unsigned documents cost no memory.
        self.place = np.cumsum(self.signed) - 1
        self.signature: U32 = lists.flatten().to_numpy().reshape(-1, lists.type.list_size)

    def compare(self, left: I64, right: I64, threshold: float) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
        """Of each pair of rows: the reason's code (NONE: no duplicates) and the similarity (NaN without signatures)."""
        alike = np.full(len(left), np.nan, np.float32)
        both = np.flatnonzero(self.signed[left] & self.signed[right])
        for low in range(0, len(both), 1 << 16):  # 65,536 pairs of signatures: 60 MB
            some = both[low : low + (1 << 16)]
            alike[some] = similarity(self.signature[self.place[left[some]]], self.signature[self.place[right[some]]])
        why = np.where(alike >= np.float32(threshold), np.int8(NEAR), np.int8(NONE))
        for code in reversed(range(len(EQUAL))):  # the surest reason is written last
            value, has = self.hashes[code], self.has[code]
            equal = (value[left] == value[right]) & has[left] & has[right]
            if self.same_length[code]:
                equal &= self.length[left] == self.length[right]
            why[equal] = code
        return why, alike

    def by_hash(self, undecided: I64) -> tuple[I64, npt.NDArray[np.int8]]:
        """The same choice by hashes alone, in one pass: for each row the first earlier survivor of its cluster with an
        equal hash (-1: none), and the code of the reason.
        """
        survivor = np.full(len(undecided), -1, np.int64)
        why = np.full(len(undecided), NONE, np.int8)
        survivors: dict[tuple[int, ...], int] = {}
        for n, row in enumerate(undecided.tolist()):
            root, length = int(self.root[row]), int(self.length[row])
            keys = [
                (code, root, int(self.hashes[code][row]), length if self.same_length[code] else 0)
                for code in range(len(EQUAL))
                if self.has[code][row]
            ]
            if matches := [(survivors[k], k[0]) for k in keys if k in survivors]:
                survivor[n], why[n] = min(matches)
            else:
                survivors.update((k, row) for k in keys)
        return survivor, why
