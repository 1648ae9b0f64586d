"""Images seen too often, seen before, and seen twice in one document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.group import column
from manifests.stage import NO_ENGINE, StageContext

ADDED = (("uses", pa.int32()), ("first", pa.bool_()), ("repeated", pa.bool_()))
NEEDED = ("key", "doc", "part", "node")


@dataclass(frozen=True)
class ImageCounts:
    """Exchange by key (hash of the image): ``images``, one row an image node -> ``counted``: the same rows and columns,
    sorted by (doc, node), with ``key`` now the row's ``part``, for the way back, and

    * uses: int32, the number of distinct documents this image occurs in, not of its occurrences; 0 where its hash is
      null (no image came);
    * first: this row is the image's first use, by (doc, node);
    * repeated: the same image stands earlier in the same document.

    Needs ``key``, ``doc``, ``part``, ``node`` and the column ``by``. Which images leave is the caller's rule: OBELICS
    drops those of more than 10 uses (build_obelics/06; it counts occurrences of the address, which misses one picture
    at many addresses) and, within a document, repeated ones (build_obelics/13).
    """

    by: str = "sha256"

    def __call__(
        self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        images = tables["images"]
        if not images.schema.names:  # nobody wrote to it
            return
        missing = [n for n in (*NEEDED, self.by) if n not in images.schema.names]
        if missing:
            raise ValueError(
                f"ImageCounts needs the columns {', '.join((*NEEDED, self.by))}; not in images: {', '.join(missing)}"
            )
        images = images.take(pa.array(np.lexsort((column(images, "node", np.int64), column(images, "doc")))))
        doc = column(images, "doc")
        known = images.column(self.by).is_valid().to_numpy()
        codes = pc.rank(images.column(self.by), tiebreaker="dense").to_numpy().astype(np.int64)
        # Stable, so that within an image the rows stay in the order of (doc, node).
        order = np.argsort(codes, kind="stable")
        new_image, new_doc = np.ones(len(doc), bool), np.ones(len(doc), bool)
        new_image[1:] = codes[order][1:] != codes[order][:-1]
        new_doc[1:] = new_image[1:] | (doc[order][1:] != doc[order][:-1])
        uses, first, repeated = np.zeros(len(doc), np.int32), np.zeros(len(doc), bool), np.zeros(len(doc), bool)
        if len(doc):
            group = np.cumsum(new_image) - 1
            uses[order] = np.add.reduceat(new_doc.astype(np.int32), np.flatnonzero(new_image))[group]
        first[order], repeated[order] = new_image, ~new_doc
        place = images.schema.get_field_index("key")
        table = images.set_column(place, pa.field("key", pa.uint64()), images.column("part").cast(pa.uint64()))
        for (name, kind), values in zip(ADDED, (uses * known, first & known, repeated & known), strict=True):
            table = table.append_column(pa.field(name, kind), pa.array(values, kind))
        yield "counted", _one_batch(table)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    whole = table.combine_chunks()
    return whole.to_batches()[0] if whole.num_rows else pa.RecordBatch.from_pylist([], schema=whole.schema)
