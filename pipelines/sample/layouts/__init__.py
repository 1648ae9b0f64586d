"""Four ways in which a site may be built, with navigation, consent banners and other boilerplate.

semantic: HTML5 elements. blog: a blog engine. tables: the old web. soup: divs within divs. In a template, ``{#- #}`` at
the start of a line joins it to the line before, so that long lines of the page have short lines in the template.
"""

import html
import random
from collections.abc import Sequence
from pathlib import Path

import jinja2

from pipelines.sample.articles import Article
from pipelines.sample.prose import Topic

Link = tuple[str, str]  # address, words

_FOLDER = Path(__file__).parent
_TEXTS = {
    "share": ("Facebook", "Twitter", "Pinterest", "Reddit", "Tumblr", "E-mail"),
    "navigation": [("/", "Home"), ("/about", "About"), ("/archive", "Archive"), ("/contact", "Contact")],
    "cookies": (
        "We use cookies to give you the best experience on our website. By continuing you accept our cookie policy.",
        "This site uses cookies. Read our privacy policy or change your settings at any time.",
    ),
}
# Escaping is by hand, with html.escape: jinja2's own escapes quotes in another way, and the bytes must not change.
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)
_TEMPLATES.filters["e"] = html.escape
_TEMPLATES.globals.update(_TEXTS)


def render(article: Article, related: Sequence[Link], elsewhere: Sequence[Link], extra: str = "") -> str:
    """The page of an article in its site's layout. related, elsewhere: links beside the text. extra: for the head."""
    rng = random.Random("soup " + article.title)
    template = _TEMPLATES.get_template(f"{article.topic.layout}.html")
    values = {"article": article, "topic": article.topic, "related": related, "elsewhere": elsewhere, "extra": extra}
    visitors = sum(map(ord, article.title)) * 7
    return str(template.render(values, name=lambda: f"css-{rng.randrange(16**5):05x}", visitors=visitors))


def style_sheet(topic: Topic | None) -> str:
    """CSS of a topic's host (None: of a host without a topic); the old web has next to none."""
    if topic is not None and topic.layout == "tables":
        return "body { font: 16px/1.45 Verdana, sans-serif }\n"
    text = (_FOLDER / "style.css").read_text(encoding="utf-8")
    return text.replace("PAINT", topic.colour if topic is not None else "#444")
