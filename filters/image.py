"""Scores of an image from its page and from the outcome of its fetch, for ``decide(rules.image, ...)``.

columns = image_columns(outcomes)              # a table with the columns of OUTCOME, one row for each image
decided = decide(rules.image, columns, outcomes.num_rows)
"""

from collections.abc import Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from filters.scores import IMAGE_FETCHED, IMAGE_ON_PAGE, STRINGS
from filters.wordlists import words
from manifests.words import count_words, letters


def image_columns(images: pa.Table | pa.RecordBatch) -> Mapping[str, pa.Array]:
    """Scores of images, an array with a value for each row: `filters.scores.IMAGE_FETCHED` and `IMAGE_ON_PAGE`, and the
    float columns of the table, which are scores already.

    Reads the columns url, status, format, width, height, frames, bytes, optout (of OUTCOME), and rendered_width,
    rendered_height (pixels, as the page states them) and alt. A score is null where its column is absent or null.
    """
    rows = images.num_rows

    def column(name: str, type_: pa.DataType) -> pa.Array:
        if name not in images.schema.names:
            return pa.nulls(rows, type_)
        values = images[name]
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return values.cast(type_, safe=False)

    sides = ("width", "height", "rendered_width", "rendered_height")
    width, height, rendered_width, rendered_height = (column(name, pa.float64()) for name in sides)
    pixels, size = pc.multiply(width, height), column("bytes", pa.float64())
    short = pc.min_element_wise(width, height, skip_nulls=False)
    long_ = pc.max_element_wise(width, height, skip_nulls=False)
    scores = {
        "status": column("status", pa.string()),
        "format": column("format", pa.string()),
        "side_min": short,
        "side_max": long_,
        "aspect": _ratio(long_, short),
        "pixels": pixels,
        "frames": column("frames", pa.float64()),
        "bytes": size,
        "bytes_per_pixel": _ratio(size, pixels),
        "optout": column("optout", pa.string()),
        **_page(column("url", pa.string()), rendered_width, rendered_height, column("alt", pa.string())),
    }
    measured = {f.name: column(f.name, pa.float32()) for f in images.schema if pa.types.is_floating(f.type)}
    return {name: _typed(name, scores[name]) for name in (*IMAGE_FETCHED, *IMAGE_ON_PAGE)} | measured


def page_columns(nodes: pa.StructArray) -> Mapping[str, pa.Array]:
    """`filters.scores.IMAGE_ON_PAGE` of flat nodes (NODE), with a value for each node; null for other nodes."""
    width, height = (pc.struct_field(nodes, name).cast(pa.float64()) for name in ("width", "height"))
    scores = _page(pc.struct_field(nodes, "image"), width, height, pc.struct_field(nodes, "alt"))
    return {name: _typed(name, column) for name, column in scores.items()}


def _page(url: pa.Array, width: pa.Array, height: pa.Array, alt: pa.Array) -> dict[str, pa.Array]:
    text = pc.utf8_trim_whitespace(pc.fill_null(alt, ""))
    blanks = pc.count_substring_regex(text, r"\s+").cast(pa.float64())
    alt_words = pc.if_else(pc.equal(pc.utf8_length(text), 0), 0.0, pc.add(blanks, 1.0))
    unspaced = pc.match_substring_regex(text, letters())
    if pc.any(unspaced).as_py():
        counts = pa.array([count_words(t) for t in text.filter(unspaced).to_pylist()], pa.float64())
        alt_words = pc.replace_with_mask(alt_words, unspaced, counts)
    return {
        # where the page states one side, that side is judged
        "rendered_min": pc.min_element_wise(width, height, skip_nulls=True),
        "rendered_max": pc.max_element_wise(width, height, skip_nulls=True),
        "banned_url": pc.count_substring_regex(url, _banned()),
        "alt_words": pc.if_else(pc.is_valid(url), alt_words, pa.scalar(None, pa.float64())),
    }


@lru_cache
def _banned() -> str:
    """A regular expression of the banned words, as whole words of an address: without a letter on either side
    (``/logo2.png``), or capitalised within a camel-cased name (``siteLogo``, ``LogoSmall``).

    OBELICS looks for substrings, so it refuses silicon, catalogo and essex.
    """
    every = sorted(words("banned_url"), key=lambda w: (-len(w), w))
    alone = rf"(?:^|[^A-Za-z])(?i:{'|'.join(every)})(?:[^A-Za-z]|$)"
    camel = rf"(?:^|[^A-Z])(?:{'|'.join(w.capitalize() for w in every)})(?:[^a-z]|$)"
    return f"{alone}|{camel}"


def _ratio(part: pa.Array, total: pa.Array) -> pa.Array:
    """Null where the divisor is 0."""
    return pc.divide(part, pc.if_else(pc.equal(total, 0), pa.scalar(None, pa.float64()), total))


def _typed(name: str, column: pa.Array) -> pa.Array:
    return column if name in STRINGS else column.cast(pa.float32(), safe=False)
