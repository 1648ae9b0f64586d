"""Sign: the keys under which a document meets its candidates for duplicates, and its signature to check them.

Keys (exact address, exact text, exact pair, MinHash bands) bring candidates together, and `dedup.verify` decides. The
defaults are FineWeb's: 14 bands of 8 rows over word 5-grams (Penedo et al. 2024; datatrove ``MinhashConfig``), for
documents that are at least 75 % similar.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup import minhash
from dedup.columns import numbers, required
from dedup.text import KeptNodes, kept_nodes, words
from dedup.urls import canonical_page
from manifests.flat import bools
from manifests.hashing import U64, hash_strings, mix64
from manifests.schema import EMBEDDED, IMAGE
from manifests.stage import NO_ENGINE, Output, StageContext

#: kinds of key: of the address, the text, a MinHash band, an image with its text, and of the user's own
URL, EXACT, BAND, PAIR, OWN = 0, 1, 2, 3, 4

BANDS = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("kind", pa.int8())])


def signatures_schema(permutations: int) -> pa.Schema:
    """One row for each document. A hash is null where the document is dropped or that kind is not looked for."""
    return pa.schema(
        [
            ("doc", pa.uint64()),  # partition << 32 | row
            ("id", pa.string()),
            ("rank", pa.int32()),  # a lower one is preferred: twice that of the source, and 1 where an image is fetched
            ("signature", pa.list_(pa.uint32(), permutations)),
            ("text_hash", pa.uint64()),  # of the kept text in lower case; null without text
            ("url_hash", pa.uint64()),  # of the canonical page address
            ("pair_hash", pa.uint64()),  # of the kept images' addresses (see `Shown`) and the kept text, unchanged
            ("own_hash", pa.uint64()),  # of the column `duplicate_key`
            ("length", pa.int32()),  # words; letters of scripts without blanks between words
            ("fetched", pa.int64()),  # seconds since 1970, UTC
        ]
    )


@dataclass(frozen=True)
class Sign:
    """Map: documents zipped with their decisions -> ``bands`` (`BANDS`: keys of the kept documents) and ``signatures``
    (`signatures_schema`: one row for each document).

    Pages of one PDF have one address, so the page number is part of the address's key. Image-text pairs need
    ``by_pair`` alone (``by_url=False, by_text=False, near=False``): many pairs share a page, and captions such as
    "logo" occur with unrelated images. ``by_key``: documents with the same string in the input column `duplicate_key`
    are duplicates. ``rank``: preference of the documents' source; the lowest rank survives.
    """

    by_url: bool = True
    by_text: bool = True
    near: bool = True
    by_pair: bool = False
    by_key: bool = False
    bands: int = 14
    rows: int = 8
    shingle: int = 5  # words
    seed: int = 1
    fold_numbers: bool = True  # all numbers count as one word; False where numbers are the content, as in tables
    rank: int = 0

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        return {"bands": BANDS, "signatures": signatures_schema(self.bands * self.rows)}

    def __post_init__(self) -> None:
        for name in ("bands", "rows", "shingle"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not (self.by_url or self.by_text or self.near or self.by_pair or self.by_key):
            raise ValueError("nothing to look for: set one of by_url, by_text, near, by_pair, by_key")

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        rows, size, doc = batch.num_rows, self.bands * self.rows, numbers(ctx.part, ctx.first, batch.num_rows)
        ids, keep = required(batch, ("id", "keep"), "Sign")
        kept, nodes = bools(keep), kept_nodes(batch, "Sign")
        texts = nodes.texts()
        hashed = words(texts, self.fold_numbers)
        length = np.diff(hashed.offsets).astype(np.int32)
        has_text = kept & (length > 0)

        rank = np.full(rows, 2 * self.rank, np.int32)
        # by kind: the hashes, and which documents have one
        hashes = dict.fromkeys((EXACT, URL, PAIR, OWN), (np.zeros(rows, np.uint64), np.zeros(rows, bool)))
        if self.by_url:
            hashes[URL] = page_hashes(batch, kept)
        if self.by_text:
            hashes[EXACT] = hash_strings(pc.utf8_lower(texts).to_pylist()), has_text
        if self.by_pair:
            shown = shown_images(batch, nodes)
            hashes[PAIR] = pair_hashes(shown, texts)
            # of two equal pairs, the one that has its image is surer than one whose image is still to be fetched
            rank += np.array([not pair.own for pair in shown], np.int32)
        if self.by_key:
            own = required(batch, ("duplicate_key",), "Sign")[0]
            hashes[OWN] = hash_strings(pc.fill_null(own, "").to_pylist()), bools(own.is_valid()) & kept
        keys = [(kind, doc[has], values[has]) for kind, (values, has) in hashes.items()]
        signature = np.zeros((rows, size), np.uint32)
        if self.near:
            shingles, edges = minhash.shingles(hashed, self.shingle)
            signature = minhash.signatures(shingles, edges, size, self.seed)
            bands = minhash.band_keys(signature[has_text], self.bands, self.rows)
            keys.append((BAND, np.repeat(doc[has_text], self.bands), bands.reshape(-1)))
        yield "bands", _bands(keys)

        unsigned = pa.array(~has_text if self.near else np.ones(rows, bool))
        columns = [
            doc,
            ids,
            rank,
            pa.FixedSizeListArray.from_arrays(pa.array(signature.reshape(-1)), size, mask=unsigned),
            *(pa.array(values, mask=~has) for values, has in hashes.values()),
            pa.array(length, mask=~kept),
            _seconds(batch, kept),
        ]
        yield "signatures", pa.record_batch(columns, schema=signatures_schema(size))


def _bands(keys: list[tuple[int, U64, U64]]) -> pa.RecordBatch:
    """BANDS of (kind, documents, keys), sorted by document, then kind. The kind is part of the key."""
    doc = np.concatenate([d for _, d, _ in keys])
    key = np.concatenate([mix64(k + np.uint64(kind + 1)) for kind, _, k in keys])
    kind = np.concatenate([np.full(len(d), k, np.int8) for k, d, _ in keys])
    order = np.lexsort((key, kind, doc))
    return pa.record_batch([key[order], doc[order], kind[order]], schema=BANDS)


def page_hashes(batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]) -> tuple[U64, npt.NDArray[np.bool_]]:
    """Hash of each kept document's canonical address; and which documents have one."""
    urls = required(batch, ("url",), "Sign")[0].to_pylist()
    pages: list[int | None] = [None] * len(urls)
    if "provenance" in batch.schema.names:
        pages = pc.struct_field(batch.column("provenance"), "page").to_pylist()
    has = np.array([bool(u) for u in urls], bool) & kept
    rows = zip(urls, pages, has, strict=True)
    return hash_strings([canonical_page(url, page) if known else "" for url, page, known in rows]), has


@dataclass
class Shown:
    """The kept images of a document.

    addresses: an image that came with a document of a web address (a pair of a tar) has that address, so that it meets
    the same pair of a list of addresses. own: all images came with the document.
    """

    addresses: list[str]
    own: bool = True


def shown_images(batch: pa.RecordBatch, nodes: KeptNodes) -> list[Shown]:
    """The kept images of each document."""
    urls = required(batch, ("url",), "Sign")[0].to_pylist()
    out = [Shown([]) for _ in urls]
    mask = nodes.of_kind(IMAGE)
    for document, image in zip(nodes.document[mask].tolist(), nodes.field("image", mask).to_pylist(), strict=True):
        own, url = (image or "").startswith(EMBEDDED), urls[document] or ""
        out[document].addresses.append(url if own and url.startswith(("http://", "https://")) else image or "")
        out[document].own &= own
    return out


def pair_hashes(shown: Sequence[Shown], texts: pa.Array) -> tuple[U64, npt.NDArray[np.bool_]]:
    """Hash of each document's kept images' addresses and kept text, unchanged; and which documents have either."""
    pairs = ["\0".join([*images.addresses, text]) for images, text in zip(shown, texts.to_pylist(), strict=True)]
    return hash_strings(pairs), np.array([bool(p) for p in pairs], bool)


def _seconds(batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]) -> pa.Array:
    stamps = required(batch, ("fetched_at",), "Sign")[0].cast(pa.timestamp("s", tz="UTC")).cast(pa.int64())
    return pc.if_else(pa.array(kept), stamps, pa.scalar(None, pa.int64()))
