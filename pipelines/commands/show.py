"""Tables for a terminal of 80 columns."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from pipelines.commands.files import lost, ranked
from pipelines.select.failures import Failure

Row = dict[str, Any]

MOST_FILES = 50  # input files in one table
#: numbers of an input file, with their titles
_OF_FILE = {n: n for n in ("in", "kept", "dropped", "refused", "broken")} | {"quarantined": "quaran-\ntined"}


def run_tables(stats: Row) -> list[Table | str]:
    """A run in one table; its conversations in another, as table 14 of arXiv 2405.02246; its quarantine in a line."""
    answers = {name: s["answers"] for name, s in stats["sources"].items() if "answers" in s}
    tables: list[Table | str] = [sources(stats), *([conversations(answers)] if answers else [])]
    if stats.get("quarantined"):
        steps = ", ".join(f"{n:,} of {step}" for step, n in stats["quarantined"].items())
        tables.append(f"rows in quarantine: {steps}; ledger/quarantine.parquet has their causes")
    tables += [escape(str(Failure(**failure))) for failure in stats.get("own_code", ())]
    tables += [escape(_evaluation(read)) for read in stats.get("evaluations", ())]
    return tables


def _evaluation(read: Row) -> str:
    """What an evaluation's file keeps out of the data. read: a row of `pipelines.select.evaluation.READ`."""
    passed_over = f", {read['empty']:,} of them empty" if read["empty"] else ""
    keeps_out = f"{read['texts']:,} runs of words and {read['pictures']:,} pictures are kept out"
    return f"evaluation {read['file']}: {read['lines']:,} lines{passed_over}; {keeps_out}"


def sources(stats: Row, most: int = 5) -> Table:
    """What came in, the documents that stayed, by split, and the `most` frequent reasons why the rest left."""
    t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    t.add_column("source", no_wrap=True)
    for name in ("in", "kept", "images", "tokens", "bytes"):
        t.add_column(name, justify="right", no_wrap=True)
    t.add_column("not kept, by reason", no_wrap=True)
    for name, s in stats["sources"].items():
        top = ranked(lost(s))
        lines = [f"{n:5,d} {reason}" for reason, n in top[:most]]
        if len(top) == most + 1:
            lines.append(f"{top[most][1]:5,d} {top[most][0]}")
        elif len(top) > most:
            lines.append(f"{sum(n for _, n in top[most:]):5,d} for {len(top) - most} other reasons")
        # "packed": a run of an older version has no documents by split
        packed = s.get("packed", {"train": s["samples"]})
        kept = [f"{sum(packed.values()):,}"]
        if packed.keys() - {"train"}:
            kept += [f"{n:,} {split[:5]}" for split, n in packed.items()]
        size = f"{s['bytes'] / 1e6:,.1f} MB"
        numbers = [f"{s['funnel'][0][1]:,}", "\n".join(kept), f"{s['images']:,}", f"{s['tokens']:,}"]
        t.add_row(name, *numbers, size, "\n".join(lines))
    return t


def files(rows: list[Row], width: int) -> Table:
    """`panoramix stats --files`: the first MOST_FILES files. width: columns of the terminal.

    Numbers that are zero for all of them have no column.
    """
    t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    rows = rows[:MOST_FILES]
    shown = {title: name for name, title in _OF_FILE.items() if name in ("in", "kept") or any(r[name] for r in rows)}
    lines = []
    for row in rows:
        numbers = [f"{row[name]:,}" if row[name] or name in ("in", "kept") else "" for name in shown.values()]
        reason = ranked(row["reasons"])[0][0] if row["reasons"] else "" if row["in"] else "no rows"
        lines.append([row["source"], row["file"] or "(no file)", *numbers, cut(reason, 18)])
    heads = ["source", "file", *shown, "why not"]
    widths = [max(map(len, (*head.split("\n"), *column))) for head, *column in zip(heads, *lines, strict=True)]
    room = max(16, width - sum(widths) + widths[1] - len(widths) - 1)
    for head in heads:
        t.add_column(head, justify="right" if head in shown else "left", no_wrap=True)
    for source, file, *cells in lines:
        t.add_row(source, cut(file, room), *cells)
    return t


def cut(name: str, width: int) -> str:
    """A name of at most `width` characters: the middle of a longer one is left out."""
    if len(name) <= width:
        return name
    tail = (width - 1) * 2 // 3  # the end of a path says more than its beginning
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def cut_apart(first: str, second: str, width: int) -> tuple[str, str]:
    """Two names of at most `width` characters (16 at least), which differ if the names do."""
    a, b = cut(first, width), cut(second, width)
    if a != b or first == second:
        return a, b
    place = next(i for i, (x, y) in enumerate(zip(f"{first}\0", f"{second}\0", strict=False)) if x != y)
    return _around(first, place, width), _around(second, place, width)


def _around(name: str, place: int, width: int) -> str:
    """The part of a name around a place."""
    start = max(0, place - width // 2)
    part = f"…{name[start:]}" if start else name
    return part if len(part) <= width else f"{part[: width - 1]}…"


def conversations(answers: dict[str, Row]) -> Table:
    t = Table("source", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("repeat", "documents", "samples", "answer tokens", "share of them"):
        t.add_column(name, justify="right", no_wrap=True)
    total = sum(a["answer_tokens"] for a in answers.values()) or 1
    for name, a in sorted(answers.items(), key=lambda x: (-x[1]["answer_tokens"], x[0])):
        numbers = [f"{a[k]:,}" for k in ("documents", "samples", "answer_tokens")]
        t.add_row(name, f"{a['repeat']:g}", *numbers, f"{a['answer_tokens'] / total:.2%}")
    return t


def steps(rows: list[Row]) -> Table:
    """`panoramix run --plan`. rows: `pipelines.commands.run.plan_rows`."""
    t = Table("step", "reads", "state", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("parts", "done", "MB in", "MB out"):
        t.add_column(name, justify="right")
    for s in rows:
        source = s["stage"].partition(".")[0] + "."
        reads = ", ".join(name.removeprefix(source) for name in s["reads"])  # most steps read steps of their own source
        sizes = [f"{n / 1e6:,.1f}" if n else "" for n in (s["bytes_in"], s["bytes"])]
        t.add_row(s["stage"], reads, s["state"], str(s["parts"] or ""), str(s["done"] or ""), *sizes)
    return t


def costs(rows: list[Row]) -> Table:
    """`panoramix run --plan` where the run's folder is on an object store: the requests that are left, about."""
    t = Table("requests of", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("PUT", "LIST", "GET", "HEAD", "dollars"):
        t.add_column(name, justify="right", no_wrap=True)
    for name, group in [*((row["stage"], [row]) for row in rows), ("all steps", rows)]:
        numbers = [sum(row["requests"][kind] for row in group) for kind in ("put", "list", "get", "head")]
        t.add_row(name, *(f"{n:,}" for n in numbers), f"{sum(row['dollars'] for row in group):,.4f}")
    return t


def differences(numbers: list[Row], moved: list[Row], first: str, second: str, width: int) -> list[Table]:
    """`panoramix diff`: the numbers that differ, and how many documents moved. width: columns of the terminal."""
    tables = []
    a, b = cut_apart(first, second, max(16, (width - 48) // 2))
    if numbers:
        t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
        for name in ("source", "what", a, b, "change"):
            t.add_column(name, justify="left" if name in ("source", "what") else "right", no_wrap=True)
        for r in numbers:
            change = f"{r['second'] - r['first']:+,}"
            t.add_row(r["source"], cut(r["what"], 36), f"{r['first']:,}", f"{r['second']:,}", change)
        tables.append(t)
    if moved:
        t = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
        t.add_column("documents", justify="right", no_wrap=True)
        for name in ("source", a, b):
            t.add_column(name, no_wrap=True)
        cells = [[f"{r['documents']:,}", r["source"], cut(r["first"], 30), cut(r["second"], 30)] for r in moved]
        used = sum(max(map(len, column)) for column in zip(("documents", "source", a, b), *cells, strict=True))
        room = width - used - 6
        if room >= 16:
            t.add_column("such as", no_wrap=True)
        for row, r in zip(cells, moved, strict=True):
            t.add_row(*row, *([cut(r["url"] or "", room)] if room >= 16 else []))
        tables.append(t)
    return tables


def thresholds(title: str, rows: list[Row], current: float | None) -> Table:
    """`panoramix sweep`: a row for each threshold."""
    t = Table(title, *(c.replace("_", " ") for c in list(rows[0])[1:]))
    for r in rows:
        limit = "no limit" if r["threshold"] is None else f"{r['threshold']:g}"
        mark = " (now)" if r["threshold"] == current else ""
        t.add_row(f"{limit}{mark}", *(f"{v:,}" for v in list(r.values())[1:]))
    return t
