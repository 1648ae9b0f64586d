"""Sign: under which keys a document may meet its duplicates, and its signature for checking whether it did.

Keys bring candidates together (exact address, exact text, exact pair, MinHash bands); `dedup.verify` decides. The
defaults are FineWeb's: 14 bands of 8 rows over word 5-grams (Penedo et al. 2024: aimed at documents at least 75 %
similar; datatrove
``MinhashConfig``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup import minhash
from dedup.hashing import U64, hash_strings, mix64, nullable, numbers
from dedup.text import Nodes, columns, flat_nodes, kept_texts, words
from dedup.urls import canonical_page
from manifests.schema import IMAGE
from manifests.stage import NO_ENGINE, StageContext

URL, EXACT, BAND, PAIR = 0, 1, 2, 3  # kinds of key
KIND_NAMES = ("url", "text", "band", "pair")

BANDS = pa.schema([("key", pa.uint64()), ("doc", pa.uint64()), ("kind", pa.int8())])


def signatures_schema(permutations: int) -> pa.Schema:
    """One row a document, dropped ones too; hashes are null where a document is dropped or that kind of duplicate is
    not looked for.
    """
    return pa.schema(
        [
            ("doc", pa.uint64()),  # part << 32 | row
            ("id", pa.string()),
            ("signature", pa.list_(pa.uint32(), permutations)),
            ("text_hash", pa.uint64()),  # of the kept text in lower case; null where there is none
            ("url_hash", pa.uint64()),  # of the canonical page address
            ("pair_hash", pa.uint64()),  # of the kept images' addresses and the kept text as they stand
            ("length", pa.int32()),  # words
            ("fetched", pa.int64()),  # seconds since 1970, UTC
        ]
    )


@dataclass(frozen=True)
class Sign:
    """Map: documents zipped with their decisions -> ``bands`` (`BANDS`: kept documents' keys) and ``signatures``
    (`signatures_schema`: one row a document).

    Pages of one PDF share an address: their page number is part of the address's key. Image-text pairs want ``by_pair``
    alone (``by_url=False, by_text=False, near=False``): many pairs share a page, and captions such as "logo" repeat
    across unrelated images.
    """

    by_url: bool = True
    by_text: bool = True
    near: bool = True
    by_pair: bool = False
    bands: int = 14
    rows: int = 8
    shingle: int = 5  # words
    seed: int = 1
    fold_numbers: bool = True  # all numbers count as one word; False where numbers are the content, as in tables

    def __post_init__(self) -> None:
        for name in ("bands", "rows", "shingle"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not (self.by_url or self.by_text or self.near or self.by_pair):
            raise ValueError("nothing to look for: set one of by_url, by_text, near, by_pair")

    def __call__(self, batch: pa.RecordBatch, ctx: StageContext = NO_ENGINE) -> Iterator[tuple[str, pa.RecordBatch]]:
        rows, size = batch.num_rows, self.bands * self.rows
        ids, keep = columns(batch, ("id", "keep"), "Sign")
        kept = np.asarray(pc.fill_null(keep, False).to_numpy(zero_copy_only=False), bool)
        doc = numbers(ctx.part, ctx.first, rows)
        nodes = flat_nodes(batch, "Sign")
        texts = kept_texts(nodes)
        hashed, offsets = words(texts, self.fold_numbers)
        length = np.diff(offsets).astype(np.int32)
        has_text = kept & (length > 0)
        found: list[tuple[int, U64, U64]] = []

        text_hash, url_hash, pair_hash = (np.zeros(rows, np.uint64) for _ in range(3))
        no_text, no_url, no_pair = (np.ones(rows, bool) for _ in range(3))
        if self.by_url:
            url_hash, no_url = page_hashes(batch, kept)
            found.append((URL, doc[~no_url], url_hash[~no_url]))
        if self.by_text:
            no_text = ~has_text
            text_hash = hash_strings(pc.utf8_lower(texts).to_pylist())
            found.append((EXACT, doc[has_text], text_hash[has_text]))
        if self.by_pair:
            pair_hash, no_pair = pair_hashes(nodes, texts)
            found.append((PAIR, doc[~no_pair], pair_hash[~no_pair]))
        signature = np.zeros((rows, size), np.uint32)
        if self.near:
            grams, cuts = minhash.shingles(hashed, offsets, self.shingle)
            signature = minhash.signatures(grams, cuts, size, self.seed)
            keys = minhash.band_keys(signature[has_text], self.bands, self.rows)
            found.append((BAND, np.repeat(doc[has_text], self.bands), keys.reshape(-1)))

        yield "bands", _bands(found)
        yield (
            "signatures",
            pa.record_batch(
                [
                    pa.array(doc),
                    ids,
                    pa.FixedSizeListArray.from_arrays(
                        pa.array(signature.reshape(-1)),
                        size,
                        mask=pa.array(~has_text if self.near else np.ones(rows, bool)),
                    ),
                    nullable(text_hash, no_text),
                    nullable(url_hash, no_url),
                    nullable(pair_hash, no_pair),
                    nullable(length, ~kept),
                    _seconds(batch, kept),
                ],
                schema=signatures_schema(size),
            ),
        )


def _bands(found: list[tuple[int, U64, U64]]) -> pa.RecordBatch:
    """Rows by document, then kind. The kind is mixed into the key, so that an address and a text never meet by chance."""
    doc = np.concatenate([d for _, d, _ in found])
    key = np.concatenate([mix64(k + np.uint64(kind + 1)) for kind, _, k in found])
    kind = np.concatenate([np.full(len(d), k, np.int8) for k, d, _ in found])
    order = np.lexsort((key, kind, doc))
    return pa.record_batch([pa.array(key[order]), pa.array(doc[order]), pa.array(kind[order])], schema=BANDS)


def page_hashes(batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]) -> tuple[U64, npt.NDArray[np.bool_]]:
    """Hash of each kept document's canonical address, and where there is none."""
    urls = columns(batch, ("url",), "Sign")[0].to_pylist()
    pages: list[int | None] = [None] * len(urls)
    if "provenance" in batch.schema.names:
        pages = pc.struct_field(batch.column("provenance"), "page").to_pylist()
    missing = np.array([not u for u in urls], bool) | ~kept
    return hash_strings(
        ["" if m else canonical_page(u, p) for u, p, m in zip(urls, pages, missing, strict=True)]
    ), missing


def pair_hashes(nodes: Nodes, texts: pa.Array) -> tuple[U64, npt.NDArray[np.bool_]]:
    """Hash of the kept images' addresses and the kept text, exactly as they stand; missing where a document has
    neither.
    """
    mask = nodes.of_kind(IMAGE)
    shown: list[list[str]] = [[] for _ in range(len(texts))]
    for document, image in zip(nodes.document[mask].tolist(), nodes.field("image", mask).to_pylist(), strict=True):
        shown[document].append(image or "")
    pairs = ["\0".join([*images, text]) for images, text in zip(shown, texts.to_pylist(), strict=True)]
    return hash_strings(pairs), np.array([not p for p in pairs], bool)


def _seconds(batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]) -> pa.Array:
    stamps = columns(batch, ("fetched_at",), "Sign")[0].cast(pa.timestamp("s", tz="UTC")).cast(pa.int64())
    return pc.if_else(pa.array(kept), stamps, pa.scalar(None, pa.int64()))
