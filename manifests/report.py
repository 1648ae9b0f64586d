"""The report of a run: one HTML file that needs no other file. It shows what the run gave, what was left out and why.

It uses the statistics and a few sample documents that the run's stages wrote. It never scans data.
"""

import html
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from manifests.chart import bars, histogram
from manifests.curves import section
from manifests.gallery import Album, Blob, gallery
from manifests.runfiles import RunFiles
from manifests.sketch import ZERO, quantile

Row = dict[str, Any]

_HISTOGRAMS = {
    "tokens": "text tokens per document",
    "words": "words per document",
    "images": "images per document",
    "short side": "shorter side of an image, pixels",
    "aspect": "longer side / shorter side",
    "image bytes": "bytes of an image",
}


def report(stats: Row, samples: Mapping[str, Sequence[Row]], blob: Blob) -> str:
    """The page as HTML.

    stats: `stats.json`. samples: the rows to show, by source (pipelines.select.samples.SAMPLE). Sources stand in the
    order of `stats`. blob: reads the bytes of an image.
    """
    album = Album(blob)
    parts = [_mixture(stats), _funnels(stats), _fetch(stats)]
    parts += [_source(s) for s in stats["sources"].values()]
    parts += [gallery(name, s, samples.get(name, ()), album) for name, s in stats["sources"].items()]
    title = html.escape(f"{stats['name']}: what is in the data, and what was left out")
    style = resources.files("manifests").joinpath("report.css").read_text("utf-8")
    head = f"<meta charset=utf-8><title>{title}</title><style>\n{style}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{title}</h1>{''.join(parts)}</html>"


def with_training(page: str, run: RunFiles) -> str:
    """The page with the curves of the run's training stages, which did not exist when the run ended."""
    head, end, tail = page.rpartition("</html>")
    return f"{head}{section(run)}{end}{tail}"


def answers(stats: Mapping[str, Any]) -> list[tuple[str, Row, float]]:
    """Sources of conversations, the largest share of answer tokens first: name, its `answers` of stats.json, the share.

    Idefics2 (arXiv 2405.02246, table 14) gives its fine-tuning mixture with these numbers.
    """
    rows = [(name, s["answers"]) for name, s in stats.get("sources", {}).items() if s.get("answers")]
    total = sum(each["answer_tokens"] for _, each in rows) or 1
    rows.sort(key=lambda row: (-row[1]["answer_tokens"], row[0]))
    return [(name, each, each["answer_tokens"] / total) for name, each in rows]


def _mixture(stats: Row) -> str:
    sources = stats["sources"]
    total = {k: sum(s[k] for s in sources.values()) or 1 for k in ("samples", "images", "tokens")}
    rows = []
    for name, s in sources.items():
        median = quantile({int(k): v for k, v in s["sketches"].get("tokens", {}).items()}, 0.5)
        cells = [name, s["layout"], _n(s["funnel"][0][1]), _n(s["samples"]), _n(s["images"]), _n(s["tokens"])]
        cells += ["" if median != median else _n(round(median)), _bytes(s["bytes"]), _n(s["shards"])]
        cells += [f"{s[k] / total[k]:.0%}" for k in total]
        cells.append(_n(s["splits"].get("validation", {}).get("samples", 0)))
        rows.append(cells)
    head = ["source", "layout", "in", "samples", "images", "text tokens", "median tokens", "bytes", "shards"]
    head += ["share of samples", "of images", "of tokens", "held out"]
    name, digest = html.escape(stats["tokenizer"]["name"]), html.escape(str(stats["tokenizer"]["sha256"])[:12])
    tokenizer = f"<p>Tokens by <code>{name}</code> (sha256 {digest}…).</p>"
    return f"<h2>Mixture</h2>{_table(head, rows)}{tokenizer}{_answers(stats)}{_stages(stats)}"


def _answers(stats: Row) -> str:
    rows = [
        [name, f"{s['repeat']:g}", _n(s["documents"]), _n(s["samples"]), _n(s["answer_tokens"]), f"{share:.2%}"]
        for name, s, share in answers(stats)
    ]
    head = ["source", "repeat", "documents", "samples for training", "answer tokens", "share of them"]
    return f"<h3>Conversations</h3>{_table(head, rows)}" if rows else ""


def _stages(stats: Row) -> str:
    rows = []
    for stage, mixture in stats["mixtures"].items():
        total = sum(s["weight"] for s in mixture["sources"].values())
        for source, s in mixture["sources"].items():
            image = f"{s['image']['mode']}, up to {s['image']['longest']} px"
            rows.append([stage, source, f"{s['weight'] / total:.1%}", _n(s["sequence_length"]), image])
    if not rows:
        return ""
    note = "<p>Weights count packed sequences; a batch is of one source.</p>"
    return "<h3>Training stages</h3>" + _table(["stage", "source", "weight", "sequence length", "images"], rows) + note


def _funnels(stats: Row) -> str:
    figures = [_figure(s["title"], bars(s["funnel"], of=s["funnel"][0][1])) for s in stats["sources"].values()]
    return f"<h2>Funnel</h2><div class=row>{''.join(figures)}</div>"


def _fetch(stats: Row) -> str:
    counts = {
        "Pages crawled, by outcome": stats["crawl"],
        "Image addresses fetched, by outcome": stats["fetch"]["status"],
        "Images fetched, by format": stats["fetch"]["format"],
        "Rows quarantined, by stage": stats["quarantined"],
    }
    figures = [_figure(title, _ranked(rows)) for title, rows in counts.items() if rows]
    return f"<h2>Network and faults</h2><div class=row>{''.join(figures)}</div>" if figures else ""


def _source(s: Row) -> str:
    numbers = {
        "Never became documents, by reason": s["refused"],
        "In quarantine, by step": s.get("quarantined", {}),
        "Documents dropped, by reason": {
            **s["dropped"],
            **{f"{reason} (at packing)": n for reason, n in s["unpacked"].items()},
        },
        "Paragraphs dropped from kept documents, by reason": s["texts_dropped"],
        "Images dropped from kept documents, by reason": s["images_dropped"],
    }
    counts = {title: {name: n for name, n in rows.items() if name != "kept"} for title, rows in numbers.items()}
    figures = [_figure(title, _ranked(rows)) for title, rows in counts.items() if rows]
    sketches = {key: {int(b): n for b, n in s["sketches"].get(key, {}).items()} for key in _HISTOGRAMS}
    charts = [
        _figure(_HISTOGRAMS[key], histogram(bins, whole=key != "aspect"))
        for key, bins in sketches.items()
        if bins.keys() - {ZERO}
    ]
    rules = [
        [level, r["score"], *("" if r[key] is None else f"{r[key]:g}" for key in ("min", "max")),
         ", ".join(r["any_of"] or ()), ", ".join(r["spares"]), r["source"]]
        for level, of_level in s["rules"].items()
        for r in of_level
    ]  # fmt: skip
    table = _table(["level", "score", "min", "max", "any of", "does not apply to", "after"], rules)
    return (
        f"<h2>{html.escape(s['title'])}</h2>"
        f"<div class=row>{''.join(figures)}</div><div class=row>{''.join(charts)}</div>"
        "<details><summary>Rules, with their thresholds</summary>"
        f"<p>Languages by {html.escape(s['language'])}.</p>{table}</details>"
    )


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{svg}</figure>"


def _ranked(counts: Mapping[str, int]) -> str:
    return bars(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _n(value: int) -> str:
    return f"{value:,}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
