"""Tables for a terminal of 80 columns."""

from collections import Counter
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

Row = dict[str, Any]


def run_tables(stats: Row) -> list[Table]:
    """A run in one table, and its conversations in a second one, as table 14 of arXiv 2405.02246 has them."""
    answers = {name: s["answers"] for name, s in stats["sources"].items() if "answers" in s}
    return [sources(stats), *([conversations(answers)] if answers else [])]


def sources(stats: Row, most: int = 5) -> Table:
    """What came in, what stayed, and the `most` frequent reasons why the rest left, refused rows included."""
    t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    t.add_column("source", no_wrap=True)
    for name in ("in", "kept", "images", "tokens", "bytes"):
        t.add_column(name, justify="right", no_wrap=True)
    t.add_column("dropped, by reason", no_wrap=True)
    for name, s in stats["sources"].items():
        reasons = sum((Counter(s[group]) for group in ("refused", "dropped", "unpacked")), Counter())
        top = sorted(reasons.items(), key=lambda x: (-x[1], x[0]))
        lines = [f"{n:5,d} {reason}" for reason, n in top[:most]]
        if len(top) > most:
            lines.append(f"{sum(n for _, n in top[most:]):5,d} for {len(top) - most} other reasons")
        size = f"{s['bytes'] / 1e6:,.1f} MB"
        numbers = [f"{n:,}" for n in (s["funnel"][0][1], s["samples"], s["images"], s["tokens"])]
        t.add_row(name, *numbers, size, "\n".join(lines))
    return t


def conversations(answers: dict[str, Row]) -> Table:
    t = Table("source", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("repeat", "documents", "samples", "answer tokens", "share of them"):
        t.add_column(name, justify="right", no_wrap=True)
    total = sum(a["answer_tokens"] for a in answers.values()) or 1
    for name, a in sorted(answers.items(), key=lambda x: (-x[1]["answer_tokens"], x[0])):
        numbers = [f"{a[k]:,}" for k in ("documents", "samples", "answer_tokens")]
        t.add_row(name, f"{a['repeat']:g}", *numbers, f"{a['answer_tokens'] / total:.2%}")
    return t


def steps(rows: list[Row], requests: bool = False) -> Table:
    """`panoramix run --plan`. rows: `pipelines.commands.run.plan_rows`. requests: with those to the object store."""
    t = Table("step", "reads", "state", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("parts", "done", "MB in", "MB out", *(("PUT, LIST", "GET, HEAD", "dollars") if requests else ())):
        t.add_column(name, justify="right")
    for s in rows:
        source = s["stage"].partition(".")[0] + "."
        reads = ", ".join(name.removeprefix(source) for name in s["reads"])  # most steps read steps of their own source
        sizes = [f"{n / 1e6:,.1f}" if n else "" for n in (s["bytes_in"], s["bytes"])]
        more = _costs([s]) if requests else []
        t.add_row(s["stage"], reads, s["state"], str(s["parts"] or ""), str(s["done"] or ""), *sizes, *more)
    if requests:
        t.add_row("together", *[""] * 6, *_costs(rows))
    return t


def _costs(rows: list[Row]) -> list[str]:
    """Dear requests, cheap requests and dollars."""
    numbers = [sum(r["requests"][kind] for r in rows for kind in kinds) for kinds in (("put", "list"), ("get", "head"))]
    return [*(f"{n:,}" for n in numbers), f"{sum(r['dollars'] for r in rows):,.4f}"]


def differences(rows: list[Row], first: str, second: str) -> Table:
    t = Table("source", "what", first, second, "change")
    for r in rows:
        t.add_row(r["source"], r["what"], str(r["first"]), str(r["second"]), f"{r['second'] - r['first']:+}")
    return t


def thresholds(title: str, rows: list[Row], current: float | None) -> Table:
    """`panoramix sweep`: a row for each threshold."""
    t = Table(title, *(c.replace("_", " ") for c in list(rows[0])[1:]))
    for r in rows:
        mark = " (now)" if r["threshold"] == current else ""
        t.add_row(f"{r['threshold']:g}{mark}", *(f"{v:,}" for v in list(r.values())[1:]))
    return t
