"""Documents in the report, as cards: a few that were kept, and a few for each reason to drop one."""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

Row = Mapping[str, Any]
Blob = Callable[[str, int, int, int], bytes]  # source, part, offset, length -> bytes

THUMBNAIL = 220  # pixels, longest side
PAGE_THUMBNAIL = 420  # of a page, whose text must be readable
MOST_BYTES = 12 << 20  # of the thumbnails of one report
_KEPT = 12  # cards of kept documents
_PARAGRAPH, _LABEL = 400, 160  # characters of a paragraph, and of an image's caption


class Album:
    """Thumbnails as data URLs, up to a total of MOST_BYTES."""

    def __init__(self, blob: Blob):
        self.blob, self.used = blob, 0

    def thumbnail(self, source: str, picture: Row, side: int) -> str:
        """An ``<img>``; the name of the error for an image that cannot be read; empty beyond the total."""
        if picture["offset"] is None or self.used > MOST_BYTES:
            return ""
        try:
            image = Image.open(io.BytesIO(self.blob(source, picture["part"], picture["offset"], picture["length"])))
            image.draft("RGB", (side * 2, side * 2))
            image.thumbnail((side, side))
            small = io.BytesIO()
            image.convert("RGB").save(small, "WEBP", quality=70)
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            return f"<span class=gone>{html.escape(type(e).__name__)}</span>"
        self.used += small.tell()
        return f"<img src='data:image/webp;base64,{base64.b64encode(small.getvalue()).decode()}' alt=''>"


def gallery(source: str, stats: Row, rows: Sequence[Row], album: Album) -> str:
    """Two sections, kept and dropped. stats: of the source, in stats.json. rows: pipelines.select.samples.SAMPLE."""
    title = html.escape(stats["title"])
    kept = "".join(_card(source, stats["layout"], row, album) for row in [r for r in rows if not r["reason"]][:_KEPT])
    dropped = "".join(_card(source, stats["layout"], row, album) for row in rows if row["reason"])
    note = "<p>Chosen by hash. What the rules removed from a document is struck through.</p>"
    first = f"<h2>{title}, kept</h2>{note}<div class=cards>{kept}</div>"
    return f"{first}<h2>{title}, dropped</h2><div class=cards>{dropped}</div>"


def _card(source: str, layout: str, row: Row, album: Album) -> str:
    pictures = {p["node"]: p for p in row["pictures"] or ()}
    if row["reason"] and layout == "interleaved":
        pictures = {n: {**p, "offset": None} for n, p in pictures.items()}  # a dropped page is shown without pictures
    side = PAGE_THUMBNAIL if layout == "ocr" else THUMBNAIL
    reasons = row["node_reason"] or []
    body = []
    for n, node in enumerate(row["nodes"]):
        reason = reasons[n] if n < len(reasons) else None
        if node["kind"] == "text":
            body.append(_paragraph(node, reason))
        elif node["kind"] == "image":
            picture = pictures.get(n)
            reason = (picture and picture["reason"]) or reason
            image = album.thumbnail(source, picture, side) if picture else ""
            following = row["nodes"][n + 1] if n + 1 < len(row["nodes"]) else {}
            caption = "" if following.get("role") == "caption" else node["caption"] or node["alt"] or ""
            body.append(_image(image, caption, reason))
        else:
            body.append("<hr>")
    url = row["url"] or ""
    head = html.escape(row["title"] or url or row["id"])
    if url.startswith(("http://", "https://")):  # other addresses in a document may be harmful as links
        head = f"<a href='{html.escape(url)}'>{head}</a>"
    return (
        f"<article>{_reason(row)}<h3>{head}</h3><div class=body>{''.join(body)}</div>"
        f"<small class=id>{html.escape(row['id'])}</small></article>"
    )


def _paragraph(node: Row, reason: str | None) -> str:
    tag = "h4" if node["role"] == "heading" else "p"
    style, text = "out" if reason else html.escape(node["role"] or ""), html.escape((node["text"] or "")[:_PARAGRAPH])
    return f"<{tag} class='{style}' title='{html.escape(reason or '')}'>{text}</{tag}>"


def _image(image: str, caption: str, reason: str | None) -> str:
    style, label = "image out" if reason else "image", html.escape(caption[:_LABEL])
    return f"<div class='{style}'>{image}<small>{label} <b>{html.escape(reason or '')}</b></small></div>"


def _reason(row: Row) -> str:
    """Why the document was dropped: the rule, the score, and the limit."""
    if not row["reason"]:
        return ""
    score = "" if row["score"] is None else f" {row['score']:.3g}"
    limit = "" if row["threshold"] is None else f" (limit {row['threshold']:g})"
    return f"<div class=why>{html.escape(row['reason'])}{score}{limit}</div>"
