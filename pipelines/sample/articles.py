"""The honest pages: one article for each subject of each topic, its pictures, its comments and its neighbours."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pipelines.sample.pictures import Picture, Sketchbook
from pipelines.sample.prose import Section, Topic, items, tell
from pipelines.sample.topics import TOPICS

PICTURE_HOST = "pictures.example"

Style = Literal["caption", "alt", "both"]

_FIRST = ("Ada", "Bram", "Clara", "Dora", "Emil", "Freya", "Georg", "Hanna", "Ivo", "Jonas", "Kit", "Lena", "Mats", "Nora", "Otto", "Petra",
          "Quentin", "Rosa", "Sven", "Tilda", "Ulla", "Viktor", "Wanda", "Yusuf")  # fmt: skip
_LAST = ("Ashby", "Bergman", "Carver", "Dunn", "Eriksen", "Fairley", "Grange", "Holt", "Ibsen", "Jessop", "Keller", "Lowe", "Marsh", "Nolan",
         "Oakes", "Pryce", "Rudd", "Salter", "Thorne", "Vance", "Wynn")  # fmt: skip
_TOWNS = ("Wickmouth", "Tessing", "Stonegate", "Eastry", "Lowick", "Twofords", "Corran", "Dunmere", "Brinkley", "Tarrow", "Sandal", "Hollin",
          "Marre", "Overton", "Penby", "Harrow Cross")  # fmt: skip
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

_REMARKS = tuple(
    items(
        """
- [Thank you|Many thanks] for this, I [read|enjoyed] it on the [train|sofa] and [sent|passed] it to my [sister|father], who
  [disagrees|agrees] with [all|half] of it.
- My grandfather [did|saw] this [quite|rather] differently, but [he was|he came] from {town}, and there [everything|it all] is
  done the other way round.
- [Lovely|Beautiful] pictures. [May I ask|Could you say] how long it took, and whether [rain|a beginner] would [spoil|ruin] it?
- I [tried|did] it [twice|last {month}] and it [failed|worked] both times, which must [mean|say] something about me.
- [A small|One] correction: it was {year} and not the year before, I was there and still have the [ticket|scar].
- [Please|Could you] write more about {town}, we have [so much|plenty] of this here and nobody [notices|tells it].
- [First time|First visit] here and [already|now] I have lost [an hour|a whole evening]. [Keep going|More please]!
- [Somebody|A neighbour] told me the opposite [last|only this] week. [Who is right|Whom should I believe]?
- [This|It] reminded me of [school|a summer] in {town}, when we were [sent|made] to [copy|learn] such things by heart.
"""
    )
)

#: stands word for word in the body of every page of one host, for the paragraph rule to find
STANDING: Mapping[str, str] = {
    "riverlog.example": "Levels are given in metres above the datum of the old town bridge, and all of the readings on this page "
    "were taken by volunteers who are not paid for it and who would be glad of your company."
}

#: a house mark that stands in the text of this many articles of its host, for the rule on images seen too often
BADGE, BADGE_USES = Picture("http://supper.example/images/house-plate.png", "still", "red", 1, "bowls"), 14


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, a list (items parted by newlines), a quotation or a figure, in reading order."""

    kind: Literal["p", "h2", "list", "quote", "figure"]
    text: str = ""
    picture: Picture | None = None
    style: Style = "both"  # where the caption stands: beside the picture, in its alt attribute, or in both


@dataclass(frozen=True, eq=False)  # one object a page: hashed by identity
class Article:
    url: str
    topic: Topic
    title: str
    author: str
    date: str
    blocks: tuple[Block, ...]
    remarks: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The paragraphs alone, parted by blank lines."""
        return "\n\n".join(b.text for b in self.blocks if b.kind in ("p", "quote"))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(b.picture for b in self.blocks if b.picture is not None)


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def page_facts(rng: random.Random) -> dict[str, str]:
    """The people, places and dates of one page; they stay the same all over it."""
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    return {
        "person": first,
        "surname": last,
        "author": f"{rng.choice(_FIRST)} {rng.choice(_LAST)}",
        "town": rng.choice(_TOWNS),
        "month": rng.choice(_MONTHS),
        "year": str(rng.randint(1931, 2021)),
        "number": rng.choice(
            ("twelve", "seventeen", "nineteen", "twenty three", "thirty one", "thirty eight", "forty two")
        ),
    }


class Writer:
    """Tells the forms of one page, none of them twice."""

    def __init__(self, facts: Mapping[str, str], rng: random.Random) -> None:
        self.facts, self.rng = facts, rng

    def pick(self, section: Section, count: int) -> list[str]:
        forms = self.rng.sample(section.forms, min(count, len(section.forms)))
        # every sentence has a year of its own: a page on which all happened at once reads like a form
        return [tell(form, {**self.facts, "year": str(self.rng.randint(1948, 2021))}, self.rng) for form in forms]

    def body(self, topic: Topic, parts: int, sentences: tuple[int, int] = (5, 8)) -> list[list[Block]]:
        """Opening, ``parts`` headed sections and a closing, each a list of blocks."""
        rng = self.rng
        groups = [[Block("p", " ".join([*self.pick(topic.opening, 2), self.facts["note"]]))]]
        for section in rng.sample(topic.sections, min(parts, len(topic.sections))):
            told = self.pick(section, rng.randint(*sentences))
            blocks = [Block("h2", tell(rng.choice(section.headings), self.facts, rng))]
            cut = len(told) // 2 + rng.randint(0, 1)
            blocks += [Block("p", " ".join(told[:cut])), Block("p", " ".join(told[cut:]))]
            groups.append(blocks)
        groups.append([Block("p", " ".join(self.pick(topic.closing, rng.randint(1, 2))))])
        return groups


def picture_base(topic: Topic, rng: random.Random) -> str:
    """Where a host keeps its pictures: at home, or on the shared picture host."""
    if rng.random() < 0.2:
        return f"http://{PICTURE_HOST}/{topic.name}/"
    folder = {
        "allotment.example": "wp-content/uploads/2021/05",
        "supper.example": "wp-content/uploads/2019/11",
        "riverlog.example": "pix",
    }
    return f"http://{topic.host}/{folder.get(topic.host, 'images')}/"


def illustrate(topic: Topic, book: Sketchbook, rng: random.Random, count: int) -> list[Block]:
    made = []
    for kind in rng.sample(topic.kinds, count):
        subjects = topic.shows.get(kind, ("the whole county",))
        styles: tuple[Style, ...] = ("caption", "alt", "both")
        style = rng.choices(styles, (45, 35, 20))[0]
        made.append(Block("figure", picture=book.new(picture_base(topic, rng), kind, subjects), style=style))
    return made


def weave(groups: list[list[Block]], figures: list[Block], rng: random.Random) -> tuple[Block, ...]:
    """Figures stand after a paragraph, each in a group of its own."""
    places = sorted(rng.sample(range(len(groups) - 1), min(len(figures), len(groups) - 1)))
    woven: list[Block] = []
    rest = list(figures)
    for i, group in enumerate(groups):
        if i in places and rest:
            at = rng.randint(1, len(group)) if group[0].kind == "p" else rng.randint(2, len(group))
            group = [*group[:at], rest.pop(0), *group[at:]]
        woven += group
    return tuple(woven)


def compose(
    topic: Topic, subject: Mapping[str, str], url: str, seed: str, book: Sketchbook, pictures: int, parts: int = 0
) -> Article:
    """An article on ``subject`` at ``url``; everything in it follows from ``seed`` and the pictures handed out before."""
    rng = random.Random("article " + seed)
    facts = {**page_facts(rng), **subject}
    writer = Writer(facts, rng)
    groups = writer.body(topic, parts or rng.randint(3, len(topic.sections)))
    if topic.host in STANDING:
        groups[-1].append(Block("p", STANDING[topic.host]))
    title = tell(rng.choice(topic.titles), facts, rng)
    remarks = tuple((rng.choice(_FIRST), tell(form, facts, rng)) for form in rng.sample(_REMARKS, rng.randint(0, 4)))
    date = f"{rng.randint(2012, 2023)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    blocks = weave(groups, illustrate(topic, book, rng, pictures), rng)
    return Article(url, topic, title, facts["author"], date, blocks, remarks, facts)


def address(topic: Topic, subject: Mapping[str, str], number: int) -> str:
    """Each host has its own way of naming pages."""
    name = slug(subject["name"])
    match topic.host:
        case "skywatch.example" | "workbench.example":
            return f"http://{topic.host}/articles/{name}"
        case "allotment.example" | "supper.example":
            return f"http://{topic.host}/{2014 + number % 9}/{1 + number % 12:02d}/{name}/"
        case "riverlog.example":
            return f"http://{topic.host}/rivers/{name}.html"
        case "tramlines.example":
            return f"http://{topic.host}/index.php?page={name}&id={100 + number}"
        case _:
            return f"http://{topic.host}/stories/{number:03d}/{name}.html"


@functools.lru_cache(maxsize=1)
def library() -> tuple[tuple[Article, ...], Sketchbook]:
    """Every honest article, and the pictures handed out for them."""
    book = Sketchbook("library")
    articles = []
    for topic in TOPICS:
        for number, subject in enumerate(topic.subjects):
            url = address(topic, subject, number)
            count = random.Random("pictures " + url).choices((1, 2, 3, 4), (15, 35, 30, 20))[0]
            article = compose(topic, subject, url, url, book, count)
            if BADGE.url.startswith(f"http://{topic.host}/") and number < BADGE_USES:
                article = replace(article, blocks=(*article.blocks, Block("figure", picture=BADGE, style="alt")))
            articles.append(article)
    book.pictures[BADGE.url] = BADGE
    return tuple(articles), book


def standing_urls() -> tuple[str, ...]:
    """The pages that hold their host's standing paragraph."""
    return tuple(a.url for a in library()[0] if a.topic.host in STANDING)
