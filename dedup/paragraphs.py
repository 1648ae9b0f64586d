"""Texts used too often: what a site repeats on its pages (menus, notices, teasers; OBELICS, build_obelics/09), captions
of many images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.group import column
from dedup.hashing import hash_strings, mix64, numbers, part_of, row_of
from dedup.text import columns, flat_nodes
from manifests.schema import TEXT
from manifests.stage import NO_ENGINE, StageContext
from manifests.urls import netloc_of

PARAGRAPHS = pa.schema(
    [
        ("key", pa.uint64()),  # hash of (host, paragraph), or of the text alone
        ("doc", pa.uint64()),
        ("node", pa.int32()),
        ("user", pa.uint64()),  # what counts as one use: the document, or all copies of a pair
    ]
)
REPEATED = pa.schema(
    [
        ("key", pa.uint64()),  # the document's part
        ("row", pa.int32()),
        ("node", pa.int32()),  # index among the document's nodes
        # documents (of this host) that have the paragraph; with `occurrences`, its occurrences in them
        ("uses", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Paragraphs:
    """Map: documents zipped with their decisions -> ``paragraphs`` (`PARAGRAPHS`): one row a kept text node of a kept
    document that has a host.

    ``by_host``: paragraphs count on each host apart, which is what a menu wants. Otherwise over all of them, and
    documents of one id, which are copies of one pair, count once.
    """

    by_host: bool = True

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, pa.RecordBatch]]:
        nodes = flat_nodes(batch, "Paragraphs")
        mask = nodes.of_kind(TEXT)
        hosts = [""] * batch.num_rows
        if self.by_host:
            hosts = [netloc_of(u) for u in columns(batch, ("url",), "Paragraphs")[0].to_pylist()]
            mask &= np.array([bool(h) for h in hosts], bool)[nodes.document]
        document = nodes.document[mask]
        # Two hashes mixed in turn, so that no text can be made to look like another host's.
        key = mix64(hash_strings(hosts)[document] + np.uint64(1)) ^ hash_strings(
            pc.fill_null(nodes.field("text", mask), "").to_pylist()
        )
        doc = numbers(ctx.part, ctx.first, batch.num_rows)[document]
        user = doc if self.by_host else hash_strings(columns(batch, ("id",), "Paragraphs")[0].to_pylist())[document]
        made = [pa.array(mix64(key)), pa.array(doc), pa.array(nodes.index[mask].astype(np.int32)), pa.array(user)]
        yield "paragraphs", pa.record_batch(made, schema=PARAGRAPHS)


@dataclass(frozen=True)
class RepeatedParagraphs:
    """Exchange by key: ``paragraphs`` (`PARAGRAPHS`) -> ``repeated`` (`REPEATED`): every node whose exact paragraph is
    used more than ``most`` times (by its host, if that is in the key), all of them (no copy is kept), sorted by (doc,
    node).

    OBELICS takes ``most`` = 2 and counts occurrences, so that a refrain within one page is lost; the default counts
    distinct documents. Nodes, not texts, go back: the caller drops them from the nodes it keeps.
    """

    most: int = 2
    occurrences: bool = False

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        rows = tables["paragraphs"]
        key, doc, node, user = (
            column(rows, "key"),
            column(rows, "doc"),
            column(rows, "node", np.int32),
            column(rows, "user"),
        )
        order = np.lexsort((node, doc, user, key))
        key, doc, node, user = key[order], doc[order], node[order], user[order]
        new_key, new_user = np.ones(len(key), bool), np.ones(len(key), bool)
        new_key[1:] = key[1:] != key[:-1]
        new_user[1:] = new_key[1:] | (user[1:] != user[:-1])
        counted = np.ones(len(key), np.int32) if self.occurrences else new_user.astype(np.int32)
        uses = np.add.reduceat(counted, np.flatnonzero(new_key))[np.cumsum(new_key) - 1] if len(key) else counted
        many = np.flatnonzero(uses > self.most)
        many = many[np.lexsort((node[many], doc[many]))]
        yield (
            "repeated",
            pa.record_batch(
                [pa.array(part_of(doc[many])), pa.array(row_of(doc[many])), pa.array(node[many]), pa.array(uses[many])],
                schema=REPEATED,
            ),
        )
