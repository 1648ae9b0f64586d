"""Documents of text alone, in the sample's prose: some of them are near-copies, and some are too short."""

import json
from pathlib import Path

from pipelines.sample.articles import compose
from pipelines.sample.oddities import near_copy
from pipelines.sample.pictures import Sketchbook
from pipelines.sample.topics import TOPICS

TEXTS, NEAR_COPIES, TOO_SHORT = 54, 4, 3

_HOST = "letters.example"  # nothing is fetched from it


def texts() -> list[dict[str, str]]:
    """Rows with `text` (paragraphs separated by blank lines) and `url`, in the order of the file."""
    articles = []
    for number in range(TEXTS):
        topic = TOPICS[number % len(TOPICS)]
        subject = topic.subjects[(number * 5 + 2) % len(topic.subjects)]
        url = f"http://{_HOST}/{number:03d}.txt"
        articles.append(compose(topic, subject, url, "text " + url, Sketchbook("texts"), 0))
    for number in range(NEAR_COPIES):
        url = f"http://{_HOST}/copies/{number:03d}.txt"
        articles.append(near_copy(articles[number * 13 + 1], url, url))
    rows = [{"text": a.text, "url": a.url} for a in articles]
    firsts = [row["text"].split(". ")[0] + "." for row in rows[:TOO_SHORT]]  # the first sentence of a document
    return [*rows, *({"text": text, "url": f"http://{_HOST}/short/{n}.txt"} for n, text in enumerate(firsts))]


def write_texts(folder: str | Path) -> Path:
    """Write ``texts.jsonl`` with the columns `text` and `url`; returns its path."""
    path = Path(folder) / "texts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in texts()), encoding="utf-8")
    return path
