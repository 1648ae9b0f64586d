"""How the sample's articles are put into words: sentence forms with choices and slots, told for one subject at a time.

A form is one sentence. ``[a|b|c]`` is a choice made anew at every telling (choices may be nested); ``{slot}`` is filled
from the subject's facts. A topic is a table of subjects and a list of sections, each with more forms than one page
uses, so that two pages share a shape and a vocabulary but hardly five words in a row.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Section:
    """Headings to choose from, and the forms that may stand below them."""

    headings: tuple[str, ...]
    forms: tuple[str, ...]


@dataclass(frozen=True, eq=False)  # one object a page: hashed by identity
class Topic:
    """What one host writes about.

    ``shows`` names, for each kind of picture the topic uses, what such a picture may show; ``figures`` is the order of
    preference.
    """

    name: str
    host: str
    site: str
    motto: str
    titles: tuple[str, ...]
    subjects: tuple[Mapping[str, str], ...]
    opening: Section
    sections: tuple[Section, ...]
    closing: Section
    kinds: tuple[str, ...]
    shows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def tell(form: str, facts: Mapping[str, str], rng: random.Random) -> str:
    """One sentence: choices made by ``rng``, slots filled from ``facts`` (KeyError names a slot that is not there)."""
    while True:
        made = _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), form)
        if made == form:
            break
        form = made
    text = " ".join(form.format_map(facts).split())
    return text[0].upper() + text[1:]


def items(text: str) -> list[str]:
    """The entries of a block: each starts with ``- `` and runs on over the following lines."""
    found: list[str] = []
    for line in text.strip().splitlines():
        if line.startswith("- "):
            found.append(line[2:].strip())
        elif line.strip():
            found[-1] += " " + line.strip()
    return found


def table(columns: str, text: str) -> tuple[Mapping[str, str], ...]:
    """Rows of facts: ``columns`` and every entry of ``text`` hold the same number of cells, parted by ``|``."""
    names = columns.split("|")
    rows = []
    for entry in items(text):
        cells = [cell.strip() for cell in entry.split("|")]
        if len(cells) != len(names):
            raise ValueError(f"a row of {len(cells)} cells, {len(names)} expected: {entry[:60]}")
        rows.append(dict(zip(names, cells, strict=True)))
    return tuple(rows)


def sections(text: str) -> tuple[Section, ...]:
    """Sections of forms: a line ``= heading | heading`` starts one."""
    found = []
    for block in re.split(r"^= ", text, flags=re.M)[1:]:
        head, _, body = block.partition("\n")
        found.append(Section(tuple(h.strip() for h in head.split("|")), tuple(items(body))))
    return tuple(found)
