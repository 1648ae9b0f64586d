"""The address of an image element, and what the element says about the image.

The address is not always `src`: lazy loaders keep it elsewhere until the reader scrolls, `srcset` and `<picture>` offer
several sizes (WHATWG HTML §4.8.4), AMP has its own element. Data URIs are left out: they are placeholders and icons.
"""

import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from manifests.nodes import Node, image_node
from pipelines.html.captions import clean
from pipelines.html.elements import is_hidden
from pipelines.html.hints import ICONIC, TABLES, hint, words
from pipelines.html.urls import absolute

MAX_WIDTH = 2048  # pixels of the largest width that is taken from a srcset: a vision encoder sees nothing more
MAX_DENSITY = 2.0  # largest density descriptor that is taken, as 2x screens do
#: pixels from which a `src` that its srcset offers is taken as it is: other pages link to this address, so duplicates
#: are found; 600 pixels are most of the 980 that Idefics2 reads
ENOUGH = 600
ICON = 48  # pixels: an image whose stated sides are both at most this is an icon, a bullet or a tracking pixel
LINE = 12  # pixels of the side of a line or a tracking pixel
#: stated width and height (pixels) of a picture, though its class says avatar or logo; those of authors are 96 to 250
LARGE = (300, 150)

Attributes = Mapping[str, str | None]

LAZY = tuple(TABLES["lazy"])
LAZY_SET = tuple(TABLES["lazy_set"])
LAZY_NAMES = frozenset((*LAZY, *LAZY_SET))

# formats that readers of training sets do not decode; a picture element offers them beside a jpeg
_UNREAD = re.compile(r"avif|jxl|svg|heic|jp2", re.I)
_PLACEHOLDER = re.compile(
    r"blank|space|transp?\b|transparent|placeholder|pixel|1x1|1px|lazy|load|spinner|empty|clear|dummy|gr[ea]y", re.I
)
_FILLING = frozenset(TABLES["filling"])
_LAST = words("blank spacer loader placeholder spinner")  # my-theme-blank.png
_LETTERS = re.compile(r"[^\W\d_]+")
_BACKGROUND = re.compile(r"(?:^|[;\s])background(?:-image)?\s*:[^;]*?url\(\s*(?:&quot;|[\"'])?([^\"')]+)", re.I)
_LOOKS_LIKE_IMAGE = re.compile(r"\S+\.(?:jpe?g|png|webp|gif)(?:\?\S*)?\Z", re.I)
_SRCSET_ITEM = re.compile(r"\s*(\S*[^\s,])(?:\s+([\d.]+)([wx])[^,]*)?\s*(?:,|\Z)")
_WIDTHS = re.compile(r"\s\d+w\s*(?:,|\Z)")
_PIXELS = re.compile(r"\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*\Z")
_STYLE_SIDE = re.compile(r"(?:^|[;\s])(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.I)


def srcset(value: str) -> Iterator[tuple[str, float, str]]:
    """Candidates of a srcset: (address, number, `w` or `x`). A comma inside an address is part of it (the standard)."""
    for m in _SRCSET_ITEM.finditer(value[:20000]):
        if m[1] and not m[1].startswith("data:"):
            try:
                yield m[1], float(m[2] or 1), m[3] or "x"
            except ValueError:
                continue


def largest(value: str) -> str | None:
    """The largest candidate of a srcset that fits MAX_WIDTH (or MAX_DENSITY); where none fits, the smallest."""
    # a srcset has one unit; if it had both, 2x would count more than 1999w
    sizes = [(n if unit == "w" else n * 1000, unit, url) for url, n, unit in srcset(value)]
    limits = {"w": MAX_WIDTH, "x": MAX_DENSITY * 1000}
    fits = [candidate for candidate in sizes if candidate[0] <= limits[candidate[1]]]
    best = max(fits, key=itemgetter(0)) if fits else min(sizes, key=itemgetter(0), default=None)
    return best[2] if best else None


def address(attributes: Attributes, sources: str | None, base: str) -> str | None:
    """The canonical address of an image element; None where it has none that can be fetched.

    sources: the srcset of the first usable `<source>` of the `<picture>` around it. Taken is the first usable address
    in this order: lazy srcset, srcset by width (its largest that fits, or a `src` that is large ENOUGH), lazy address,
    `src`, srcset by density, `<picture>` sources, any `data-` attribute that names an image file.
    """
    references = _references(attributes, sources)
    return next((url for ref in references if ref and (url := _usable(ref, base)) is not None), None)


def _usable(ref: str, base: str) -> str | None:
    """The canonical form of an address; None for a data URI, a placeholder, an SVG, and where there is none."""
    if ref.startswith("data:") or _is_placeholder(ref):
        return None
    url = absolute(base, ref)
    return url if url is not None and not url.lower().split("?", 1)[0].endswith(".svg") else None


def _references(attributes: Attributes, sources: str | None) -> Iterator[str | None]:
    lazy = not LAZY_NAMES.isdisjoint(attributes)
    if lazy:
        for name in LAZY_SET:
            if value := attributes.get(name):
                yield largest(value)
    offered = attributes.get("srcset")
    source = (attributes.get("src") or "").strip()
    if offered and _WIDTHS.search(offered):
        yield source if source and _is_enough(source, offered) else largest(offered)
    if lazy:
        for name in LAZY:
            if (value := attributes.get(name)) and value[0] not in "{[":
                yield value.strip()
    if sources and (not source or source.startswith("data:")):
        yield largest(sources)
    yield source
    if offered:
        yield largest(offered)
    if sources:
        yield largest(sources)
    for name, value in attributes.items():
        if value and name.startswith("data-") and _LOOKS_LIKE_IMAGE.match(value):
            yield value


def _is_placeholder(ref: str) -> bool:
    """Whether an address is that of a placeholder which a script replaces: its file name has only words for that."""
    name = ref.split("?", 1)[0].rsplit("/", 1)[-1]
    if _PLACEHOLDER.search(name) is None:
        return False
    words_of_name = _LETTERS.findall(name.lower())
    return _FILLING.issuperset(words_of_name) or (len(words_of_name) > 1 and words_of_name[-2] in _LAST)


def _is_enough(source: str, offered: str) -> bool:
    """Whether a srcset offers `source` itself (but for its query) with ENOUGH pixels or more."""
    plain = source.split("?", 1)[0]
    return any(n >= ENOUGH and unit == "w" and url.split("?", 1)[0] == plain for url, n, unit in srcset(offered))


def usable_source(attributes: Attributes) -> str | None:
    """The srcset of a `<source>` that a raster decoder can read; None for video, audio and AVIF."""
    kind = attributes.get("type") or ""
    if kind and (not kind.startswith("image/") or _UNREAD.search(kind)):
        return None
    value = attributes.get("srcset") or attributes.get("data-srcset")
    return value if value and not value.startswith("data:") else None


def size(attributes: Attributes) -> tuple[int | None, int | None]:
    """Rendered width and height in pixels as the element states them; None for a side in percent or not stated."""
    width, height = (_pixels(attributes.get(side)) or None for side in ("width", "height"))  # 0 means unknown
    style = attributes.get("style")
    if style and (width is None or height is None):
        stated = {m[1].lower(): int(m[2]) for m in _STYLE_SIDE.finditer(style[:2000])}
        width = stated.get("width", width) if width is None else width
        height = stated.get("height", height) if height is None else height
    return width, height


def _pixels(value: Any) -> int | None:
    m = _PIXELS.match(value) if value else None
    return int(m[1]) if m else None


def read(attributes: Attributes, sources: str | None, base: str) -> Node | None:
    """The node of an image element; None where it shows no image that can be fetched. sources: as for `address`."""
    return _node(attributes, address(attributes, sources, base)) if _is_shown(attributes) else None


def read_background(attributes: Attributes, base: str) -> Node | None:
    """The node of the background picture in an element's own style; None where it shows none that can be fetched.

    A background in a style sheet is decoration; one of a single element is content.
    """
    m = _BACKGROUND.search((attributes.get("style") or "")[:4000])
    ref = m[1].strip() if m else ""
    return _node(attributes, _usable(ref, base)) if ref and _is_shown(attributes) else None


def _is_shown(attributes: Attributes) -> bool:
    """Whether an element shows its image, and neither the stated size nor the class is that of an icon."""
    width, height = size(attributes)
    small = width is not None and height is not None and width <= ICON and height <= ICON
    if is_hidden(attributes) or small or any(side is not None and 0 < side <= LINE for side in (width, height)):
        return False
    names = attributes.get("class")
    is_large = (width or 0) >= LARGE[0] and (height or 0) >= LARGE[1]
    return not names or not hint(names) & ICONIC or is_large


def _node(attributes: Attributes, url: str | None) -> Node | None:
    if url is None:
        return None
    width, height = size(attributes)
    alt = clean(attributes.get("alt") or attributes.get("aria-label"))
    return image_node(url, alt=alt, title=clean(attributes.get("title")), width=width, height=height)
