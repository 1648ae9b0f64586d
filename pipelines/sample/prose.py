"""Prose files: how they are read, and how a sentence form becomes a sentence.

A prose file starts with comments (``# ...``) and fields (``key: value``). Sections follow: a line ``= heading |
heading`` and entries that begin with ``- ``. A line that begins with a blank continues the line before it. ``|``
separates the items of a list and the cells of a row.

A form is one sentence. ``[a|b|c]`` is a choice that is drawn each time (choices may be nested); ``{slot}`` is filled
with a fact. A section has more forms than one page uses, so two pages of a topic share their vocabulary and sentence
patterns, but hardly ever five words in a row.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Section:
    """Headings to choose from, and the forms of the sentences below them."""

    headings: tuple[str, ...]
    forms: tuple[str, ...]


@dataclass(frozen=True, eq=False)  # hashed by identity, as a key of caches
class Topic:
    """What one host writes about, and what its pages look like."""

    name: str
    host: str
    site: str  # title of the site
    motto: str
    layout: str  # template of its pages, see `pipelines.sample.layouts`
    colour: str  # of its style sheet
    address: str  # path of an article, with the slots slug, number, id, year and month
    folder: str  # of its pictures
    titles: tuple[str, ...]
    kinds: tuple[str, ...]  # of pictures; a kind that stands twice is used twice as often
    shows: Mapping[str, tuple[str, ...]]  # kind of picture: what such a picture may show
    subjects: tuple[Mapping[str, str], ...]  # one article each
    opening: Section
    sections: tuple[Section, ...]
    closing: Section
    standing: str = ""  # a paragraph that every article of the host ends with
    license: str = ""  # URL


def sentence(form: str, facts: Mapping[str, str], rng: random.Random) -> str:
    """Draw the choices of a form and fill its slots. Raises KeyError for a slot that has no fact."""
    count = 1
    while count:
        form, count = _CHOICE.subn(lambda choice: rng.choice(choice[1].split("|")), form)
    text = " ".join(form.format_map(facts).split())
    return text[0].upper() + text[1:]


def cells(text: str) -> tuple[str, ...]:
    """The items of a list."""
    return tuple(cell.strip() for cell in text.split("|"))


def read_prose(path: Path) -> tuple[dict[str, str], tuple[Section, ...]]:
    """Fields and sections of a prose file. Raises ValueError for a line that is neither a field nor an entry."""
    head, *blocks = re.split(r"^= ", re.sub(r"\n +", " ", path.read_text(encoding="utf-8")), flags=re.M)
    fields = dict(line.split(": ", 1) for line in head.splitlines() if line and not line.startswith("#"))
    sections = []
    for heading, *lines in (block.splitlines() for block in blocks):
        entries = [line for line in lines if line]
        if not all(line.startswith("- ") for line in entries):
            raise ValueError(f"{path}: every line below '= {heading}' must begin with '- ' or a blank")
        sections.append(Section(cells(heading), tuple(line[2:] for line in entries)))
    return fields, tuple(sections)


def read_topic(path: Path) -> Topic:
    """A topic: fields, then the sections of subjects (rows of facts), opening, body and closing."""
    fields, (subjects, opening, *sections, closing) = read_prose(path)
    columns = cells(fields.pop("columns"))
    titles, kinds = cells(fields.pop("titles")), cells(fields.pop("kinds"))
    shows = {key.split()[1]: cells(fields.pop(key)) for key in list(fields) if key.startswith("shows ")}
    rows = tuple(dict(zip(columns, cells(row), strict=True)) for row in subjects.forms)
    return Topic(
        **fields, titles=titles, kinds=kinds, shows=shows, subjects=rows,
        opening=opening, sections=tuple(sections), closing=closing,
    )  # fmt: skip
