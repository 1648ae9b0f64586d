"""Words that open what is not the article, such as other articles and comments, and words that close an article.

The phrases stand in phrases.yaml, by purpose and language; so do those of captions.
"""

import re
from pathlib import Path

import yaml

CLOSING = 260  # characters of the longest line that only closes an article
SHORT = 90  # characters from which a line is prose, whatever it starts with

PHRASES = yaml.safe_load(Path(__file__).with_name("phrases.yaml").read_text("utf-8"))


def _any(table: str) -> str:
    """An expression that matches any phrase of a table."""
    by_language = ["|".join(phrases) for languages in PHRASES[table].values() for phrases in languages.values()]
    return "|".join(f"(?:{phrase})" for phrase in by_language).replace("NETWORK", PHRASES["networks"])


_START = re.compile(rf"[\W_]*(?:{_any('openers')})", re.I)
_CLOSE = re.compile(_any("closers"), re.I)
_CLOSE_WORDS = PHRASES["close_words"]


def opens_teaser(text: str) -> bool:
    """Whether a short line is the title of a list of teasers, of a comment section, or of sharing buttons."""
    return len(text) <= SHORT and _START.match(text) is not None


def closes(text: str) -> bool:
    """Whether a line asks the reader to follow or to subscribe, or reserves all rights."""
    lower = text.lower() if len(text) <= CLOSING else ""
    return any(word in lower for word in _CLOSE_WORDS) and _CLOSE.search(text) is not None
