"""Block-lists, models and redaction in a recipe, from the YAML to the shards. The pages have no images to fetch."""

import io
from pathlib import Path
from typing import Any

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.quality import train
from manifests.inspect import samples
from manifests.runfiles import RunFiles
from pipelines.commands.run import execute
from pipelines.recipe.load import read
from pipelines.recipe.resolve import resolve
from pipelines.recipe.schema import RecipeError
from tests.pipelines.test_adapters_in_recipes import ledger, recipe

MILL = "The mill stands by the river and its wheel turns slowly in the rain of the autumn."
PAGES = {
    "http://kept.example/1.html": [
        MILL,
        "Write to the miller at miller@mill.example or call +44 20 7946 0958 before you come.",
    ],
    "http://www.bad.example/2.html": [
        MILL,
        "It is a page of a host that the list names, and so it goes before all else.",
    ],
    "http://spam.example/3.html": [
        "Buy cheap shoes now, click here for the best price and free shipping today!",
        "Order cheap pills now, click here.",
    ],
}


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with open(tmp_path / "pages.warc.gz", "wb") as f:
        writer = WARCWriter(f, gzip=True)
        for url, paragraphs in PAGES.items():
            body = "".join(f"<p>{p}</p>" for p in paragraphs)
            article = f"<article><h1>A page of it</h1>{body}</article>"
            html = f"<html lang=en><head><title>A page</title></head><body>{article}</body></html>"
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(html.encode()), http_headers=headers)
            )
    (tmp_path / "block.txt").write_text("bad.example\n")
    return {"warc": str(tmp_path / "pages.warc.gz"), "blocklist": str(tmp_path / "block.txt")}


def test_from_the_recipe_to_the_shards(web: dict[str, Any], tmp_path: Path) -> None:
    good = [
        f"The {what} of the town stands by the river and its wheel turns slowly."
        for what in ("mill", "house", "bridge")
        for _ in range(9)
    ]
    bad = [
        f"Buy cheap {what} now, click here for the best price and free shipping!"
        for what in ("bags", "hats", "pens")
        for _ in range(9)
    ]
    model = str(tmp_path / "quality.bin")
    train([f"{t} {i}" for i, t in enumerate(good * 4)], [f"{t} {i}" for i, t in enumerate(bad * 4)], model)
    web |= {"text": {"quality_model": model, "redact": ["email", "phone"]}, "document": {"quality": {"min": 0.5}}}
    execute(read(str(recipe(tmp_path, web))), str(tmp_path / "run"), on="local", workers=1)
    reasons = {row["url"].split("//")[1].split("/")[0]: row["reason"] for row in ledger(tmp_path / "run")}
    assert reasons == {"kept.example": None, "www.bad.example": "blocked_host", "spam.example": "quality_low"}
    (document,) = samples(RunFiles(tmp_path / "run"), "web", 9)
    text = "\n".join(t for t in document["texts"] if t)
    assert "Write to the miller at [email] or call [phone] before you come." in text
    assert "miller@" not in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"blocklist": "/nowhere/hosts.txt"},
            "web.blocklist: block-list `/nowhere/hosts.txt` cannot be read: No such file or directory",
        ),
        ({"text": {"quality_model": "/nowhere/q.bin"}}, "web.text.quality_model: no file /nowhere/q.bin"),
        (
            {"text": {"flagged_words": {"de": "/nowhere/de.txt"}}},
            "web.text.flagged_words.de: word list `/nowhere/de.txt` cannot be read",
        ),
        (
            {"text": {"common_words": {"en": "/nowhere/en.txt"}}},
            "web.text.common_words.en: word list `/nowhere/en.txt` cannot be read",
        ),
        (
            {"text": {"common_words": {"en": "words.lst"}}},
            "web.text.common_words.en: word list `words.lst` cannot be read: No such file",
        ),
        ({"text": {"language_model": __file__}}, f"web.text.language_model: {__file__} is not a fastText model"),
        ({"text": {"quality_model": __file__}}, f"web.text.quality_model: {__file__} is not a fastText model"),
        (
            {"text": {"redact": ["names"]}},
            "web.text.redact.0: input should be 'email', 'iban', 'card', 'ip' or 'phone'",
        ),
        ({"document": {"quality": {"min": 0.5}}}, "web.rules.document.quality: no such score"),
        ({"preset": "ghoper"}, "web.rules: no preset `ghoper`; did you mean `gopher`?"),
    ],
)
def test_a_wrong_setting_is_reported_in_one_line(
    web: dict[str, Any], tmp_path: Path, change: dict[str, Any], line: str
) -> None:
    with pytest.raises(RecipeError) as error:
        resolve(read(str(recipe(tmp_path, {**web, **change}))))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_perplexity_model_is_reported_in_one_line(web: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="needs the package kenlm")
    with pytest.raises(
        RecipeError,
        match=r"web.text.perplexity_model: perplexity model `.*` is neither an ARPA file nor a KenLM binary$",
    ):
        resolve(read(str(recipe(tmp_path, {**web, "text": {"perplexity_model": __file__}}))))


def test_pages_of_pdfs_are_not_redacted(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "r.yaml").write_text(
        f"sources: {{pdf: {{kind: pdf, paths: {tmp_path}/a.pdf, text: {{redact: [email]}}}}}}\nmixtures: {{}}\n"
    )
    with pytest.raises(RecipeError, match=r"pdf.text.redact: the page images would still show the data"):
        resolve(read(str(tmp_path / "r.yaml")))
