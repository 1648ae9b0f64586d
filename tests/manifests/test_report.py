"""The report: the text of a page is never markup, and only an unreadable picture itself is left out."""

import base64
import html.parser
import io
import json
from typing import Any

import pytest
from PIL import Image

from manifests.gallery import PAGE_THUMBNAIL, THUMBNAIL
from manifests.report import answers, report
from manifests.sketch import ZERO

HOSTILE = "<script>alert('1')</script>\" onload=\"x' onerror='y"


def stats(**more: Any) -> dict[str, Any]:
    rule = {"score": HOSTILE, "min": 1.0, "max": None, "any_of": ["en"], "spares": [HOSTILE], "source": HOSTILE}
    source = {
        "kind": "web", "layout": "interleaved", "title": HOSTILE, "documents": 5, "refused": {HOSTILE: 1},
        "funnel": [["read", 6], ["documents", 5], ["packed", 2]], "kept": 2, "dropped": {HOSTILE: 3},
        "unpacked": {"no_blob": 1}, "texts_dropped": {"words_low": 9}, "images_dropped": {},
        "splits": {"validation": {"samples": 1}}, "samples": 2, "images": 3, "tokens": 400, "bytes": 12345, "shards": 1,
        "sketches": {"tokens": {"60": 2}}, "rules": {"document": [rule]}, "language": HOSTILE,
    }  # fmt: skip
    return {
        "name": HOSTILE, "tokenizer": {"name": HOSTILE, "sha256": "0" * 64}, "sources": {"web": source},
        "fetch": {"status": {"ok": 3}, "format": {}}, "crawl": {HOSTILE: 2}, "quarantined": {}, "mixtures": {}, **more,
    }  # fmt: skip


def node(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "role": None,
        "text": None,
        "image": None,
        "alt": None,
        "caption": None,
        "title": None,
        **more,
    }


def sample(**more: Any) -> dict[str, Any]:
    return {
        "id": "ab" * 16, "url": f"http://x.example/{HOSTILE}", "title": HOSTILE,
        "reason": None, "score": None, "threshold": None,
        "nodes": [
            node("text", role="heading", text=HOSTILE), node("image", image=HOSTILE, alt=HOSTILE), node("break"),
            node("text", role=HOSTILE, text=HOSTILE),
        ],
        "node_reason": [None, None, None, HOSTILE],
        "pictures": [{"node": 1, "reason": HOSTILE, "part": 0, "offset": 0, "length": 10}], **more,
    }  # fmt: skip


class Tags(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def picture(side: int = 400) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("reason", [None, HOSTILE])
def test_hostile_text_is_never_markup(reason: str | None) -> None:
    page = report(stats(), {"web": [sample(reason=reason, score=0.5, threshold=0.1)]}, lambda *_: picture())
    tags = Tags(page)
    assert "script" not in tags.tags
    assert not [a for a in tags.attributes if a[1].startswith("on")]
    assert "".join(tags.words).count("<script>alert('1')</script>") >= 8
    assert all(v.startswith("data:image/webp;base64,") for t, n, v in tags.attributes if n == "src")


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JavaScript:alert(1)", "data:text/html,<script>alert(1)</script>", "file:papers/a.pdf"],
)
def test_only_web_addresses_are_links(url: str) -> None:
    page = Tags(report(stats(), {"web": [sample(url=url)]}, lambda *_: picture()))
    assert not [v for _, n, v in page.attributes if n == "href" and not v.startswith(("http://", "https://", "#"))]
    assert "".join(page.words).count("<script>") >= 5


def picture_sides(layout: str, reason: str | None) -> list[int]:
    """The longest side of each picture on the page of one document."""
    statistics = stats()
    statistics["sources"] = {"mine": {**statistics["sources"]["web"], "layout": layout}}
    page = Tags(report(statistics, {"mine": [sample(reason=reason)]}, lambda *_: picture(800)))
    images = [Image.open(io.BytesIO(base64.b64decode(v.split(",", 1)[1]))) for _, n, v in page.attributes if n == "src"]
    assert all(image.format == "WEBP" for image in images)
    return [max(image.size) for image in images]


@pytest.mark.parametrize(
    ("layout", "side"),
    [("interleaved", THUMBNAIL), ("pairs", THUMBNAIL), ("conversations", THUMBNAIL), ("ocr", PAGE_THUMBNAIL)],
)
def test_the_layout_decides_the_size_of_pictures_and_whether_a_dropped_document_has_them(
    layout: str, side: int
) -> None:
    assert picture_sides(layout, None) == [side]
    assert picture_sides(layout, "words_low") == ([] if layout == "interleaved" else [side])


def test_a_source_of_text_has_no_chart_of_images() -> None:
    statistics = stats()
    web = statistics["sources"]["web"]
    bins = {"tokens": {"60": 2}, "images": {str(ZERO): 2}, "short side": {}}
    statistics["sources"]["notes"] = {
        **web,
        "kind": "text",
        "layout": "text",
        "title": "Texts: notes",
        "images": 0,
        "sketches": bins,
    }
    row = sample(url=None, title=None, nodes=[node("text", role="paragraph", text="Only text.")], pictures=[])
    page = report(statistics, {"notes": [{**row, "node_reason": None}]}, lambda *_: picture())
    begin = page.index("<h2>Texts: notes</h2>")
    section = page[begin : page.index("<h2>", begin + 1)]
    assert "text tokens per document" in section and "images per document" not in section
    card = page[page.index("<h2>Texts: notes, kept</h2>") :]
    assert f"<h3>{'ab' * 16}</h3>" in card and "Only text." in card and "<img" not in card


def test_sources_have_the_order_of_the_statistics_and_their_titles() -> None:
    web = stats()["sources"]["web"]
    names = ["zebra", "a-second-web"]
    page = report(stats(sources={name: {**web, "title": f"Pages: {name}"} for name in names}), {}, lambda *_: b"")
    places = [page.index(f"<h2>Pages: {name}</h2>") for name in names]
    assert places == sorted(places)


def test_one_table_has_the_answers_of_all_conversations() -> None:
    web = stats()["sources"]["web"]
    counts = {"a": (4.0, 30), "b": (0.5, 10)}
    sources = {
        name: {**web, "answers": {"repeat": repeat, "documents": 5, "samples": 6, "answer_tokens": tokens}}
        for name, (repeat, tokens) in reversed(counts.items())
    }
    statistics = stats(sources={**sources, "web": web})
    assert [(name, row["repeat"], share) for name, row, share in answers(statistics)] == [
        ("a", 4.0, 0.75),
        ("b", 0.5, 0.25),
    ]
    words = " ".join(Tags(report(statistics, {}, lambda *_: b"")).words)
    assert "a 4 5 6 30 75.00% b 0.5 5 6 10 25.00%" in words
    assert answers(stats()) == [] and "answer tokens" not in report(stats(), {}, lambda *_: b"")


@pytest.mark.parametrize("data", [b"", b"no picture", picture()[:300]])
def test_only_an_unreadable_picture_itself_is_left_out(data: bytes) -> None:
    page = report(stats(), {"web": [sample(title="still here")]}, lambda *_: data)
    assert "still here" in page and page.rstrip().endswith("</html>")


def test_pictures_have_a_total_limit_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.gallery.MOST_BYTES", 20_000)
    rows = [sample(id=f"{i:032x}") for i in range(12)]
    n_pictures = Tags(report(stats(), {"web": rows}, lambda *_: picture())).tags.count("img")
    assert 0 < n_pictures < 12


def test_the_page_has_the_numbers_of_the_mixture() -> None:
    mixtures = {
        "stage1": {
            "sources": {"interleaved": {"weight": 7, "sequence_length": 2048, "image": {"mode": "fit", "longest": 384}}}
        }
    }
    words = "\n".join(Tags(report(stats(mixtures=mixtures), {}, lambda *_: b"")).words)
    for text in ("400", "12.3 kB", "100.0%", "2,048", "fit, up to 384 px", "no_blob (at packing)"):
        assert text in words, text


def test_the_same_statistics_give_the_same_page() -> None:
    first, second = (
        report(json.loads(json.dumps(stats())), {"web": [sample()]}, lambda *_: picture_of_zeros()) for _ in range(2)
    )
    assert first == second


def picture_of_zeros() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200)).save(out, "PNG")
    return out.getvalue()
