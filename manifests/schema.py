"""The tables every room speaks: documents, decisions, image outcomes, and what packing is given.

One record type serves all sources, so that every filter, dedup and packer does:

* an interleaved web page is text, image and break nodes in reading order;
* an image-text pair is an image node followed by a text node;
* a PDF page is one image node followed by its text nodes, which carry boxes and words;
* a conversation is turns parted by breaks, each of them images and then a text whose role says who speaks.

All hashes are lower-case hex. All boxes are ``[left, top, width, height]`` as shares of the page (0..1), origin top
left.
"""

import hashlib

import pyarrow as pa

TEXT, IMAGE, BREAK = "text", "image", "break"
#: beginning of the address of an image that came with its document and is never fetched; its sha256 follows
EMBEDDED = "sha256:"

#: what a text node was on its page, or who says it in a conversation; null for images and breaks
ROLES = ("heading", "paragraph", "item", "quote", "table", "code", "caption", "user", "assistant")

BOX = pa.list_(pa.float32(), 4)

#: `score`: 1.0 from a text layer, the engine's confidence (0..1) from OCR; `line`: line number within the page, from 0
WORD = pa.struct([("text", pa.string()), ("box", BOX), ("score", pa.float32()), ("line", pa.int32())])

NODE = pa.struct(
    [
        ("kind", pa.string()),  # TEXT, IMAGE or BREAK
        ("role", pa.string()),  # one of ROLES
        ("text", pa.string()),  # text nodes: one paragraph
        ("image", pa.string()),  # image nodes: canonical URL, the key into the image outcomes
        ("alt", pa.string()),
        ("caption", pa.string()),
        ("title", pa.string()),
        ("width", pa.int32()),  # rendered size the page states, pixels; null where it states none
        ("height", pa.int32()),
        ("box", BOX),  # PDF only
        ("words", pa.list_(WORD)),  # PDF only
    ]
)

#: `file`: the input as the recipe names it; `offset`, `length`: bytes, of the WARC record, null for whole files;
#: `page`: PDF page from 0, null elsewhere
PROVENANCE = pa.struct([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64()), ("page", pa.int32())])

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),  # see document_id
        ("kind", pa.string()),  # kind of the source that read it: web, pairs, pdf, conversations, text
        ("url", pa.string()),
        ("fetched_at", pa.timestamp("s", tz="UTC")),
        ("lang", pa.string()),  # what the page declares, a BCP 47 primary tag; null where it declares none
        ("license", pa.string()),  # URL or name the page declares
        ("title", pa.string()),
        ("optout", pa.list_(pa.string())),  # signals met: noai, noimageai, tdm-reservation, ...
        ("provenance", PROVENANCE),
        ("nodes", pa.list_(NODE)),
    ]
)

#: rows a source stage left out before they became documents: their share of the ledger
REFUSED = pa.schema([("url", pa.string()), ("reason", pa.string()), ("provenance", PROVENANCE)])

#: beside the documents, row for row: what the rules decided, and why
DECISION = pa.schema(
    [
        ("keep", pa.bool_()),
        ("reason", pa.dictionary(pa.int8(), pa.string())),  # the rule that dropped the document; null where kept
        ("score", pa.float32()),  # the score the rule saw
        ("threshold", pa.float32()),  # the limit it broke
        ("node_keep", pa.list_(pa.bool_())),
        ("node_reason", pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ("node_score", pa.list_(pa.float32())),
    ]
)

#: what became of an image address; ``ok`` alone has a blob
STATUSES = (
    "ok",
    "bad_url",  # not http(s), no host, or unparsable
    "private_address",  # an address the recipe does not allow, on any hop
    "robots",  # robots.txt disallows it
    "optout",  # X-Robots-Tag or TDMRep reserved it
    "dns",
    "refused",  # no connection, or reset
    "tls",
    "timeout",  # total deadline per address
    "http_403",
    "http_404",
    "http_410",
    "http_429",
    "http_4xx",
    "http_5xx",
    "redirects",  # too many, or a loop
    "too_large",  # more bytes than the cap
    "empty",
    "truncated",  # the body ended early, or the image data does
    "not_image",  # HTML, SVG and whatever else no raster decoder reads
    "too_many_pixels",  # a decompression bomb
    "undecodable",
)

#: one row a fetched image address (or a rendered PDF page)
OUTCOME = pa.schema(
    [
        ("url", pa.string()),  # canonical, as in the nodes
        ("status", pa.string()),  # one of STATUSES
        ("final_url", pa.string()),
        ("format", pa.string()),  # jpeg, png, webp, gif, ...; of the original bytes
        ("width", pa.int32()),  # pixels, after EXIF orientation
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),  # of the original bytes
        ("phash", pa.uint64()),  # 64-bit perceptual hash
        ("optout", pa.string()),  # the directive met
        ("part", pa.int32()),  # where the blob is: part of the stage's `blobs` file, offset and length in bytes;
        ("offset", pa.int64()),  # null unless ok. `part` is `ctx.part` of the stage that wrote it
        ("length", pa.int64()),
    ]
)

#: an image of a selected document: `node` (index into the document's nodes), and where its bytes are
_OF_OUTCOME = ("url", "sha256", "width", "height", "format", "part", "offset", "length")
PLACED = pa.struct([("node", pa.int32()), *(OUTCOME.field(name) for name in _OF_OUTCOME)])

#: how a PDF page was read: of ocr's `pages`, what a sample tells of it
READ_PAGE = pa.struct(
    [
        ("dpi", pa.float32()),  # of the picture
        ("rotation", pa.int32()),  # degrees clockwise that the file asks for; applied to picture and boxes
        ("text_source", pa.string()),  # "pdf" (text layer) or "ocr"
        ("engine", pa.string()),
        ("pages", pa.int32()),  # of the file
        ("images", pa.list_(BOX)),  # where raster pictures stand on the page
    ]
)

#: what packing is given: only kept documents, only kept nodes, every image node with its bytes' place
SELECTED = pa.schema(
    [
        ("key", pa.uint64()),  # place in the global shuffle
        ("weight", pa.int64()),  # bytes this document will take in its shard, about
        ("source", pa.string()),  # the name that the recipe gives the source
        *DOCUMENT,
        ("images", pa.list_(PLACED)),
        ("page", READ_PAGE),  # PDF pages only
        ("tokens", pa.int32()),  # text tokens of the kept text nodes, by the recipe's tokenizer
    ]
)


def document_id(source: str, url: str, payload: bytes) -> str:
    """128-bit id (32 hex digits) of what was fetched: source, url and the raw payload.

    Never of what extraction made of it, so that a better extractor keeps the ids. For pairs the payload is the caption.
    """
    h = hashlib.blake2b(digest_size=16)
    for piece in (source.encode(), url.encode("utf-8", "surrogatepass"), payload):
        h.update(len(piece).to_bytes(8, "little"))
        h.update(piece)
    return h.hexdigest()


def key64(text: str) -> int:
    """64-bit key of a string, for exchanges and shuffles: uniform, the same everywhere and always."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
