"""Words beside an image that say nothing about it: file names, addresses, credits, what templates and machines write.

Tables by purpose, in many languages: such a line is no caption on any site. What an image shows is for models to judge.
"""

import html
import re

from manifests.words import count_words
from pipelines.html.hints import TABLES
from pipelines.html.phrases import PHRASES

CREDIT = 90  # characters of the longest line that is only a credit
PLAIN = 3  # words in small letters, longer than "from" or "and", from which a line is a description

_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_LETTERS = re.compile(r"[^\W\d_]+")
_FILE = re.compile(r"(?:https?://|www\.)\S+|\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|avif|heic)", re.I)
# what cameras, phones and editors call a file
_CAMERA_NAMES = "img|dscn?|dscf|dsc_|pict?|p|image|screen ?shot|whatsapp image|unnamed|untitled|unbenannt"
_CAMERA = re.compile(rf"(?:{_CAMERA_NAMES})[\W_]*\d[\d\W_]*\w{{0,3}}", re.I)
_LAYOUT = frozenset(TABLES["layout"])
_CREDIT_WORDS = "|".join(PHRASES["credits"])
_CREDIT = re.compile(
    rf"[\W_]*(?:(?:{_CREDIT_WORDS})\s*[:©|/]|(?:{_CREDIT_WORDS})\s+(?:by|via|from|von|de|par)\b|©|\(c\)"
    rf"|image copyright\b)(.*)",
    re.I | re.S,
)
_AGENCIES = re.compile(rf"\b(?:{'|'.join(PHRASES['agencies'])})\b", re.I)
_MACHINE = re.compile(f"(?:{'|'.join(PHRASES['machine'])})", re.I)


def clean(text: str | None) -> str | None:
    """One line without markup: entities that were escaped twice are decoded, tags in an attribute are removed."""
    if not text:
        return None
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    return " ".join(text.split()) or None


def says_nothing(text: str) -> bool:
    """Whether a line is a file name, an address, a word for "picture", or the text of a machine."""
    if _FILE.fullmatch(text) or _CAMERA.fullmatch(text) or _MACHINE.match(text):
        return True
    if _LAYOUT.issuperset(_LETTERS.findall(text.lower())):
        return True
    # one word with digits or underscores is a file name, unless its script writes without blanks
    return " " not in text and max(text) < "\u2e80" and any(c.isdigit() or c == "_" for c in text)


def is_credit(text: str) -> bool:
    """Whether a line only says who made or owns the picture."""
    if len(text) > CREDIT:
        return False
    if credit := _CREDIT.match(text):  # "Photo: " may also open a description, which has words that are no names
        return len([word for word in _LETTERS.findall(credit[1]) if word.islower() and len(word) > 3]) < PLAIN
    rest = _AGENCIES.sub("", text)
    return rest != text and sum(map(count_words, _LETTERS.findall(rest))) <= 2
