"""One style sheet a host: enough for a page to look like its kind."""

from __future__ import annotations

_COMMON = """
body { font: 17px/1.55 Georgia, serif; color: #222; margin: 0; background: #fff }
img { max-width: 100%; height: auto }
a { color: PAINT }
h1 { line-height: 1.15 }
.site-header, .topbar { background: PAINT; color: #fff; padding: 14px 5% }
.site-header a, .topbar a, .menu a { color: #fff; text-decoration: none }
.site-header .brand, .site-title a, .topbar > div:first-child a { font-size: 26px; font-weight: bold }
nav ul, .share, footer ul, .sd-content ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 16px; font-size: 14px }
.menu span { margin-right: 16px }
figure, .wp-caption { margin: 24px 0 }
figcaption, .wp-caption-text, .caption { font-size: 14px; color: #666; font-style: italic }
.byline, .entry-meta { color: #777; font-size: 14px }
.cookie-banner, .consent { background: #fff7d6; padding: 6px 5%; font-size: 13px; display: flex; gap: 16px; align-items: center }
.comments, .comments-area { border-top: 1px solid #ddd; margin-top: 30px; font-size: 15px }
.site-footer, body > footer, .footer { background: #eee; padding: 14px 5%; font-size: 13px; clear: both }
.heading { font-size: 23px; font-weight: bold; margin-top: 26px }
.share span, .footer span { margin-right: 12px }
"""

_WIDE = """
main, #primary, .page { max-width: 700px; padding: 0 5%; float: left }
.sidebar, .widget-area, .related { float: left; width: 230px; padding: 26px 20px; font-size: 14px; font-family: sans-serif }
.page > div { margin-bottom: 14px }
"""

_PAINT = {
    "skywatch.example": "#1c2a5e",
    "allotment.example": "#3d6b34",
    "supper.example": "#8a3b24",
    "workbench.example": "#6b5128",
    "tramlines.example": "#9c1f2e",
    "tally.example": "#146c73",
}


def sheet(host: str) -> str:
    """CSS of a host; the old web (the host built of tables) has next to none."""
    if host == "riverlog.example":
        return "body { font: 16px/1.45 Verdana, sans-serif }\n"
    return (_COMMON + _WIDE).replace("PAINT", _PAINT.get(host, "#444"))
