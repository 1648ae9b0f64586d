"""What each input file of a run gave, worst yield first, and the lines about files and sources that gave nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from manifests.ledger import DROPPED, KEPT, OUTCOMES, QUARANTINED, REFUSED
from manifests.schema import STATUSES

Row = dict[str, Any]

MOST = 10  # lines about files that gave nothing, at the end of a run

#: refused rows that stand for the unread rest of a file
BROKEN = ("file_broken", "reader_failed")

#: reason -> what to do about it; {run} and {source} are names
_REMEDIES = {
    **dict.fromkeys(BROKEN, "the file is damaged from there on: get it again"),
    **dict.fromkeys(
        ("duplicate_url", "duplicate_text", "duplicate_pair", "duplicate_key", "near_duplicate"),
        "other files or sources have the same; `dedup.prefer` of the recipe names the source that keeps them",
    ),
    **dict.fromkeys(
        ("image_missing", "bad_image_path"), "`{source}.images` of the recipe names the folder of its images"
    ),
    "bad_row": "the rows have another layout than this kind of source reads",
    "private_address": "`fetch.allow_private` of the recipe allows networks",
    "sampled_out": "`{source}.repeat` of the recipe is below 1",
    QUARANTINED: "`panoramix stats {run} --files --json` counts them by step, ledger/quarantine.parquet has the causes",
}
_REMEDIES |= {
    status: "look at the network and the proxy variables, then run again with --refresh fetch"
    for status in STATUSES
    if status in ("dns", "refused", "tls", "timeout", "http_5xx", "http_429")
}


def by_file(table: pa.Table) -> list[Row]:
    """A row for each input file, the smallest share of kept rows first: `source`, `file`, `in`, and the rows that were
    `kept`, `dropped`, `refused`, `broken` (refused for the unread rest of a file) and `quarantined`; `reasons` of the
    rows that were not kept.

    table: manifests.ledger.FILES.
    """
    rows: dict[tuple[str, str | None], Row] = {}
    for line in table.to_pylist():
        key = line["source"], line["file"]
        row = rows.setdefault(
            key, {"source": key[0], "file": key[1], "in": 0, **dict.fromkeys((*OUTCOMES, "broken"), 0), "reasons": {}}
        )
        row["in"] += line["rows"]
        outcome, reason = line["outcome"], line["reason"]
        if outcome == REFUSED and reason in BROKEN:
            outcome = "broken"
        elif outcome == DROPPED and reason == QUARANTINED:
            outcome = QUARANTINED
        if outcome is not None:
            row[outcome] += line["rows"]
        if outcome not in (None, KEPT):
            row["reasons"][reason] = row["reasons"].get(reason, 0) + line["rows"]
    return sorted(rows.values(), key=lambda r: (r["kept"] / (r["in"] or 1), -r["in"], r["source"], r["file"] or ""))


def silent(
    stats: Mapping[str, Row], files: Sequence[Row], read_from: Mapping[str, Sequence[str]], run: str
) -> list[str]:
    """A line for each source that gave nothing. A source that others read from has given what they have packed.

    stats: of the sources. files: of `by_file`. read_from: source -> sources that it reads from.
    """
    used = {name for reader, names in read_from.items() if stats[reader]["samples"] for name in names}
    lines = []
    for name, s in stats.items():
        if s["samples"] or name in used:
            continue
        own = [row["file"] for row in files if row["source"] == name and row["file"] is not None]
        only = f" ({own[0]})" if len(own) == 1 else ""
        lines.append(f"{name}{only} gave nothing: {_why(s['in'], lost(s), name, s, run)}")
    return lines


def silent_files(stats: Mapping[str, Row], files: Sequence[Row], run: str) -> list[str]:
    """A line for each of the first MOST files that gave nothing, and one line for the others.

    The only file of a source is named in the line of `silent`.
    """
    several = Counter(row["source"] for row in files)
    silent_rows = [
        row for row in files if not row["kept"] and (several[row["source"]] > 1 or stats[row["source"]]["samples"])
    ]
    lines = []
    for row in silent_rows[:MOST]:
        name = row["source"]
        why = _why(row["in"], row["reasons"], name, stats[name], run) if row["in"] else "it has no rows"
        lines.append(f"{name}: {row['file']} gave nothing: {why}")
    if len(silent_rows) > MOST:
        lines.append(f"{len(silent_rows) - MOST:,} more files gave nothing; `panoramix stats {run} --files` lists them")
    return lines


def lost(s: Row) -> Counter[str]:
    """Rows of a source that were not kept, by reason."""
    out: Counter[str] = Counter()
    for group in ("refused", "dropped", "unpacked"):
        out.update(s[group])
    out[QUARANTINED] += sum(s.get("quarantined", {}).values())
    return +out


def ranked(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons with their numbers, the most frequent first."""
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _why(rows: int, reasons: Mapping[str, int], source: str, s: Row, run: str) -> str:
    """Why nothing of some rows was kept, and what to do. s: statistics of the source."""
    if not rows:
        return f"no row was read; look at the inputs that the recipe gives `{source}`"
    first = ", ".join(f"{n:,} {reason}" for reason, n in ranked(reasons)[:3]) + (", …" if len(reasons) > 3 else "")
    reason = ranked(reasons)[0][0]
    score = reason.rpartition("_")[0]
    remedy = _REMEDIES.get(reason, "`panoramix explain {run} ADDRESS` tells of each")
    if any(rule["score"] == score for rules in s["rules"].values() for rule in rules):
        remedy = f"`panoramix sweep {{run}} {score}=FROM..TO --source {{source}}` shows what other limits would keep"
    kept = f"none of {rows:,} rows was kept" if rows > 1 else "its one row was not kept"
    return f"{kept} ({first}); {remedy.format(run=run, source=source)}"
