"""Paragraphs a site repeats: menus, notices, teasers that extraction took for prose (OBELICS, build_obelics/09)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.group import column
from dedup.hashing import hash_strings, mix64, numbers, part_of, row_of
from dedup.text import columns, flat_nodes
from manifests.at import At, anywhere
from manifests.schema import TEXT

PARAGRAPHS = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("node", pa.int32())])  # key: hash of (host, paragraph)
REPEATED = pa.schema(
    [
        ("key", pa.uint64()),  # the document's part
        ("row", pa.int32()),
        ("node", pa.int32()),  # index among the document's nodes
        ("uses", pa.int32()),  # documents of this host that have the paragraph; with `occurrences`, its occurrences in them
    ]
)


def host_of(url: str | None) -> str:
    """The address's host and port as OBELICS takes them: ``www.`` stays. Empty where there is none."""
    try:
        return urlsplit(url or "").netloc.lower()
    except ValueError:
        return ""


@dataclass(frozen=True)
class Paragraphs:
    """Map: documents zipped with their decisions -> ``paragraphs`` (`PARAGRAPHS`): one row a kept text node of a kept document that
    has a host.
    """

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[tuple[str, pa.RecordBatch]]:
        nodes = flat_nodes(batch, "Paragraphs")
        hosts = [host_of(u) for u in columns(batch, ("url",), "Paragraphs")[0].to_pylist()]
        mask = nodes.of_kind(TEXT) & np.array([bool(h) for h in hosts], bool)[nodes.document]
        document = nodes.document[mask]
        # Two hashes mixed in turn, so that no text can be made to look like another host's.
        key = mix64(hash_strings(hosts)[document] + np.uint64(1)) ^ hash_strings(pc.fill_null(nodes.field("text", mask), "").to_pylist())
        doc = numbers(at.part, at.first, batch.num_rows)[document]
        yield (
            "paragraphs",
            pa.record_batch([pa.array(mix64(key)), pa.array(doc), pa.array(nodes.index[mask].astype(np.int32))], schema=PARAGRAPHS),
        )


@dataclass(frozen=True)
class RepeatedParagraphs:
    """Exchange by key: ``paragraphs`` (`PARAGRAPHS`) -> ``repeated`` (`REPEATED`): every node whose exact paragraph its host uses
    more than ``most`` times, all of them (no copy is kept), sorted by (doc, node).

    OBELICS takes ``most`` = 2 and counts occurrences, so that a refrain within one page is lost; the default counts distinct
    documents. Nodes, not texts, go back: the caller drops them from the nodes it keeps.
    """

    most: int = 2
    occurrences: bool = False

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")

    def __call__(self, tables: Mapping[str, Any], at: At = anywhere) -> Iterator[tuple[str, pa.RecordBatch]]:
        rows = tables["paragraphs"]
        key, doc, node = column(rows, "key"), column(rows, "doc"), column(rows, "node", np.int32)
        order = np.lexsort((node, doc, key))
        key, doc, node = key[order], doc[order], node[order]
        new_key, new_doc = np.ones(len(key), bool), np.ones(len(key), bool)
        new_key[1:] = key[1:] != key[:-1]
        new_doc[1:] = new_key[1:] | (doc[1:] != doc[:-1])
        counted = np.ones(len(key), np.int32) if self.occurrences else new_doc.astype(np.int32)
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
