"""The report of a run: one HTML file that needs nothing else. What was made, what was left out and why, and documents
to look at.

It reads statistics and a few samples that the run's tasks left; it never scans data.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.chart import bars, histogram
from manifests.curves import section
from manifests.sketch import quantile

Row = dict[str, Any]
Blob = Callable[[str, int, int, int], bytes]  # source, part, offset, length -> bytes

NAMES = {
    "web": "Interleaved web documents",
    "pairs": "Image-text pairs",
    "pdf": "PDF pages",
    "conversations": "Conversations",
}
THUMBNAIL = 220  # pixels, longest side
PAGE_THUMBNAIL = 420
MOST_BYTES = 12 << 20  # of thumbnails in one report


def report(stats: Row, samples: Mapping[str, Sequence[Row]], blob: Blob) -> str:
    """The whole page as HTML. `stats` is stats.json, `samples` the rows to show by source
    (pipelines.select.samples.SAMPLE).
    """
    stats = {**stats, "sources": {n: stats["sources"][n] for n in NAMES if n in stats["sources"]}}
    album = _Album(blob)
    parts = [_mixture(stats), _funnels(stats), _fetch(stats)]
    parts += [_source(name, s) for name, s in stats["sources"].items()]
    parts += [_gallery(name, samples.get(name, ()), album) for name in stats["sources"]]
    title = f"{stats['name']}: what was made, and what was left out"
    head = f"<meta charset=utf-8><title>{_e(title)}</title><style>{_CSS}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{_e(title)}</h1>{''.join(parts)}</html>"


def with_training(page: str, folder: Path) -> str:
    """The page with the curves of the stages trained below `folder`, which the run itself knew nothing of yet."""
    head, end, tail = page.rpartition("</html>")
    return f"{head}{section(folder)}{end}{tail}"


# ---- tables


def _mixture(stats: Row) -> str:
    sources = stats["sources"]
    whole = {k: sum(s[k] for s in sources.values()) or 1 for k in ("samples", "images", "tokens", "bytes")}
    rows = []
    for name, s in sources.items():
        median = quantile({int(k): v for k, v in s["sketches"].get("tokens", {}).items()}, 0.5)
        cells = [NAMES[name], s["config"], _n(s["funnel"][0][1]), _n(s["samples"]), _n(s["images"]), _n(s["tokens"])]
        cells += ["" if median != median else _n(round(median)), _bytes(s["bytes"]), _n(s["shards"])]
        cells += [f"{s[k] / whole[k]:.0%}" for k in ("samples", "images", "tokens")]
        cells.append(_n(s["splits"].get("validation", {}).get("samples", 0)))
        rows.append(cells)
    head = ["source", "config", "in", "samples", "images", "text tokens", "median tokens", "bytes", "shards"]
    head += ["share of samples", "of images", "of tokens", "held out"]
    tokenizer = f"Tokens by <code>{_e(stats['tokenizer']['name'])}</code> (sha256 {_e(str(stats['tokenizer']['sha256'])[:12])}…)."
    return f"<h2>Mixture</h2>{_table(head, rows)}<p>{tokenizer}</p>{_sets(stats)}{_stages(stats)}"


def _sets(stats: Row) -> str:
    rows = [
        [
            r["name"],
            f"{r['repeat']:g}",
            _n(r["documents"]),
            _n(r["samples"]),
            _n(r["answer_tokens"]),
            f"{r['share']:.2%}",
        ]
        for r in stats["sources"].get("conversations", {}).get("sets", ())
    ]
    head = ["set", "repeat", "documents", "samples for training", "answer tokens", "share of them"]
    return f"<h3>Conversation sets</h3>{_table(head, rows)}" if rows else ""


def _stages(stats: Row) -> str:
    rows = []
    for stage, m in stats["mixtures"].items():
        total = sum(s["weight"] for s in m["sources"].values())
        for config, s in m["sources"].items():
            image = f"{s['image']['mode']}, up to {s['image']['longest']} px"
            rows.append([stage, config, f"{s['weight'] / total:.1%}", _n(s["sequence_length"]), image])
    if not rows:
        return ""
    note = "<p>Weights count packed sequences; a batch is of one source.</p>"
    return "<h3>Training stages</h3>" + _table(["stage", "config", "weight", "sequence length", "images"], rows) + note


def _funnels(stats: Row) -> str:
    out = ["<h2>Funnel</h2><div class=row>"]
    for name, s in stats["sources"].items():
        steps = s["funnel"]
        out.append(
            f"<figure><figcaption>{NAMES[name]}</figcaption>{bars([(k, v) for k, v in steps], of=steps[0][1])}</figure>"
        )
    return "".join(out) + "</div>"


def _fetch(stats: Row) -> str:
    out = []
    if stats["crawl"]:
        out.append(
            f"<figure><figcaption>Pages crawled, by outcome</figcaption>{bars(_sorted(stats['crawl']))}</figure>"
        )
    if stats["fetch"]["status"]:
        out.append(
            f"<figure><figcaption>Image addresses fetched, by outcome</figcaption>{bars(_sorted(stats['fetch']['status']))}</figure>"
        )
        out.append(
            f"<figure><figcaption>Images fetched, by format</figcaption>{bars(_sorted(stats['fetch']['format']))}</figure>"
        )
    if stats["quarantined"]:
        out.append(
            f"<figure><figcaption>Rows quarantined, by stage</figcaption>{bars(_sorted(stats['quarantined']))}</figure>"
        )
    return f"<h2>From outside</h2><div class=row>{''.join(out)}</div>" if out else ""


_HISTOGRAMS = {
    "tokens": "text tokens a document",
    "words": "words a document",
    "images": "images a document",
    "short side": "shorter side of an image, pixels",
    "aspect": "longer side / shorter side",
    "image bytes": "bytes of an image",
}


def _source(name: str, s: Row) -> str:
    whys = [
        ("Never became documents", s["refused"]),
        ("Documents dropped", {**s["dropped"], **{f"{k} (at packing)": v for k, v in s["unpacked"].items()}}),
        ("Paragraphs dropped from kept documents", {k: v for k, v in s["texts_dropped"].items() if k != "kept"}),
        ("Images dropped from kept documents", {k: v for k, v in s["images_dropped"].items() if k != "kept"}),
    ]
    out = [f"<h2>{NAMES[name]}</h2><div class=row>"]
    out += [
        f"<figure><figcaption>{title}, by reason</figcaption>{bars(_sorted(why))}</figure>"
        for title, why in whys
        if why
    ]
    out.append("</div><div class=row>")
    for key, title in _HISTOGRAMS.items():
        if s["sketches"].get(key):
            counts = {int(b): n for b, n in s["sketches"][key].items()}
            out.append(f"<figure><figcaption>{title}</figcaption>{histogram(counts)}</figure>")
    rules = [
        [
            level,
            r["score"],
            _limit(r["min"]),
            _limit(r["max"]),
            ", ".join(r["any_of"] or ()),
            ", ".join(r["spares"]),
            r["source"],
        ]
        for level, rs in s["rules"].items()
        for r in rs
    ]
    table = _table(["of", "score", "min", "max", "any of", "spares", "source"], rules)
    told = f"<p>Languages by {_e(s['language'])}.</p>"
    return "".join(out) + f"</div><details><summary>Rules, with their thresholds</summary>{told}{table}</details>"


def _limit(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


# ---- documents


class _Album:
    """Thumbnails as data addresses, up to a total."""

    def __init__(self, blob: Blob):
        self.blob, self.used = blob, 0

    def picture(self, source: str, row: Row) -> str:
        side = PAGE_THUMBNAIL if source == "pdf" else THUMBNAIL
        if row["offset"] is None or self.used > MOST_BYTES:
            return ""
        try:
            image = Image.open(io.BytesIO(self.blob(source, row["part"], row["offset"], row["length"])))
            image.draft("RGB", (side * 2, side * 2))
            image.thumbnail((side, side))
            small = io.BytesIO()
            image.convert("RGB").save(small, "WEBP", quality=70)
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            return f"<span class=gone>{_e(type(e).__name__)}</span>"
        self.used += small.tell()
        return f"<img src='data:image/webp;base64,{base64.b64encode(small.getvalue()).decode()}' alt=''>"


def _gallery(source: str, rows: Sequence[Row], album: _Album) -> str:
    kept = [r for r in rows if not r["reason"]][:12]
    gone = [r for r in rows if r["reason"]]
    out = [
        f"<h2>{NAMES[source]}: kept</h2><p>Chosen by hash. Struck through: what rules took out of them.</p><div class=cards>"
    ]
    out += [_card(source, r, album) for r in kept]
    out.append(f"</div><h2>{NAMES[source]}: dropped</h2><div class=cards>")
    out += [_card(source, r, album) for r in gone]
    return "".join(out) + "</div>"


def _card(source: str, row: Row, album: _Album) -> str:
    pictures = {p["node"]: p for p in row["pictures"] or ()}
    reasons = row["node_reason"] or []
    body = []
    for n, node in enumerate(row["nodes"]):
        why = reasons[n] if n < len(reasons) else None
        if node["kind"] == "text":
            tag = "h4" if node["role"] == "heading" else "p"
            text = _e((node["text"] or "")[:400])
            body.append(
                f"<{tag} class='{'out' if why else _e(node['role'] or '')}' title='{_e(why or '')}'>{text}</{tag}>"
            )
        elif node["kind"] == "image":
            picture = pictures.get(n)
            why = (picture["reason"] if picture else None) or why
            shown = album.picture(source, picture) if picture and not (row["reason"] and source == "web") else ""
            said = _e(why or "") if why else ""
            after = row["nodes"][n + 1] if n + 1 < len(row["nodes"]) else {}
            said_below = after.get("role") == "caption"  # the caption stands in the text too
            label = "" if said_below else _e((node["caption"] or node["alt"] or "")[:160])
            body.append(f"<div class='image{' out' if why else ''}'>{shown}<small>{label} <b>{said}</b></small></div>")
        else:
            body.append("<hr>")
    head = _e(row["title"] or row["url"])
    if row["url"].startswith(("http://", "https://")):  # nothing else that a record may name is for clicking
        head = f"<a href='{_e(row['url'])}'>{head}</a>"
    why = ""
    if row["reason"]:
        saw = "" if row["score"] is None else f" {row['score']:.3g}"
        saw += "" if row["threshold"] is None else f" (limit {row['threshold']:g})"
        why = f"<div class=why>{_e(row['reason'])}{saw}</div>"
    return f"<article>{why}<h3>{head}</h3><div class=body>{''.join(body)}</div><small class=id>{_e(row['id'])}</small></article>"


# ---- small things


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{_e(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{''.join(f'<th>{_e(h)}</th>' for h in head)}</tr></thead><tbody>{cells}</tbody></table>"


def _sorted(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda x: (-x[1], x[0]))


def _n(value: int) -> str:
    return f"{value:,}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def _e(text: str) -> str:
    return html.escape(text, quote=True)


_CSS = """
:root{--ink:#1d2330;--soft:#667085;--line:#e3e6ec;--paper:#fff;--card:#fafbfc;--bar:#3b6fb6;--bad:#b3412e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ee;--soft:#98a1b3;--line:#2c3240;--paper:#14171e;--card:#1b1f29;--bar:#6d9fe0;--bad:#e58a76}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1180px;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.6rem}h2{margin-top:2.4rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}h3{font-size:1rem;margin:.2rem 0 .6rem}
table{border-collapse:collapse;font-size:.86rem;display:block;overflow-x:auto}
th{text-align:left;color:var(--soft);font-weight:600}td,th{padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line)}
td:nth-child(n+3){font-variant-numeric:tabular-nums}
.row{display:flex;flex-wrap:wrap;gap:1.4rem}figure{margin:.6rem 0}figcaption{font-weight:600;font-size:.86rem;margin-bottom:.3rem}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}svg rect.b{fill:var(--bar)}svg rect.g{fill:var(--line)}
.cards{columns:3 320px;column-gap:1rem}article{break-inside:avoid;background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:.8rem;margin:0 0 1rem}article .body{max-height:560px;overflow:auto;font-size:.84rem}article p{margin:.4rem 0}
article h4{margin:.7rem 0 .2rem}article img{max-width:100%;border-radius:4px;display:block}.image{margin:.5rem 0}.image small{color:var(--soft)}
.out{text-decoration:line-through;color:var(--soft);opacity:.75}.out b,.why{color:var(--bad)}.why{font-weight:600;font-size:.84rem}
.id{color:var(--soft);font-size:.7rem;font-family:monospace}a{color:inherit}.code{font-family:monospace;white-space:pre-wrap}
.caption{color:var(--soft);font-style:italic}summary{cursor:pointer;color:var(--soft)}
@media print{article .body{max-height:none}}
"""
