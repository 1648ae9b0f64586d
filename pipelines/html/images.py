"""Which address an image element means, and what it says about itself.

``src`` is not always it: lazy loaders keep the picture elsewhere until the reader scrolls, ``srcset`` and ``<picture>``
offer several sizes (WHATWG HTML §4.8.4), AMP has its own element. Data URIs are left out: they are placeholders and
icons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from manifests.nodes import Node, image_node
from pipelines.html.captions import clean
from pipelines.html.elements import is_hidden
from pipelines.html.hints import ICONIC, hint, words
from pipelines.html.urls import absolute

#: largest width asked of a srcset, pixels: above it a vision encoder sees nothing more, and the bytes cost
MAX_WIDTH = 2048
#: largest density descriptor taken, as 2x screens do
MAX_DENSITY = 2.0
#: an ``src`` that its srcset says is this wide is taken as it is: the address in ``src`` is what everyone else links to
#: and keeps, so it meets its duplicates, and 600 pixels are most of the 980 that Idefics2 reads
ENOUGH = 600
#: both stated sides at or under this are an icon, a bullet, a tracking pixel
ICON = 48
#: stated width and height from which an image is a picture, though its class says avatar or logo; those of authors are
#: 96 to 250 wide
LARGE = (300, 150)

Attributes = Mapping[str, str | None]

#: where lazy loaders put the address, most telling first
LAZY = (
    "data-src", "data-lazy-src", "data-original", "data-orig-file", "data-hi-res-src", "data-full-src", "data-image-src", "data-img-src",
    "data-lazy", "data-lazyload", "data-lazyload-src", "data-actualsrc", "data-original-src", "data-echo", "data-url", "data-image",
    "data-src-medium", "data-src-large", "data-cfsrc", "data-ezsrc", "data-gt-lazy-src", "data-lateloadsrc", "data-scroll-image",
    "data-src-fg", "data-lazy-original", "data-td-src-property", "data-runner-src", "data-pin-media", "src2",
)  # fmt: skip
LAZY_SET = ("data-srcset", "data-lazy-srcset", "data-original-set", "data-ll-srcset", "data-bgset")
LAZY_NAMES = frozenset((*LAZY, *LAZY_SET))

# undecoded by the readers of training sets; a picture element offers them beside a jpeg
_UNREAD = re.compile(r"avif|jxl|svg|heic|jp2", re.I)
_STAND_IN = re.compile(
    r"blank|space|transp?\b|transparent|placeholder|pixel|1x1|1px|lazy|load|spinner|empty|clear|dummy|gr[ea]y", re.I
)
_FILLING = words(
    """
    blank spacer space trans transp transparent placeholder pixel px x lazy lazyload load loading loader ajax spinner empty clear dummy grey
    gray white bg s image img pic picture photo default small thumb gif png jpg jpeg svg webp
    """
)
_LAST = words("blank spacer loader placeholder spinner")  # my-theme-blank.png
_LETTERS = re.compile(r"[^\W\d_]+")
_BACKGROUND = re.compile(r"(?:^|[;\s])background(?:-image)?\s*:[^;]*?url\(\s*(?:&quot;|[\"'])?([^\"')]+)", re.I)
_LOOKS_LIKE_IMAGE = re.compile(r"\S+\.(?:jpe?g|png|webp|gif)(?:\?\S*)?\Z", re.I)
_SRCSET_ITEM = re.compile(r"\s*(\S*[^\s,])(?:\s+([\d.]+)([wx])[^,]*)?\s*(?:,|\Z)")
_WIDTHS = re.compile(r"\s\d+w\s*(?:,|\Z)")
_PIXELS = re.compile(r"\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*\Z")
_STYLE_SIDE = re.compile(r"(?:^|[;\s])(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.I)


def srcset(value: str) -> Iterator[tuple[str, float, str]]:
    """Candidates of a srcset: (address, number, ``w`` or ``x``). Commas inside an address are part of it, as the
    standard says.
    """
    for m in _SRCSET_ITEM.finditer(value[:20000]):
        if m[1] and not m[1].startswith("data:"):
            try:
                yield m[1], float(m[2] or 1), m[3] or "x"
            except ValueError:
                continue


def largest(value: str) -> str | None:
    """The largest candidate of a srcset that fits MAX_WIDTH (or MAX_DENSITY); where none fits, the smallest."""
    fits: tuple[float, str] | None = None
    least: tuple[float, str] | None = None
    for url, number, unit in srcset(value):
        size = number if unit == "w" else number * 1000  # a srcset is of one unit; were it mixed, 2x beats 1999w
        limit = MAX_WIDTH if unit == "w" else MAX_DENSITY * 1000
        if size <= limit and (fits is None or size > fits[0]):
            fits = (size, url)
        if least is None or size < least[0]:
            least = (size, url)
    best = fits or least
    return best[1] if best else None


def address(attributes: Attributes, sources: str | None, base: str) -> str | None:
    """The canonical address of an image element; None where it has none worth fetching.

    ``sources``: the srcset of the first usable ``<source>`` of the ``<picture>`` around it.
    Order: lazy srcset, srcset by width (its largest that fits, or a ``src`` that is large ENOUGH), lazy address,
    ``src``, srcset by density, ``<picture>`` sources, any ``data-`` attribute that names an image file. The first that
    gives an address is taken.
    """
    for ref in _references(attributes, sources):
        if not ref or ref.startswith("data:") or _is_stand_in(ref):
            continue
        url = absolute(base, ref)
        if url is not None and not url.lower().split("?", 1)[0].endswith(".svg"):
            return url
    return None


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


def _is_stand_in(ref: str) -> bool:
    """Whether an address is of what stands there until a script puts in the true one: a file name of nothing but words
    for emptiness.
    """
    name = ref.split("?", 1)[0].rsplit("/", 1)[-1]
    if _STAND_IN.search(name) is None:
        return False
    of = _LETTERS.findall(name.lower())
    return _FILLING.issuperset(of) or (len(of) > 1 and of[-2] in _LAST)


def _is_enough(source: str, offered: str) -> bool:
    """Whether a srcset offers ``source`` itself (but for its query) at ENOUGH pixels or more."""
    plain = source.split("?", 1)[0]
    return any(
        number >= ENOUGH and unit == "w" and url.split("?", 1)[0] == plain for url, number, unit in srcset(offered)
    )


def background(attributes: Attributes, base: str) -> str | None:
    """The canonical address of the picture that an element's own style lays behind it; None where it names none worth
    fetching.

    Only the style attribute: what a style sheet lays behind an element is decoration, what one element alone has is
    content.
    """
    m = _BACKGROUND.search((attributes.get("style") or "")[:4000])
    ref = m[1].strip() if m else ""
    if not ref or ref.startswith("data:") or _is_stand_in(ref):
        return None
    url = absolute(base, ref)
    return url if url is not None and not url.lower().split("?", 1)[0].endswith(".svg") else None


def usable_source(attributes: Attributes) -> str | None:
    """The srcset of a ``<source>`` that a raster decoder can read; None for video, audio and AVIF."""
    kind = attributes.get("type") or ""
    if kind and (not kind.startswith("image/") or _UNREAD.search(kind)):
        return None
    value = attributes.get("srcset") or attributes.get("data-srcset")
    return value if value and not value.startswith("data:") else None


def size(attributes: Attributes) -> tuple[int | None, int | None]:
    """Rendered width and height in pixels as the element states them; None for a side it does not state, or states in
    percent.
    """
    # scripts write 0 for unknown
    width, height = (_pixels(attributes.get(side)) or None for side in ("width", "height"))
    style = attributes.get("style")
    if style and (width is None or height is None):
        stated = {m[1].lower(): int(m[2]) for m in _STYLE_SIDE.finditer(style[:2000])}
        width = stated.get("width", width) if width is None else width
        height = stated.get("height", height) if height is None else height
    return width, height


def _pixels(value: Any) -> int | None:
    m = _PIXELS.match(value) if value else None
    return int(m[1]) if m else None


def is_large(width: int | None, height: int | None) -> bool:
    """Whether the stated size is that of a picture, whatever the class names say."""
    return width is not None and height is not None and width >= LARGE[0] and height >= LARGE[1]


def is_icon(width: int | None, height: int | None) -> bool:
    """Whether the stated size is that of an icon or a tracking pixel: both sides small, or one of a few pixels."""
    if width is not None and height is not None and width <= ICON and height <= ICON:
        return True
    return any(side is not None and 0 < side <= 12 for side in (width, height))


def is_shown(attributes: Attributes) -> bool:
    """Whether an element that has an image shows it, and larger than an icon."""
    if is_hidden(attributes):
        return False
    width, height = size(attributes)
    if is_icon(width, height):
        return False
    names = attributes.get("class")
    return not names or not hint(names) & ICONIC or is_large(width, height)


def of(attributes: Attributes, url: str) -> Node:
    """The node of an element that shows the image at ``url``."""
    width, height = size(attributes)
    alt = clean(attributes.get("alt") or attributes.get("aria-label"))
    return image_node(url, alt=alt, title=clean(attributes.get("title")), width=width, height=height)
