"""Values in other people's rows, as this project writes them: lines of text, pixels, addresses."""

from collections.abc import Iterator
from typing import Any

from manifests.urls import canonical


def sound(text: str) -> str:
    """The text, with `?` for each lone surrogate, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def one_line(value: Any) -> str | None:
    """A string with white space normalised; None for an empty string and for any other type."""
    return (" ".join(sound(value).split()) or None) if isinstance(value, str) else None


def pixels(value: Any) -> int | None:
    """A width or height in pixels; None where it is no positive 32-bit integer. (`True` is an int, but no width.)"""
    return value if type(value) is int and 0 < value < 1 << 31 else None


def web_address(value: Any) -> str | None:
    """The canonical form of an http(s) address; None for any other value."""
    return canonical(value) if isinstance(value, str) else None


def paragraphs(text: str, mode: str = "blank_lines") -> Iterator[str]:
    """The paragraphs of a text, white space normalised, none empty.

    mode: `lines` (each line is a paragraph) or `blank_lines` (blank lines separate the paragraphs).
    """
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if mode == "lines":
        yield from filter(None, lines)
        return
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line:
            paragraph.append(line)
        elif paragraph:
            yield " ".join(paragraph)
            paragraph = []
