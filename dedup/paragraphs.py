"""Texts that are used too often: what a site repeats on its pages, and captions of many images.

A site repeats menus, notices and teasers (OBELICS, build_obelics/09).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import column, numbers, part_of, required, row_of
from dedup.text import kept_nodes
from manifests.flat import run_starts
from manifests.hashing import hash_strings, mix64
from manifests.schema import TEXT
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.urls import netloc_of

#: `key`: hash of (host, paragraph), or of the text alone; `user`: what counts as one use, the document or all copies of
#: a pair
PARAGRAPHS = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("node", pa.int32()), ("user", pa.uint64())])
#: `key`: the document's partition; `node`: index among its nodes; `uses`: documents (of this host) with the paragraph
REPEATED = pa.schema([("key", pa.uint64()), ("row", pa.int32()), ("node", pa.int32()), ("uses", pa.int32())])


@dataclass(frozen=True)
class Paragraphs:
    """Map: documents zipped with their decisions -> ``paragraphs`` (`PARAGRAPHS`): one row for each kept text node of a
    kept document.

    ``by_host``: the paragraphs of each host count separately, which finds menus; documents without a host are left out.
    Otherwise the texts of all documents count together, and documents with the same id (copies of one pair) count once.
    """

    by_host: bool = True

    tables: ClassVar[Mapping[str, pa.Schema]] = {"paragraphs": PARAGRAPHS}

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        nodes = kept_nodes(batch, "Paragraphs")
        mask = nodes.of_kind(TEXT)
        hosts = [""] * batch.num_rows
        if self.by_host:
            hosts = [netloc_of(u) for u in required(batch, ("url",), "Paragraphs")[0].to_pylist()]
            mask &= np.array([bool(h) for h in hosts], bool)[nodes.document]
        document = nodes.document[mask]
        texts = pc.fill_null(nodes.field("text", mask), "").to_pylist()
        # The host's hash is mixed before the text's is added, so that no text can imitate another host's.
        key = mix64(hash_strings(hosts)[document] + np.uint64(1)) ^ hash_strings(texts)
        doc = user = numbers(ctx.part, ctx.first, batch.num_rows)[document]
        if not self.by_host:
            user = hash_strings(pc.fill_null(required(batch, ("id",), "Paragraphs")[0], "").to_pylist())[document]
        index = nodes.index[mask].astype(np.int32)
        yield "paragraphs", pa.record_batch([mix64(key), doc, index, user], schema=PARAGRAPHS)


@dataclass(frozen=True)
class RepeatedParagraphs:
    """Exchange by key: ``paragraphs`` (`PARAGRAPHS`) -> ``repeated`` (`REPEATED`): every node whose exact paragraph has
    more than ``most`` uses (on its host, if that is in the key), sorted by (doc, node).

    All copies are in the output, and the caller drops these nodes. OBELICS takes ``most`` = 2 and counts occurrences,
    so it loses a refrain within one page; here distinct documents count.
    """

    most: int = 2

    tables: ClassVar[Mapping[str, pa.Schema]] = {"repeated": REPEATED}

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = tables["paragraphs"]
        key, doc, user = (column(rows, name) for name in ("key", "doc", "user"))
        node = column(rows, "node", np.int32)
        order = np.lexsort((node, doc, user, key))
        key, doc, node, user = key[order], doc[order], node[order], user[order]
        new_key, new_user = run_starts(key), run_starts(key, user)
        place = np.cumsum(new_key) - 1
        uses = np.bincount(place, new_user).astype(np.int32)[place]
        many = np.flatnonzero(uses > self.most)
        many = many[np.lexsort((node[many], doc[many]))]
        columns = [part_of(doc[many]), row_of(doc[many]), node[many], uses[many]]
        yield "repeated", pa.record_batch(columns, schema=REPEATED)
