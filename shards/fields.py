"""What the JSON of a sample holds in each layout, and the index row that describes the sample.

The schemas are a promise: every key is always there, a list is never null, and a value never changes its type. What is
free-form goes into `meta` as a JSON string. So `datasets`, Parquet and Energon can give the samples a fixed type. The
card declares these schemas, and the tests hold the writer to them. shards.layout.LAYOUTS says which layout has which.
"""

from __future__ import annotations

import pyarrow as pa

_BOX = pa.list_(pa.float64())  # [left, top, width, height], shares of the page

#: fields of every layout
_COMMON = [
    ("id", pa.string()),  # of the document, 32 hex digits
    ("source", pa.string()),  # the user's name of the source
    ("kind", pa.string()),  # of the source: web, pairs, pdf, conversations or text
    ("layout", pa.string()),
    ("url", pa.string()),
    ("lang", pa.string()),
    ("license", pa.string()),
    ("title", pa.string()),
    ("fetched_at", pa.string()),  # ISO 8601, UTC
    ("n_images", pa.int64()),
    ("n_text_tokens", pa.int64()),  # by the tokenizer that the manifest names; each text slot is encoded alone
    ("meta", pa.string()),  # a JSON object: provenance, opt-out signals
]

#: interleaved, conversations and text
INTERLEAVED = pa.schema(
    [
        *_COMMON,
        # parallel lists; in each slot exactly one is not null, as in OBELICS, MINT-1T and Energon. An image slot holds
        # the name of the member behind the key: "0.jpg"
        ("texts", pa.list_(pa.string())),
        ("images", pa.list_(pa.string())),
        # one item an image, in order
        (
            "image_meta",
            pa.list_(
                pa.struct(
                    [
                        ("url", pa.string()),
                        ("sha256", pa.string()),  # of the original bytes
                        ("width", pa.int64()),  # pixels, of the member
                        ("height", pa.int64()),
                        ("original_width", pa.int64()),
                        ("original_height", pa.int64()),
                        ("alt", pa.string()),
                        ("caption", pa.string()),
                        ("title", pa.string()),
                    ]
                )
            ),
        ),
    ]
)

#: img2dataset's fields (there `url` is the image's), then ours
PAIRS = pa.schema(
    [
        *_COMMON,
        ("caption", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("original_width", pa.int64()),
        ("original_height", pa.int64()),
        ("exif", pa.string()),
        ("sha256", pa.string()),
        ("page_url", pa.string()),
        ("alt", pa.string()),
    ]
)

_WORDS = pa.struct(
    [
        ("text", pa.list_(pa.string())),
        ("bbox", pa.list_(_BOX)),
        ("score", pa.list_(pa.float64())),
        ("line_pos", pa.list_(pa.list_(pa.int64()))),  # [line, word within the line]
    ]
)
_LINES = pa.struct(
    [
        ("text", pa.list_(pa.string())),
        ("bbox", pa.list_(_BOX)),
        ("score", pa.list_(pa.float64())),
        ("word_slice", pa.list_(pa.list_(pa.int64()))),  # [first word, after the last]
    ]
)

#: PDFA's fields for one page, then ours
OCR = pa.schema(
    [
        *_COMMON,
        (
            "pages",
            pa.list_(
                pa.struct(
                    [
                        ("words", _WORDS),
                        ("lines", _LINES),
                        ("images_bbox", pa.list_(_BOX)),
                        ("images_bbox_no_text_overlap", pa.list_(_BOX)),
                    ]
                )
            ),
        ),
        ("blocks", pa.list_(pa.struct([("text", pa.string()), ("role", pa.string()), ("bbox", _BOX)]))),
        ("text", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("page_index", pa.int64()),  # of this page in its file, starting at 0
        # of the file; `pages` above has only this page, since chug reads one annotation an image
        ("num_pages", pa.int64()),
        ("dpi", pa.float64()),  # of the picture
        ("rotation", pa.int64()),  # degrees clockwise that the file asks for; already applied
        ("text_source", pa.string()),  # "pdf" (text layer) or "ocr"
        ("engine", pa.string()),
        ("sha256", pa.string()),
    ]
)

#: one row a sample, in the order of the shard: for the loader's plan, for statistics and for takedowns
INDEX = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.string()),
        ("split", pa.string()),
        ("sample_index", pa.uint32()),
        ("offset", pa.uint64()),  # bytes, of the sample's first header in its shard
        ("size", pa.uint32()),  # bytes in the shard, headers and padding included
        ("source", pa.string()),
        ("kind", pa.string()),
        ("layout", pa.string()),
        ("url", pa.string()),
        ("host", pa.string()),
        ("lang", pa.string()),
        ("n_images", pa.uint16()),
        ("n_text_tokens", pa.uint32()),
        ("px_total", pa.uint64()),
        ("min_side", pa.uint16()),  # pixels, over all its images; 0 without images
        ("max_side", pa.uint16()),
        ("widths", pa.list_(pa.uint16())),  # pixels, one for each image
        ("heights", pa.list_(pa.uint16())),
        ("bytes", pa.uint32()),  # of the members' contents
        ("sha256", pa.string()),  # of the sample's bytes in the shard
    ]
)
