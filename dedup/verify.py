"""Carry and Verify: who in a cluster of candidates survives, and who is a duplicate of whom.

A cluster is what keys brought together, link by link: its ends may have nothing in common. So nobody is dropped for
being in it; a document is dropped only as the duplicate of one survivor, checked against that survivor, and what fits
none survives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.group import column
from dedup.hashing import U64, mix64, part_of, row_of
from dedup.minhash import U32, similarity
from manifests.stage import NO_ENGINE, StageContext

I64 = npt.NDArray[np.int64]
REASONS = ("duplicate_url", "duplicate_text", "duplicate_pair", "near_duplicate")
HASHES = ("url_hash", "text_hash", "pair_hash")  # in the order of REASONS

DUPLICATES = pa.schema(
    [
        ("key", pa.uint64()),  # the document's part
        ("row", pa.int32()),
        ("reason", pa.string()),  # one of REASONS: the first that holds
        ("survivor", pa.uint64()),  # document number
        ("survivor_id", pa.string()),
        ("similarity", pa.float32()),  # estimated Jaccard similarity with the survivor; null without signatures
    ]
)


@dataclass(frozen=True)
class Carry:
    """Exchange by part: ``homes`` (`dedup.components.HOMES`) and the same part's ``signatures`` rows -> ``clusters``:
    the columns of the signatures, led by ``key`` (of the root) and ``root``; one row a document of a cluster.
    """

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        homes, signatures = tables["homes"], tables["signatures"]
        if not signatures.schema.names:
            signatures = pa.table({"doc": pa.array([], pa.uint64())})
        # a row without a number was left out on the way, and has no keys
        signatures = signatures.filter(signatures.column("doc").is_valid())
        doc = column(homes, "key") << np.uint64(32) | column(homes, "row", np.uint64)
        order = np.argsort(doc, kind="stable")
        doc, root = doc[order], column(homes, "root")[order]
        known = column(signatures, "doc")
        by_doc = np.argsort(known, kind="stable")
        place = np.searchsorted(known, doc, sorter=by_doc)
        there = place < len(known)
        there[there] = known[by_doc[place[there]]] == doc[there]
        if not there.all():
            lost = int(doc[np.flatnonzero(~there)[0]])
            raise ValueError(
                f"Carry: no signature for row {lost & 0xFFFFFFFF} of part {lost >> 32}; give it the signatures of the parts in homes"
            )
        rows = signatures.take(pa.array(by_doc[place]))
        rows = rows.add_column(0, "root", pa.array(root)).add_column(0, "key", pa.array(mix64(root)))
        for batch in rows.combine_chunks().to_batches():
            yield "clusters", batch
        if not rows.num_rows and "signature" in rows.schema.names:
            yield "clusters", pa.RecordBatch.from_pylist([], schema=rows.schema)


@dataclass(frozen=True)
class Verify:
    """Exchange by key: ``clusters`` (of `Carry`) -> ``duplicates`` (`DUPLICATES`), ascending by document.

    The order of preference is total: newest fetch first (an unknown time is the oldest), then the longest, then the
    smallest id (so that the choice does not depend on how inputs were cut into parts), then the smallest document
    number. OBELICS (build_obelics/08, 11) and OmniCorpus keep the newest too.

    The first document of a cluster survives; each other one is compared with it, and is its duplicate if it has the
    same address, the same text (hash and number of words), the same pair, or an estimated similarity of at least
    ``threshold``; among those that are not, the first survives, and so on.

    ``threshold``: 0.8 as in OmniCorpus (Li et al. 2024); Data-Juicer's default is 0.7. Copies with 3 % of their words
    changed have a similarity of about 0.75 under 5-word shingles, so what is caught depends on it and on the bands.
    Recall of such copies among 602 real pages, with no other page lost in any case (`bench.dedup`; bands and rows are
    fields of `dedup.sign.Sign`)::

        threshold            0.8   0.75  0.7   0.65  0.6
        14 bands of 8 rows   0.15  0.54  0.73  0.80  0.80
        28 bands of 4 rows   0.15  0.62  0.90  0.99  1.00

    ``rounds``: survivors of one cluster that are compared by signature. What is left then is compared by its hashes
    alone, so that a bucket of a hundred thousand unlike documents costs seconds, not hours, and drops nobody unchecked.
    """

    threshold: float = 0.8
    rounds: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be over 0 and at most 1, not {self.threshold}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds}")

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        clusters = tables["clusters"].combine_chunks()
        if not clusters.schema.names:
            yield "duplicates", pa.RecordBatch.from_pylist([], schema=DUPLICATES)
            return
        rows = _Rows(clusters.take(pa.array(preference(clusters))))
        survivor = np.full(len(rows.doc), -1, np.int64)  # index of the survivor; -1: survives, or undecided
        reason = np.full(len(rows.doc), -1, np.int8)
        alike = np.full(len(rows.doc), np.nan, np.float32)
        alive = np.arange(len(rows.doc))
        for _ in range(self.rounds):
            first, alive = _turn(rows.root, alive)
            if not len(alive):
                break
            why, how = rows.compare(first, alive, self.threshold)
            gone = why >= 0
            survivor[alive[gone]], reason[alive[gone]], alike[alive[gone]] = first[gone], why[gone], how[gone]
            alive = alive[~gone]
        else:
            by_hash, why = rows.by_hash(alive)
            gone = why >= 0
            survivor[alive[gone]], reason[alive[gone]] = by_hash[gone], why[gone]
        lost = np.flatnonzero(survivor >= 0)
        lost = lost[np.argsort(rows.doc[lost], kind="stable")]
        yield (
            "duplicates",
            pa.record_batch(
                [
                    pa.array(part_of(rows.doc[lost])),
                    pa.array(row_of(rows.doc[lost])),
                    pa.array([REASONS[r] for r in reason[lost]], pa.string()),
                    pa.array(rows.doc[survivor[lost]]),
                    rows.ids.take(pa.array(survivor[lost])),
                    pa.array(alike[lost], from_pandas=True),
                ],
                schema=DUPLICATES,
            ),
        )


def preference(clusters: pa.Table) -> I64:
    """Row order: by root, then from the most to the least wanted document (see `Verify`)."""
    fetched = pc.fill_null(clusters.column("fetched"), np.iinfo(np.int64).min + 1).to_numpy()
    length = pc.fill_null(clusters.column("length"), 0).to_numpy().astype(np.int64)
    ids = pc.rank(pc.fill_null(clusters.column("id"), ""), tiebreaker="dense").to_numpy()
    return np.lexsort((column(clusters, "doc"), ids, -length, -fetched, column(clusters, "root")))


def _turn(root: U64, alive: I64) -> tuple[I64, I64]:
    """The first undecided row of each cluster survives: (that row for each row that is left, the rows that are left)."""
    starts = np.ones(len(alive), bool)
    starts[1:] = root[alive[1:]] != root[alive[:-1]]
    first = alive[np.flatnonzero(starts)[np.cumsum(starts) - 1]] if len(alive) else alive
    return first[~starts], alive[~starts]


class _Rows:
    """The columns of the sorted clusters as numpy arrays."""

    def __init__(self, table: pa.Table) -> None:
        self.doc, self.root = column(table, "doc"), column(table, "root")
        self.ids = table.column("id").combine_chunks()
        self.length = pc.fill_null(table.column("length"), 0).to_numpy()
        self.hashes = [pc.fill_null(table.column(n), 0).to_numpy() for n in HASHES]
        self.has = [table.column(n).is_valid().to_numpy() for n in HASHES]
        lists = table.column("signature").combine_chunks()
        self.signed = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False), bool)
        # `.flatten()` leaves null rows out, which keeps unsigned documents from costing memory.
        self.place = np.cumsum(self.signed) - 1
        self.signature: U32 = lists.flatten().to_numpy().reshape(-1, lists.type.list_size)

    def same(self, which: int, left: I64, right: I64) -> npt.NDArray[np.bool_]:
        """Both have the hash, and it is equal; texts must agree in length too, which makes a chance collision of 64
        bits harmless.
        """
        value, has = self.hashes[which], self.has[which]
        equal = (value[left] == value[right]) & has[left] & has[right]
        if HASHES[which] == "text_hash":
            equal &= self.length[left] == self.length[right]
        return np.asarray(equal, bool)

    def compare(self, left: I64, right: I64, threshold: float) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
        """For each pair of rows: index into REASONS (-1: not duplicates) and the estimated similarity (nan without
        signatures).
        """
        alike = np.full(len(left), np.nan, np.float32)
        both = np.flatnonzero(self.signed[left] & self.signed[right])
        for low in range(0, len(both), 1 << 16):  # 65,536 pairs of signatures: 60 MB
            some = both[low : low + (1 << 16)]
            alike[some] = similarity(self.signature[self.place[left[some]]], self.signature[self.place[right[some]]])
        why = np.where(alike >= np.float32(threshold), np.int8(3), np.int8(-1))
        for which in (2, 1, 0):
            why[self.same(which, left, right)] = which
        return why, alike

    def by_hash(self, alive: I64) -> tuple[I64, npt.NDArray[np.int8]]:
        """The same choice by hashes alone, in one pass: for each row the first earlier survivor of its cluster that it
        equals (-1: none), and why.
        """
        survivor = np.full(len(alive), -1, np.int64)
        why = np.full(len(alive), -1, np.int8)
        seen: dict[tuple[int, ...], int] = {}
        for n, row in enumerate(alive.tolist()):
            of = int(self.root[row]), int(self.length[row])
            keys = [
                (w, of[0], int(self.hashes[w][row]), of[1] if HASHES[w] == "text_hash" else 0)
                for w in range(3)
                if self.has[w][row]
            ]
            met = [(seen[k], k[0]) for k in keys if k in seen]
            if met:
                survivor[n], why[n] = min(met)
            else:
                seen.update((k, row) for k in keys)
        return survivor, why
