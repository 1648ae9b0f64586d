"""The regular pages: one article for each subject of each topic, with pictures, comments and links."""

import functools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipelines.sample.pictures import Picture, Sketchbook
from pipelines.sample.prose import Section, Topic, cells, read_prose, sentence
from pipelines.sample.topics import TOPICS

PICTURE_HOST = "pictures.example"

Style = Literal["caption", "alt", "both"]
_STYLES: tuple[Style, ...] = ("caption", "alt", "both")

_FIELDS, (_REMARKS,) = read_prose(Path(__file__).with_suffix(".txt"))
_FIRST, _LAST, _TOWNS, _MONTHS, _NUMBERS = (cells(_FIELDS[k]) for k in ("first", "last", "towns", "months", "numbers"))

#: host: the paragraph that stands word for word on every page of the host, for the rule on repeated paragraphs
STANDING: Mapping[str, str] = {topic.host: topic.standing for topic in TOPICS if topic.standing}

#: a house mark that stands in the text of BADGE_USES articles of its host, for the rule on images used too often
BADGE, BADGE_USES = Picture("http://supper.example/images/house-plate.png", "still", "red", 1, "bowls"), 14


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, a list (items separated by newlines), a quotation or a figure, in reading order."""

    kind: Literal["p", "h2", "list", "quote", "figure"]
    text: str = ""
    picture: Picture | None = None
    style: Style = "both"  # where the caption stands: beside the picture, in its alt attribute, or in both


@dataclass(frozen=True, eq=False)  # hashed by identity, as a key of caches
class Article:
    url: str
    topic: Topic
    title: str
    author: str
    date: str
    blocks: tuple[Block, ...]
    remarks: tuple[tuple[str, str], ...] = ()  # comments of readers: (name, text)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The paragraphs alone, separated by blank lines."""
        return "\n\n".join(b.text for b in self.blocks if b.kind in ("p", "quote"))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(b.picture for b in self.blocks if b.picture is not None)


def page_facts(rng: random.Random) -> dict[str, str]:
    """The people, places and dates of one page; they are the same everywhere on it."""
    return {
        "person": rng.choice(_FIRST),
        "surname": rng.choice(_LAST),
        "author": f"{rng.choice(_FIRST)} {rng.choice(_LAST)}",
        "town": rng.choice(_TOWNS),
        "month": rng.choice(_MONTHS),
        "year": str(rng.randint(1931, 2021)),
        "number": rng.choice(_NUMBERS),
    }


def _body(topic: Topic, parts: int, facts: Mapping[str, str], rng: random.Random) -> list[list[Block]]:
    """Opening, `parts` sections with a heading and a closing, each a list of blocks. No sentence form is used twice."""

    def sentences(section: Section, count: int) -> list[str]:
        forms = rng.sample(section.forms, min(count, len(section.forms)))
        # every sentence has a year of its own: a page on which everything happened in one year reads like a form
        return [sentence(form, {**facts, "year": str(rng.randint(1948, 2021))}, rng) for form in forms]

    groups = [[Block("p", " ".join([*sentences(topic.opening, 2), facts["note"]]))]]
    for section in rng.sample(topic.sections, min(parts, len(topic.sections))):
        text = sentences(section, rng.randint(5, 8))
        heading = Block("h2", sentence(rng.choice(section.headings), facts, rng))
        middle = len(text) // 2 + rng.randint(0, 1)
        groups.append([heading, Block("p", " ".join(text[:middle])), Block("p", " ".join(text[middle:]))])
    groups.append([Block("p", " ".join(sentences(topic.closing, rng.randint(1, 2))))])
    return groups


def _figures(topic: Topic, book: Sketchbook, rng: random.Random, count: int) -> list[Block]:
    figures = []
    for kind in rng.sample(topic.kinds, count):
        subjects = topic.shows.get(kind, ("the whole county",))
        style = rng.choices(_STYLES, (45, 35, 20))[0]
        # a host keeps most pictures itself, and some on the shared picture host
        base = f"{PICTURE_HOST}/{topic.name}" if rng.random() < 0.2 else f"{topic.host}/{topic.folder}"
        figures.append(Block("figure", picture=book.new(f"http://{base}/", kind, subjects), style=style))
    return figures


def _with_figures(groups: list[list[Block]], figures: list[Block], rng: random.Random) -> tuple[Block, ...]:
    """The blocks, with each figure after a paragraph of a group of its own."""
    places = sorted(rng.sample(range(len(groups) - 1), min(len(figures), len(groups) - 1)))
    for place, figure in zip(places, figures, strict=False):
        group = groups[place]
        group.insert(rng.randint(1 if group[0].kind == "p" else 2, len(group)), figure)
    return tuple(block for group in groups for block in group)


def compose(
    topic: Topic, subject: Mapping[str, str], url: str, seed: str, book: Sketchbook, pictures: int, parts: int = 0
) -> Article:
    """An article on `subject` at `url`; it follows from `seed` and the pictures that `book` gave out before.

    pictures: how many. parts: sections with a heading; 0 draws a number.
    """
    rng = random.Random("article " + seed)
    facts = {**page_facts(rng), **subject}
    groups = _body(topic, parts or rng.randint(3, len(topic.sections)), facts, rng)
    if topic.standing:
        groups[-1].append(Block("p", topic.standing))
    title = sentence(rng.choice(topic.titles), facts, rng)
    forms = rng.sample(_REMARKS.forms, rng.randint(0, 4))
    remarks = tuple((rng.choice(_FIRST), sentence(form, facts, rng)) for form in forms)
    date = f"{rng.randint(2012, 2023)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    blocks = _with_figures(groups, _figures(topic, book, rng, pictures), rng)
    return Article(url, topic, title, facts["author"], date, blocks, remarks, facts)


def _url(topic: Topic, subject: Mapping[str, str], number: int) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", subject["name"].lower()).strip("-")
    year, month = 2014 + number % 9, 1 + number % 12
    path = topic.address.format(slug=slug, number=number, id=100 + number, year=year, month=month)
    return f"http://{topic.host}{path}"


@functools.lru_cache(maxsize=1)
def library() -> tuple[tuple[Article, ...], Sketchbook]:
    """Every regular article, and the pictures in them."""
    book = Sketchbook("library")
    articles = []
    for topic in TOPICS:
        for number, subject in enumerate(topic.subjects):
            url = _url(topic, subject, number)
            count = random.Random("pictures " + url).choices((1, 2, 3, 4), (15, 35, 30, 20))[0]
            article = compose(topic, subject, url, url, book, count)
            if BADGE.url.startswith(f"http://{topic.host}/") and number < BADGE_USES:
                article = replace(article, blocks=(*article.blocks, Block("figure", picture=BADGE, style="alt")))
            articles.append(article)
    book.pictures[BADGE.url] = BADGE
    return tuple(articles), book
