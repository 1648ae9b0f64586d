"""The content of the sample web: it has enough of each kind, its bytes are fixed, and its prose passes the rules."""

import csv
import hashlib
import io
import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines.formats.conversations import INPUTS, Conversations, pieces_of
from pipelines.sample import HOSTS, SEEDS, write_conversations, write_pairs, write_texts
from pipelines.sample.articles import BADGE, BADGE_USES, library
from pipelines.sample.drawing.canvas import COLOURS
from pipelines.sample.pairs import BAD_ROWS, DUPLICATES, EMPTY_TEXTS, STOCK, STOCK_USES, shelf
from pipelines.sample.papers import papers, render_paper
from pipelines.sample.pictures import COUNTS, KINDS, Picture, Sketchbook, render
from pipelines.sample.prose import read_prose, sentence
from pipelines.sample.questions import EMBEDDED, questions
from pipelines.sample.texts import NEAR_COPIES, TEXTS, TOO_SHORT
from pipelines.sample.topics import TOPICS
from pipelines.sample.web import address_book, answer
from tests.pipelines.html.test_stages import run

#: More than a hundred of the most common English words. Lists of stop words have more, so a share of these words is a
#: lower bound.
_COMMON = (
    "a about above after again all almost along always an and another any are as at away be because been before "
    "behind below beside better between both but by can could did do does done down each else enough even ever every "
    "everything few first for from get go had half has have he her here him his how if in into is it its just last "
    "least less like made make many may me might more most much must my never no nobody none nor not nothing now of "
    "off often on once one only or other our out over own quite rather same say see she should since so some "
    "something soon still such take than that the their them then there these they thing this those three through to "
    "too two under until up us very was we well were what when where which while who whole why will with without "
    "would you your "
)
STOP_WORDS = frozenset(_COMMON.split())

ARTICLES = library()[0]


def test_each_kind_of_content_has_enough_items() -> None:
    book = address_book()
    kinds = Counter(
        "image" if u.endswith((".jpg", ".png", ".webp")) else "pdf" if u.endswith(".pdf") else "other" for u in book
    )
    assert len(ARTICLES) >= 150
    assert len({a.topic.host for a in ARTICLES}) >= 6
    assert kinds["image"] >= 600
    assert kinds["pdf"] >= 20
    assert all(1 <= len(a.pictures) <= 5 for a in ARTICLES)
    assert all(url.startswith("http://") and url.split("/")[2].endswith(".example") for url in book)
    assert {url.split("/")[2] for url in SEEDS} <= set(HOSTS)


def test_the_recipe_crawls_every_host_once() -> None:
    path = Path(__file__).parents[3] / "pipelines" / "recipes" / "sample.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sorted(url for source in recipe["sources"].values() for url in source.get("seeds", [])) == sorted(SEEDS)


def test_every_picture_an_article_shows_is_served() -> None:
    book = address_book()
    assert all(p.url in book for a in ARTICLES for p in a.pictures)
    assert sum(BADGE in a.pictures for a in ARTICLES) == BADGE_USES > 10


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        # articles in each layout, odd pages, and what every host has
        ("http://skywatch.example/articles/the-pleiades", "4a632de1f0e78e05"),
        ("http://workbench.example/articles/the-mercury-barometer", "f6ff7f5a99493a4b"),
        ("http://allotment.example/2014/01/broad-beans/", "46f2d06b46e0ad6a"),
        ("http://riverlog.example/rivers/the-arle.html", "1e8a15ac77d30990"),
        ("http://tally.example/stories/000/library-loans.html", "0738b572054ddc41"),
        ("http://corner.example/odd/old-letters.html", "e5547076e6203d34"),
        ("http://corner.example/odd/chorus.html", "1c341f5c0fe76a54"),
        ("http://corner.example/odd/nearly-1.html", "bd281feac336537e"),
        ("http://mirror.example/copy/1.html", "9c9047daf6d83aaf"),
        ("http://supper.example/", "39154b06233820fe"),
        ("http://skywatch.example/sitemap.xml", "5871afc8a9f87dd9"),
        ("http://supper.example/style.css", "8639a94ff40ad9b2"),
    ],
)
def test_pages_never_change(url: str, digest: str) -> None:
    assert hashlib.sha256(answer(url).body).hexdigest()[:16] == digest


def test_two_processes_give_the_same_bytes() -> None:
    """Addresses of every kind, rendered here and by a new process with another hash seed."""
    urls = [u for u in address_book() if not u.endswith((".pdf", "huge-1.jpg", "bomb-1.png"))][::13]
    urls += [next(p.url for p in papers() if p.manner == m) for m in ("plain", "scan", "locked", "rotated")]
    script = (
        "import sys,hashlib; from pipelines.sample.web import answer\n"
        "for u in sys.stdin.read().split('\\n'):\n"
        "    a = answer(u); print(hashlib.sha256(repr((a.status, a.mime, a.headers, a.body)).encode()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[3]
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(root)}
    digests = subprocess.run(
        [sys.executable, "-c", script], input="\n".join(urls), capture_output=True, text=True, check=True, env=env
    ).stdout
    answers = [answer(u) for u in urls]
    assert digests.split() == [
        hashlib.sha256(repr((a.status, a.mime, a.headers, a.body)).encode()).hexdigest() for a in answers
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _repeated(tokens: list[str] | str, n: int) -> float:
    grams = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    return sum(c for c in grams.values() if c > 1) / max(1, sum(grams.values()))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_prose_passes_the_rules_of_obelics(topic: object) -> None:
    """The document limits of OBELICS' table 3, with measures that are independent of `filters`."""
    for article in (a for a in ARTICLES if a.topic is topic):
        words = _words(article.text)
        assert 300 <= len(words) <= 1900, article.url
        assert sum(w in STOP_WORDS for w in words) / len(words) >= 0.37, article.url
        tokens = re.findall(r"[\w']+|[,;:?!.]", article.text)
        assert sum(t in ",;:?!." for t in tokens) / len(tokens) >= 0.05, article.url
        assert _repeated(words, 5) <= 0.15, article.url
        assert sum(not c.isalpha() for c in article.text) / len(article.text) <= 0.25, article.url
        assert "{" not in article.text
        assert "[" not in article.text


def test_nearly_every_paragraph_passes_the_rules_of_paragraphs() -> None:
    paragraphs = [p for a in ARTICLES for p in a.text.split("\n\n")]
    poor = [
        p
        for p in paragraphs
        if sum(w in STOP_WORDS for w in _words(p)) / len(_words(p)) < 0.3 or _repeated(_words(p), 5) > 0.1
    ]
    assert len(poor) / len(paragraphs) < 0.01, poor[:3]


def test_sentences_are_well_formed() -> None:
    for article in ARTICLES:
        for paragraph in article.text.split("\n\n"):
            assert paragraph[0].isupper() or paragraph[0].isdigit(), paragraph
            assert paragraph[-1] in ".?!", paragraph
            assert not re.search(r"\s[,;:.?!]|[,;:]{2}|  |\bthe the\b|\ba a\b", paragraph), paragraph


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = _words(text)
    return frozenset(tuple(words[i : i + 5]) for i in range(len(words) - 4))


def _similarity(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def test_no_two_regular_pages_are_near_duplicates() -> None:
    """Pages of one topic share sentence forms, but few runs of five words. Pages of two topics share hardly any."""
    for topic in TOPICS:
        sets = [_shingles(a.text) for a in ARTICLES if a.topic is topic]
        assert max(_similarity(x, y) for x, y in itertools.combinations(sets, 2)) < 0.3


def test_no_paragraph_stands_on_three_pages_unless_planted() -> None:
    pages = Counter((a.topic.host, p) for a in ARTICLES for p in set(a.text.split("\n\n")))
    assert [(host, n) for (host, _), n in pages.items() if n > 2] == [("riverlog.example", 24)]


def test_captions_follow_their_form_and_are_all_different() -> None:
    pictures = [*library()[1].pictures.values(), *shelf()]
    captions = [p.caption for p in pictures if p != BADGE]
    assert len(set(captions)) == len(captions)
    colours = "|".join(COLOURS)
    assert all(
        re.fullmatch(rf"A [a-z ]+ in ({colours}),? with (one|two|three|four|five|six|seven) .+", c) for c in captions
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_colour_of_a_caption_covers_a_part_of_its_picture(kind: str) -> None:
    subject = {
        "map": "river",
        "night": "full",
        "boats": "by day",
        "garden": "one tree",
        "street": "tram",
        "still": "jars",
    }.get(kind, "rain by month")
    for colour in COLOURS:
        picture = Picture(f"http://pictures.example/t/{kind}.png", kind, colour, COUNTS[kind][0] + 1, subject)
        pixels = np.asarray(Image.open(io.BytesIO(render(picture))).convert("RGB")).astype(int)
        near = np.abs(pixels - np.array(COLOURS[colour])).sum(axis=2) < 110
        assert near.mean() > 0.02, (kind, colour, near.mean())
        assert max(pixels.shape[:2]) <= 1000
        assert min(pixels.shape[:2]) >= 480


def test_a_sketchbook_never_repeats_itself() -> None:
    book = Sketchbook("test")
    pictures = [book.new("http://pictures.example/t/", "boats", ()) for _ in range(100)]
    assert len({p.caption for p in pictures}) == len({p.url for p in pictures}) == 100
    with pytest.raises(ValueError, match="no new caption"):
        _exhaust(book, "boats")


def _exhaust(book: Sketchbook, kind: str) -> None:
    for _ in range(1000):
        book.new("http://pictures.example/t/", kind, ())


def test_a_sentence_form_is_filled_with_choices_and_facts() -> None:
    form, facts = "[a [small|small]|a small] {thing}  and\nmore", {"thing": "boat"}
    assert sentence(form, facts, random.Random(1)) == "A small boat and more"
    with pytest.raises(KeyError):
        sentence("a {place}", facts, random.Random(1))


def test_a_prose_file_is_read_or_its_error_names_the_section(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("# a comment\nname: a\n  long value\n\n= One | Two\n- first\n  entry\n- second\n")
    fields, (section,) = read_prose(path)
    assert fields == {"name": "a long value"}
    assert (section.headings, section.forms) == (("One", "Two"), ("first entry", "second"))
    path.write_text("= One\nfirst\n")
    with pytest.raises(ValueError, match="every line below '= One'"):
        read_prose(path)


def test_a_picture_is_drawn_in_little_time() -> None:
    pictures = shelf()[:40]
    start = time.process_time()
    for picture in pictures:
        render.__wrapped__(picture)
    assert (time.process_time() - start) / len(pictures) < 0.04  # about 0.008 s on an idle core


def test_each_pdf_is_of_its_kind() -> None:
    pymupdf = pytest.importorskip("pymupdf")
    pymupdf.TOOLS.mupdf_display_errors(False)
    first = {p.manner: p for p in reversed(papers())}
    opened = {
        m: pymupdf.open(stream=render_paper(first[m]), filetype="pdf")
        for m in ("plain", "columns", "scan", "rotated", "locked")
    }
    assert len(opened["plain"][0].get_text().split()) > 200
    assert {round(b[0]) for b in opened["columns"][0].get_text("blocks") if len(b[4]) > 200} == {62, 308}
    assert opened["scan"][0].get_text() == ""
    assert opened["scan"][0].get_images()
    assert opened["rotated"][0].rotation in (90, 180, 270)
    assert opened["locked"].needs_pass
    assert opened["locked"].authenticate("open")
    assert first["locked"].article.title.split()[0] in opened["locked"][0].get_text()
    for paper in (p for p in papers() if p.manner == "cut"):
        with pytest.raises(pymupdf.FileDataError):
            pymupdf.open(stream=render_paper(paper), filetype="pdf")


def test_the_list_of_pairs_has_good_and_broken_rows(tmp_path: Path) -> None:
    with write_pairs(tmp_path / "pairs.csv").open(newline="", encoding="utf-8") as f:
        rows = [(r["url"], r["text"]) for r in csv.DictReader(f)]
    good = {p.url: p.caption for p in shelf()}
    assert len(rows) == len(good) + len(BAD_ROWS) + DUPLICATES >= 300
    assert sum(text == "" for _, text in rows) == EMPTY_TEXTS
    assert len(rows) - len(set(rows)) == DUPLICATES
    assert {u for u, _, _ in BAD_ROWS} == {u for u, _ in rows} - set(good)
    assert sum(text == STOCK for _, text in rows) == STOCK_USES
    assert all(text in ("", STOCK, good[url]) for url, text in rows if url in good)


def test_the_texts_have_near_duplicates(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "new")
    assert path == tmp_path / "new" / "texts.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(set(row) == {"text", "url"} for row in rows)
    assert len({row["url"] for row in rows}) == len(rows) == TEXTS + NEAR_COPIES + TOO_SHORT
    assert sum(len(_words(row["text"])) < 50 for row in rows) == TOO_SHORT
    sets = [_shingles(row["text"]) for row in rows[: TEXTS + NEAR_COPIES]]
    similar = [_similarity(a, b) for a, b in itertools.combinations(sets, 2) if _similarity(a, b) > 0.3]
    assert len(similar) == NEAR_COPIES and min(similar) > 0.8


def test_the_question_sets_have_both_layouts(tmp_path: Path) -> None:
    rows = [
        p
        for name, path in write_conversations(tmp_path).items()
        for p in pieces_of({"path": str(path), "file": path.name, "size": 1, "changed": ""}, name, None)
    ]
    out = run(Conversations(), rows, INPUTS)
    pictures = {p.url: p for p in shelf()}
    own = {
        f"sha256:{hashlib.sha256(render(p)).hexdigest()}": p
        for n, p in enumerate(pictures.values())
        if n % EMBEDDED == 0
    }
    assert (
        out["refused"] == []
        and len(out["documents"]) == len(pictures)
        and {o["status"] for o in out["outcomes"]} == {"ok"}
    )
    for document in out["documents"]:
        image, *turns = (n for n in document["nodes"] if n["kind"] != "break")
        picture = pictures.get(image["image"]) or own[image["image"]]
        assert [t["text"] for t in turns] == [text for pair in questions(picture) for text in pair]
