"""The dataset card's text: it says what the run's files hold, leaves out what they do not, and its code runs."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from shards import forget, manifest, mixture
from shards.publish import readers
from shards.store import Store
from tests.shards import made

RULES = {
    "document": [{"score": "words", "min": 10, "max": 2000, "any_of": None, "source": "OBELICS"}],
    "image": [{"score": "format", "min": None, "max": None, "any_of": ["jpeg", "png"], "source": "ours"}],
    "node": [{"score": "stop_words", "min": 0.3, "max": None, "any_of": None, "source": "a | b"}],
}


def source(config: str, samples: int, **more: Any) -> dict[str, Any]:
    sketches = {
        "tokens": {"40": samples - 1, "48": 1},
        "images": {str(-(1 << 20)): 1, "0": samples - 1},
        "short side": {},
    }
    funnel = [["read", 123_456], ["documents", 2345], ["packed", samples]]
    return {
        "config": config,
        "samples": samples,
        "funnel": funnel,
        "sketches": sketches,
        "rules": RULES,
        "dropped": {},
        **more,
    }


STATS = {
    "sources": {
        "web": source(
            "interleaved",
            9,
            dropped={"words_low": 7, "near_duplicate": 3, **{f"r{i}": 1 for i in range(9)}},
            texts_dropped={"spam": 4},
        ),
        "pairs": source("pairs", 9),
    },
    "fetch": {"status": {"ok": 5, "robots": 17, "optout": 3}},
    "mixtures": {"stage1": json.loads(mixture.load("stage1").to_json())},
    "quarantined": {"pdf.pages": 2},
}
NEAR = {"on": True, "bands": 28, "rows": 4, "shingle": 5, "threshold": 0.7}
TEXT = {"language_model": None, "redact": []}
RECIPE = {
    "web": {"near": NEAR, "paragraph_uses": 2, "refuse_optout": True, "text": {**TEXT, "redact": ["email"]}},
    "pairs": {"text": TEXT},
    "pdf": None,
    "fetch": {"robots": True},
    "shards": {"longest_side": 980},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("run"), {"interleaved": [5, 4], "pairs": [6, 3]})


def card(run: Path, name: str = "me/demo", stats: Any = STATS, **more: Any) -> str:
    raw = {**json.loads((run / "manifest.json").read_text()), **more}
    (run / "stats.json").write_text(json.dumps(stats))
    return readers.files(Store(run), manifest.parse(raw, "here"), name)["README.md"].decode()


@pytest.mark.parametrize(
    "said",
    [
        "| read | 123,456 | 123,456 |",
        "* interleaved: 7 `words_low`, 3 `near_duplicate`, 1 `r0`, 1 `r1`, 1 `r2`, 1 `r3`, 1 `r4`, 1 `r5`, "
        "3 for 3 other reasons.",
        "  Paragraphs: 4 `spam`.",
        "* pairs: nothing.",
        "| interleaved | document | `words` | at least 10, at most 2,000 | OBELICS |",
        "| pairs | image | `format` | jpeg, png | ours |",
        "| pairs | paragraph | `stop_words` | at least 0.3 | a \\| b |",
        "28 bands of 4 over word 5-grams",
        "* interleaved: 3 `near_duplicate` removed.",
        "more than 2 pages of one host",
        "robots.txt was asked for each image: 17 were closed; 3 more were reserved",
        "| 70%, 2,048 tokens, 384 px square |",
        "* Replaced in texts: interleaved: email.",
        "* 2 inputs crashed or blocked a library and were left out.",
        "Token counts are counts of UTF-8 bytes",
        "![Text tokens, images, and sides of images, by source](plots.svg)",
    ],
)
def test_it_says_what_the_run_knows(run: Path, said: str) -> None:
    assert said in card(run, recipe=RECIPE)


def test_it_is_silent_on_what_the_run_does_not_know(run: Path) -> None:
    told = card(run, stats={})
    assert re.findall("^## (.*)", told, re.M) == ["Known limits", "Layout", "Reading it"]
    assert "plots.svg" not in told
    assert "crashed" not in told


def test_evaluations_that_were_kept_out_are_named_and_else_a_limit(run: Path) -> None:
    limit = "The data was not compared with evaluation sets"
    assert limit in card(run, recipe=RECIPE)
    asked = {"files": ["/home/me/docvqa.jsonl"], "words": 13, "whole": 8, "bits": 3}
    stats = json.loads(json.dumps(STATS))
    stats["sources"]["web"]["dropped"]["contaminated_text"] = 6
    told = card(run, stats=stats, recipe={**RECIPE, "decontaminate": asked})
    assert "Evaluation sets whose items were removed: `docvqa.jsonl`. Documents that share 13 words in a row" in told
    assert "at most 3 of 64 bits from an item's. Removed: 6 `contaminated_text`." in told
    assert limit not in told


def test_a_takedown_is_said_and_one_that_never_was_is_not(run: Path) -> None:
    line, entries = "leaves out a list of such items", [forget.entry("a.example")]
    assert line not in card(run, recipe=RECIPE)
    assert line in card(run, recipe=RECIPE, forgotten=forget.digest(entries))


def test_the_head_names_the_languages(run: Path) -> None:
    assert "language:\n- en\n" in card(run)
    assert "interleaved: en 9; pairs: en 9." in card(run)


def test_the_picture_is_an_svg_with_a_row_for_each_source_and_the_same_each_time() -> None:
    svg = readers.plots(STATS)
    assert svg == readers.plots(STATS)
    titles = [text.text for text in ET.fromstring(svg).iter() if text.get("class") == "title"]
    assert titles[:3] == [
        "interleaved: text tokens of a sample",
        "interleaved: images of a sample",
        "interleaved: short side of an image, px",
    ]
    assert len(titles) == 6


def blocks(told: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", told, re.S)


def test_its_code_reads_the_folder(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path, content in readers.files(Store(run), manifest.read(Store(run)), "demo").items():
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).write_bytes(content)
    monkeypatch.chdir(run)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    here: dict[str, Any] = {}
    for block in blocks(card(run, "demo")):
        if "energon" not in block:
            exec(block, here)
    assert here["folder"] == str(run)
    assert len(list(here["rows"])) == len(list(here["samples"])) == 9
    assert next(iter(here["batches"])).sequences


@pytest.mark.slow
def test_its_code_for_energon_reads_the_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, content in readers.files(Store(run), manifest.read(Store(run)), "demo").items():
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).write_bytes(content)
    monkeypatch.chdir(run)
    first, *_, energon, _ = blocks(card(run, "demo"))
    here: dict[str, Any] = {}
    exec(first + energon, here)
    assert len(next(iter(here["loader"])).sequence) > 0


def test_a_published_card_reads_from_the_hub() -> None:
    told = readers.card(
        Store("memory://nothing"), manifest.Manifest({}, {"name": "bytes", "sha256": "0" * 64}, {}), "me/demo"
    )
    assert 'load_dataset("me/demo", "interleaved"' in told
    assert 'Loader("hf://datasets/me/demo", "stage1")' in told
