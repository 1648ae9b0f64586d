"""Image scores: of what the page says of an image, and of what fetching it brought. To be judged by
``decide(rules.image, ...)``.

    columns = image_columns(outcomes)                       # a table with OUTCOME's columns, one row an image
    decided = decide(rules.image, columns, outcomes.num_rows)

A table may have columns of the page beside them: ``rendered_width``, ``rendered_height``, ``alt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from filters.scores import IMAGE_FETCHED, IMAGE_ON_PAGE, STRINGS
from filters.wordlists import words


def image_columns(images: pa.Table | pa.RecordBatch) -> Mapping[str, pa.Array]:
    """Scores of images, one array of a value a row: those of what fetching and the page said
    (`filters.scores.IMAGE_FETCHED`,

    `IMAGE_ON_PAGE`), null where their source column is absent or null, and whatever scores the table has besides (its
    float columns). Reads the columns url, status, format, width, height, frames, bytes, optout (OUTCOME's) and
    rendered_width, rendered_height (pixels the page states) and alt.
    """
    rows = images.num_rows

    def column(name: str, type_: pa.DataType) -> pa.Array:
        if name not in images.schema.names:
            return pa.nulls(rows, type_)
        found = images[name]
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        return found.cast(type_, safe=False)

    width, height = column("width", pa.float64()), column("height", pa.float64())
    pixels = pc.multiply(width, height)
    size = column("bytes", pa.float64())
    short, long_ = _least(width, height), _most(width, height)
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
        **_page(
            column("url", pa.string()),
            column("rendered_width", pa.float64()),
            column("rendered_height", pa.float64()),
            column("alt", pa.string()),
        ),
    }
    measured = {f.name: column(f.name, pa.float32()) for f in images.schema if pa.types.is_floating(f.type)}
    return {name: _typed(name, scores[name]) for name in (*IMAGE_FETCHED, *IMAGE_ON_PAGE)} | measured


def page_columns(nodes: pa.StructArray) -> Mapping[str, pa.Array]:
    """The scores of `filters.scores.IMAGE_ON_PAGE` of flat nodes (NODE), one value a node; null for nodes that are no
    images.
    """
    width, height = (pc.struct_field(nodes, name).cast(pa.float64()) for name in ("width", "height"))
    scores = _page(pc.struct_field(nodes, "image"), width, height, pc.struct_field(nodes, "alt"))
    return {name: _typed(name, column) for name, column in scores.items()}


def _page(url: pa.Array, width: pa.Array, height: pa.Array, alt: pa.Array) -> dict[str, pa.Array]:
    text = pc.utf8_trim_whitespace(pc.fill_null(alt, ""))
    alt_words = pc.if_else(pc.equal(pc.utf8_length(text), 0), 0, pc.add(pc.count_substring_regex(text, r"\s+"), 1))
    return {
        # one side alone may be stated: it is the only one there is to judge
        "rendered_min": pc.min_element_wise(width, height, skip_nulls=True),
        "rendered_max": pc.max_element_wise(width, height, skip_nulls=True),
        "banned_url": pc.count_substring_regex(url, _banned()),
        "alt_words": pc.if_else(pc.is_valid(url), alt_words, pa.scalar(None, pa.int32())),
    }


@lru_cache
def _banned() -> str:
    """The banned words as whole words of an address: neither side of one is a letter (``/logo2.png``), or it is a
    capitalised word

    within a camel-cased name (``siteLogo``, ``LogoSmall``). OBELICS asks for substrings, and so refuses silicon,
    catalogo and essex.
    """
    every = sorted(words("banned_url"), key=lambda w: (-len(w), w))
    alone = rf"(?:^|[^A-Za-z])(?i:{'|'.join(every)})(?:[^A-Za-z]|$)"
    camel = rf"(?:^|[^A-Z])(?:{'|'.join(w.capitalize() for w in every)})(?:[^a-z]|$)"
    return f"{alone}|{camel}"


def _least(a: pa.Array, b: pa.Array) -> pa.Array:
    return pc.min_element_wise(a, b, skip_nulls=False)


def _most(a: pa.Array, b: pa.Array) -> pa.Array:
    return pc.max_element_wise(a, b, skip_nulls=False)


def _ratio(part: pa.Array, whole: pa.Array) -> pa.Array:
    """Null where there is nothing to divide by."""
    return pc.divide(part, pc.if_else(pc.equal(whole, 0), pa.scalar(None, pa.float64()), whole))


def _typed(name: str, column: pa.Array) -> pa.Array:
    return column if name in STRINGS else column.cast(pa.float32(), safe=False)
