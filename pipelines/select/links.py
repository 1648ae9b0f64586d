"""Which image addresses to fetch, and where in which documents they stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.image import image_columns
from filters.rules import Rules, decide
from filters.scores import IMAGE_ON_PAGE
from manifests.schema import EMBEDDED, IMAGE, key64
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.urls import netloc_of
from shards.forget import Forgotten

#: an image of a kept document, to be joined with the outcome of its address
PLACE = pa.schema(
    [
        ("key", pa.uint64()), ("url", pa.string()),  # key: of the address
        ("doc", pa.uint64()), ("part", pa.int32()), ("row", pa.int32()),  # doc: part << 32 | row
        ("node", pa.int32()), ("alt", pa.string()), ("rendered_width", pa.int32()), ("rendered_height", pa.int32()),
    ]
)  # fmt: skip

# key: of the host, so that one part owns a host and can be polite
WANTED = pa.schema([("key", pa.uint64()), ("url", pa.string())])


def surviving_rows(tables: Mapping[str, pa.Table]) -> np.ndarray:
    """Row numbers of the documents that the rules keep and that are no duplicates."""
    keep = np.asarray(pc.fill_null(tables["decisions"]["keep"], False).to_numpy(zero_copy_only=False), bool).copy()
    keep[tables["duplicates"]["row"].to_numpy()] = False
    return np.flatnonzero(keep)


@dataclass(frozen=True)
class Links:
    """Exchange by part: `documents`, `decisions` and `duplicates` -> `places` (PLACE: every image of a document that is
    left) and `wanted` (WANTED: the addresses to fetch among them).

    An address is not fetched where a rule on what the page says refuses the image, where the image came with its
    document, and where `forgotten` (shards.forget), if there is one, covers it.
    """

    rules: Rules

    tables: ClassVar[Mapping[str, pa.Schema]] = {"places": PLACE, "wanted": WANTED}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows = surviving_rows(tables)
        nodes = tables["documents"]["nodes"].combine_chunks().take(pa.array(rows))
        node_keep = tables["decisions"]["node_keep"].combine_chunks().take(pa.array(rows))
        flat = nodes.flatten()
        lengths = pc.list_value_length(nodes).to_numpy(zero_copy_only=False).astype(np.int64)
        row = np.repeat(rows, lengths)
        node = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kind, image = pc.struct_field(flat, "kind"), pc.struct_field(flat, "image")
        is_link = pc.and_(pc.and_(pc.equal(kind, IMAGE), pc.is_valid(image)), pc.fill_null(node_keep.flatten(), True))
        index = np.flatnonzero(is_link.to_numpy(zero_copy_only=False))
        links, row, node = flat.take(pa.array(index)), row[index], node[index]
        urls = pc.struct_field(links, "image")
        keys = pa.array([key64(u) for u in urls.to_pylist()], pa.uint64())
        doc = np.uint64(ctx.part << 32) | row.astype(np.uint64)
        numbers = [np.full(len(index), ctx.part, np.int32), row.astype(np.int32), node.astype(np.int32)]
        stated = [pc.struct_field(links, name) for name in ("alt", "width", "height")]
        places = pa.RecordBatch.from_arrays([keys, urls, doc, *numbers, *stated], schema=PLACE)
        yield "places", places
        on_page = tuple(r for r in self.rules.image if r.score in IMAGE_ON_PAGE)
        allowed = decide(on_page, image_columns(pa.Table.from_batches([places])), places.num_rows).keep
        fetch = [url for url in pc.unique(urls.filter(allowed)).to_pylist() if not url.startswith(EMBEDDED)]
        forgotten = Forgotten.of(tables.get("forgotten"))
        if forgotten:
            fetch = [url for url in fetch if not forgotten.image(url, None)]
        hosts = pa.array([host_key(url) for url in fetch], pa.uint64())
        yield "wanted", pa.RecordBatch.from_arrays([hosts, pa.array(fetch, pa.string())], schema=WANTED)


def host_key(url: str) -> int:
    """Key of an address's host, so that one partition has all addresses of a host."""
    return key64(f"host {netloc_of(url)}")
