"""Images that many documents use, and images that a document repeats."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.columns import column, one_batch
from manifests.flat import run_starts
from manifests.stage import NO_ENGINE, Output, StageContext

#: the columns that `ImageCounts` adds
ADDED = pa.schema([("uses", pa.int32()), ("repeated", pa.bool_())])
NEEDED = pa.schema(
    [("key", pa.uint64()), ("doc", pa.uint64()), ("part", pa.int32()), ("node", pa.int32()), ("sha256", pa.string())]
)


@dataclass(frozen=True)
class ImageCounts:
    """Exchange by key (hash of the image): ``images``, one row for each image node -> ``counted``.

    The output has the same rows and columns, sorted by (doc, node). Its ``key`` is the row's ``part``, so that the rows
    can return to the partitions of their documents. It adds

    * uses: int32, the number of distinct documents with this image, not of its occurrences; 0 where ``sha256`` is null
      (the image was not fetched);
    * repeated: the same image occurs earlier in the same document.

    Needs the columns `NEEDED`. The caller's rule decides which images to drop. OBELICS drops images with more than 10
    uses (build_obelics/06; it counts occurrences of the address, which misses one picture at many addresses) and those
    that a document repeats (build_obelics/13).
    """

    #: the columns that it needs and adds; the output has the other columns of the input too
    tables: ClassVar[Mapping[str, pa.Schema]] = {"counted": pa.schema([*NEEDED, *ADDED])}

    def __call__(self, tables: Mapping[str, Any], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        images = tables["images"]
        if missing := ", ".join(n for n in NEEDED.names if n not in images.schema.names):
            raise ValueError(f"ImageCounts needs the columns {', '.join(NEEDED.names)}; not in images: {missing}")
        images = images.take(pa.array(np.lexsort((column(images, "node", np.int64), column(images, "doc")))))
        doc, sha256 = column(images, "doc"), images.column("sha256")
        codes = pc.rank(sha256, tiebreaker="dense").to_numpy().astype(np.int64)
        order = np.argsort(codes, kind="stable")  # within an image the rows stay in the order of (doc, node)
        first_of_image, first_of_doc = run_starts(codes[order]), run_starts(codes[order], doc[order])
        uses, repeated = np.zeros(len(doc), np.int32), np.zeros(len(doc), bool)
        image = np.cumsum(first_of_image) - 1
        uses[order] = np.bincount(image, first_of_doc)[image]
        repeated[order] = ~first_of_doc
        fetched = sha256.is_valid().to_numpy()
        place = images.schema.get_field_index("key")
        table = images.set_column(place, pa.field("key", pa.uint64()), images.column("part").cast(pa.uint64()))
        for field, values in zip(ADDED, (uses * fetched, repeated & fetched), strict=True):
            table = table.append_column(field, pa.array(values, field.type))
        yield "counted", one_batch(table)
