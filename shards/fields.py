"""What the JSON of a sample holds in each layout, and the index row that describes the sample.

The schemas are a promise: every key is always there, a list is never null, and a value never changes its type. What is
free-form goes into `meta` as a JSON string. So `datasets`, Parquet and Energon can give the samples a fixed type. The
card declares these schemas, and the tests hold the writer to them. shards.layout.LAYOUTS says which layout has which.
"""

import pyarrow as pa

_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
_BOX = pa.list_(_FLOAT)  # [left, top, width, height], shares of the page


def _each(kind: pa.DataType, names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, kind) for name in names.split()]


#: fields of every layout
_COMMON = [
    ("id", _TEXT),  # of the document, 32 hex digits
    ("source", _TEXT),  # the user's name of the source
    ("kind", _TEXT),  # of the source: web, pairs, pdf, conversations or text
    *_each(_TEXT, "layout url lang license title"),
    ("fetched_at", _TEXT),  # ISO 8601, UTC
    ("n_images", _INT),
    ("n_text_tokens", _INT),  # by the tokenizer that the manifest names; of a conversation with its template
    ("meta", _TEXT),  # a JSON object: provenance, opt-out signals
]

_IMAGE = pa.struct(
    [
        ("url", _TEXT),
        ("sha256", _TEXT),  # of the original bytes
        *_each(_INT, "width height"),  # pixels, of the member
        *_each(_INT, "original_width original_height"),
        *_each(_TEXT, "alt caption title"),
    ]
)

#: interleaved, conversations and text
INTERLEAVED = pa.schema(
    [
        *_COMMON,
        # parallel lists; in each slot exactly one is not null, as in OBELICS, MINT-1T and Energon. An image slot holds
        # the name of the member after the key: "0.jpg"
        *_each(pa.list_(_TEXT), "texts images"),
        ("image_meta", pa.list_(_IMAGE)),  # one item an image, in order
    ]
)

#: the fields of img2dataset, where `url` is the image's, then ours
PAIRS = pa.schema(
    [
        *_COMMON,
        *_each(_TEXT, "caption key status error_message"),
        *_each(_INT, "width height original_width original_height"),
        *_each(_TEXT, "exif sha256 page_url alt"),
    ]
)

_POSITIONED = [("text", pa.list_(_TEXT)), ("bbox", pa.list_(_BOX)), ("score", pa.list_(_FLOAT))]
_PAGE = pa.struct(
    [
        ("words", pa.struct([*_POSITIONED, ("line_pos", pa.list_(pa.list_(_INT)))])),  # [line, word within the line]
        ("lines", pa.struct([*_POSITIONED, ("word_slice", pa.list_(pa.list_(_INT)))])),  # [first word, after the last]
        *_each(pa.list_(_BOX), "images_bbox images_bbox_no_text_overlap"),
    ]
)

#: the fields of PDFA for one page, then ours
OCR = pa.schema(
    [
        *_COMMON,
        ("pages", pa.list_(_PAGE)),  # this page only, since chug reads one annotation an image
        ("blocks", pa.list_(pa.struct([("text", _TEXT), ("role", _TEXT), ("bbox", _BOX)]))),
        ("text", _TEXT),
        *_each(_INT, "width height"),
        ("page_index", _INT),  # of this page in its file, from 0
        ("num_pages", _INT),  # of the file
        ("dpi", _FLOAT),  # of the picture
        ("rotation", _INT),  # degrees clockwise that the file asks for; already applied
        ("text_source", _TEXT),  # "pdf" (text layer) or "ocr"
        *_each(_TEXT, "engine sha256"),
    ]
)

#: one row a sample, in the order of the shard: for the loader's plan, for statistics and for takedowns
INDEX = pa.schema(
    [
        *_each(_TEXT, "key id split"),
        ("sample_index", pa.uint32()),
        ("offset", pa.uint64()),  # bytes, of the sample's first header in its shard
        ("size", pa.uint32()),  # bytes in the shard, headers and padding included
        *_each(_TEXT, "source kind layout url host lang"),
        ("n_images", pa.uint16()),
        ("n_text_tokens", pa.uint32()),
        ("px_total", pa.uint64()),
        *_each(pa.uint16(), "min_side max_side"),  # pixels, over all its images; 0 without images
        *_each(pa.list_(pa.uint16()), "widths heights"),  # pixels, one item an image
        ("bytes", pa.uint32()),  # of the contents of the members
        ("sha256", _TEXT),  # of the sample's bytes in the shard
    ]
)
