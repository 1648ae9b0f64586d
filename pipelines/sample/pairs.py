"""A list of image addresses and captions, as image-text data sets are published; some rows are bad."""

import csv
import functools
from pathlib import Path

from pipelines.sample.articles import PICTURE_HOST, library
from pipelines.sample.pictures import COUNTS, FEATURES, KINDS, Picture, Sketchbook
from pipelines.sample.topics import TOPICS

PAIRS = 320

#: rows that must be dropped, and why: (address, text, reason)
BAD_ROWS = (
    ("not an address", "A bar chart in red with three bars, showing nothing", "bad_url"),
    ("ftp://pictures.example/list/old.jpg", "A map in blue from an old file server", "bad_url"),
    ("http:///list/nohost.jpg", "A night scene in blue that has no host", "bad_url"),
    (f"http://{PICTURE_HOST}/list/nowhere-1.jpg", "A pie chart in green that was never drawn", "http_404"),
    (f"http://{PICTURE_HOST}/list/nowhere-2.jpg", "A street scene in pink that was never drawn", "http_404"),
    ("http://10.0.0.8/camera.jpg", "A picture that lives behind somebody's router", "private_address"),
)
EMPTY_TEXTS = 3  # good addresses with no caption: words_low
# a caption that does not describe its picture: text_repeated
STOCK, STOCK_USES = "A picture from the archive of the house", 12
DUPLICATES = 4  # rows that stand twice: duplicate


@functools.lru_cache(maxsize=1)
def shelf_book() -> Sketchbook:
    """The pictures of the list, spread evenly over the kinds; most stand on no page."""
    book = Sketchbook("shelf", after=library()[1])
    subjects = {k: tuple(s for t in TOPICS for s in t.shows.get(k, ())) for k in COUNTS}
    for i in range(PAIRS):
        kind = KINDS[i % len(KINDS)]
        book.new(f"http://{PICTURE_HOST}/list/", kind, FEATURES.get(kind) or subjects[kind])
    return book


def shelf() -> tuple[Picture, ...]:
    return tuple(shelf_book().pictures.values())


def rows() -> list[tuple[str, str]]:
    """(url, text), in the order of the file."""
    texts = {20 + 40 * i: "" for i in range(EMPTY_TEXTS)} | {9 + 15 * i: STOCK for i in range(STOCK_USES)}
    rows = [(p.url, texts.get(n, p.caption)) for n, p in enumerate(shelf())]
    for i, (url, text, _) in enumerate(BAD_ROWS):
        rows.insert(15 + 37 * i, (url, text))
    return [*rows, *rows[210 : 210 + DUPLICATES]]


def write_pairs(path: str | Path) -> Path:
    """Write a CSV file with the columns url and text; returns its path."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows([("url", "text"), *rows()])
    return Path(path)
