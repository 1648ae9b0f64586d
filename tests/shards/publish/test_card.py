"""The dataset card: it has the facts of the run's files and no others, and its code runs."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from manifests.runfiles import RunFiles
from shards import forget, manifest, mixture
from shards.publish import readers
from tests.shards import made
from tests.shards.publish.run import with_readers

RULES = {
    "document": [{"score": "words", "min": 10, "max": 2000, "any_of": None, "source": "OBELICS"}],
    "image": [{"score": "format", "min": None, "max": None, "any_of": ["jpeg", "png"], "source": "ours"}],
    "node": [{"score": "stop_words", "min": 0.3, "max": None, "any_of": None, "source": "a | b"}],
}


def source(kind: str, layout: str, samples: int, **more: Any) -> dict[str, Any]:
    sketches = {
        "tokens": {"40": samples - 1, "48": 1},
        "images": {str(-(1 << 20)): 1, "0": samples - 1},
        "short side": {},
    }
    return {
        "kind": kind,
        "layout": layout,
        "title": f"Title of {kind}",
        "samples": samples,
        "funnel": [["read", 123_456], ["documents", 2345], ["packed", samples]],
        "sketches": sketches,
        "rules": RULES,
        "dropped": {},
        **more,
    }


def answers(repeat: float, tokens: int) -> dict[str, Any]:
    return {"repeat": repeat, "documents": 1, "samples": 2, "answer_tokens": tokens}


#: the layout of each source
LAYOUTS = {"web": "interleaved", "web-de": "interleaved", "pairs": "pairs", "docvqa": "conversations"}
PRESET = json.loads(mixture.load("stage1").to_json())["sources"]
STATS = {
    "sources": {
        "web": source(
            "web",
            "interleaved",
            9,
            dropped={"words_low": 7, "near_duplicate": 3, **{f"r{i}": 1 for i in range(9)}},
            texts_dropped={"spam": 4},
        ),
        "web-de": source("web", "interleaved", 2, dropped={"language": 5}),
        "pairs": source("pairs", "pairs", 9),
        "docvqa": source("conversations", "conversations", 2, answers=answers(3.0, 300)),
        "vqa": source("conversations", "conversations", 0, answers=answers(0.5, 100)),
    },
    "fetch": {"status": {"ok": 5, "robots": 17, "optout": 3}},
    "mixtures": {"stage1": {"sources": {"web": PRESET["interleaved"], "pairs": PRESET["pairs"]}}},
    "quarantined": {"pdf.pages": 2},
}
NEAR = {"on": True, "bands": 28, "rows": 4, "shingle": 5, "threshold": 0.7}
TEXT = {"language_model": None, "redact": []}
RECIPE = {
    "sources": {
        "web": {"near": NEAR, "paragraph_uses": 2, "refuse_optout": True, "text": {**TEXT, "redact": ["email"]}},
        "web-de": {"near": {**NEAR, "on": False}, "paragraph_uses": 0, "refuse_optout": False, "text": TEXT},
        "pairs": {"text": TEXT},
    },
    "fetch": {"robots": True},
    "shards": {"longest_side": 980},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"web": [5, 4], "web-de": [2], "pairs": [6, 3], "docvqa": [2]}
    return made.run(tmp_path_factory.mktemp("run"), counts, layouts=LAYOUTS)


def card(run: Path, name: str = "me/demo", stats: Any = STATS, **more: Any) -> str:
    raw = {**json.loads((run / "manifest.json").read_text()), **more}
    (run / "stats.json").write_text(json.dumps(stats))
    return readers.files(RunFiles(run), manifest.parse(raw, "here"), name)["README.md"].decode()


@pytest.mark.parametrize(
    "line",
    [
        "| read | 123,456 | 123,456 | 123,456 | 123,456 | 123,456 |",
        "* web: 7 `words_low`, 3 `near_duplicate`, 1 `r0`, 1 `r1`, 1 `r2`, 1 `r3`, 1 `r4`, 1 `r5`, "
        "3 for 3 other reasons.",
        "  Paragraphs: 4 `spam`.",
        "* pairs: nothing.",
        "| web | document | `words` | at least 10, at most 2,000 | OBELICS |",
        "| pairs | image | `format` | jpeg, png | ours |",
        "| pairs | paragraph | `stop_words` | at least 0.3 | a \\| b |",
        "28 bands of 4 over word 5-grams",
        "* web: 3 `near_duplicate` removed.",
        "* web-de: 5 `language`.",
        "* web-de: nothing removed.",
        "* web: pages that reserve themselves against machine learning (robots `noai`, TDM reservation) were left out.",
        "* web-de: pages that reserve themselves against machine learning (robots `noai`, TDM reservation) were kept,",
        "| docvqa | 3 | 1 | 2 | 300 | 75.0% |\n| vqa | 0.5 | 1 | 2 | 100 | 25.0% |",
        "complete registered domains, and complete images where the samples are conversations.",
        "more than 2 pages of one host",
        "robots.txt was asked for each image: 17 were closed; 3 more were reserved",
        "| 70%, 2,048 tokens, 384 px square |",
        "* Replaced in texts: web: email.",
        "* 2 inputs crashed or blocked a library and were left out.",
        "Token counts are counts of UTF-8 bytes",
        "![Text tokens, images, and sides of images, by source](plots.svg)",
    ],
)
def test_facts_of_the_run_are_in_the_card(run: Path, line: str) -> None:
    assert line in card(run, recipe=RECIPE)


def test_sections_without_facts_are_left_out(run: Path) -> None:
    text = card(run, stats={})
    assert re.findall("^## (.*)", text, re.M) == ["Known limits", "Layout", "Reading it"]
    assert "plots.svg" not in text
    assert "crashed" not in text


def test_the_card_names_evaluations_and_without_any_it_states_the_limit(run: Path) -> None:
    limit = "The data was not compared with evaluation sets"
    assert limit in card(run, recipe=RECIPE)
    evaluation = {"files": ["/home/me/docvqa.jsonl"], "words": 13, "whole": 8, "bits": 3}
    stats = json.loads(json.dumps(STATS))
    stats["sources"]["web"]["dropped"]["contaminated_text"] = 4
    stats["sources"]["pairs"]["images_dropped"] = {"contaminated_image": 1}
    stats["sources"]["web-de"]["dropped"]["contaminated_text"] = 2
    text = card(run, stats=stats, recipe={**RECIPE, "decontaminate": evaluation})
    assert "Evaluation sets whose items were removed: `docvqa.jsonl`. Documents that share 13 words in a row" in text
    assert "at most 3 of 64 bits from an item's. Removed: 6 `contaminated_text`, 1 `contaminated_image`." in text
    assert limit not in text


def test_the_card_of_a_release_after_a_takedown_names_the_takedown(run: Path) -> None:
    line, entries = "leaves out a list of such items", [forget.entry("a.example")]
    assert line not in card(run, recipe=RECIPE)
    assert line in card(run, recipe=RECIPE, forgotten=forget.digest(entries))


def test_the_front_matter_names_the_languages(run: Path) -> None:
    assert "language:\n- en\n" in card(run)
    assert "web: en 9; web-de: en 2; pairs: en 9; docvqa: en 2." in card(run)


def test_the_picture_is_an_svg_with_a_row_for_each_source_and_the_same_each_time() -> None:
    svg = readers.plots(STATS)
    assert svg == readers.plots(STATS)
    titles = [text.text for text in ET.fromstring(svg).iter() if text.get("class") == "title"]
    assert titles[:3] == [
        "web: text tokens of a sample",
        "web: images of a sample",
        "web: short side of an image, px",
    ]
    assert len(titles) == 12 and not any(title and title.startswith("vqa") for title in titles)  # vqa has no sample


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_code_of_the_card_reads_the_folder(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_readers(run, "demo")
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
def test_the_code_for_energon_reads_the_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_readers(run, "demo")
    monkeypatch.chdir(run)
    first, *_, energon, _ = blocks(card(run, "demo"))
    here: dict[str, Any] = {}
    exec(first + energon, here)
    assert len(next(iter(here["loader"])).sequence) > 0


def test_a_published_card_reads_from_the_hub() -> None:
    empty = manifest.Manifest({}, {"name": "bytes", "sha256": "0" * 64}, {})
    text = readers.card(RunFiles("memory://nothing"), empty, "me/demo", "other", (), {})
    assert 'load_dataset("me/demo", "interleaved"' in text
    assert 'Loader("hf://datasets/me/demo", "stage1")' in text


def test_a_run_of_version_1_is_described_by_its_configurations(run: Path) -> None:
    raw = json.loads((run / "manifest.json").read_text())
    configs = {"interleaved": raw["sources"]["web"]["splits"], "pairs": raw["sources"]["pairs"]["splits"]}
    settings = RECIPE["sources"]
    recipe = {**RECIPE, "web": settings["web"], "pairs": settings["pairs"], "pdf": None, "sources": None}
    old = {"version": 1, "configs": configs, "tokenizer": raw["tokenizer"], "recipe": recipe}
    sources = {
        key: {**STATS["sources"][key], "config": config}
        for key, config in {"web": "interleaved", "pairs": "pairs"}.items()
    }
    (run / "stats.json").write_text(json.dumps({**STATS, "sources": sources}))
    text = readers.files(RunFiles(run), manifest.parse(old, "here"), "me/demo")["README.md"].decode()
    assert "* interleaved: 3 `near_duplicate` removed." in text
    assert "* Replaced in texts: interleaved: email." in text
    assert "| documents, pairs or pages | interleaved | pairs |" in text
