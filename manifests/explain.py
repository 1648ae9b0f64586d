"""Why a document, page or image is, or is not, in the data: the rows of a run's ledger and index that tell it.

A question is an id or its first digits, a sample's key, a host, an address in any spelling, the sha256 of an image or
its first digits, or FILE/ROW. A published copy has no ledger, so its answers come from the index alone.

Only the columns that are compared are read, and of them only the row groups whose statistics allow a match.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from itertools import repeat
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.ledger import QUARANTINE
from manifests.parquet import read_parquet
from manifests.quarantine import about
from manifests.runfiles import RunFiles
from manifests.urls import OF_FILES, as_stored, host_as_stored, host_of

Row = dict[str, Any]

MOST = 20  # matches that are shown
#: of so few documents, also their dropped paragraphs and images and their samples are shown
DETAILED = 10
_LEAST = 3  # of each kind of match, however many others there are
_THREADS = 8
_TABLE = re.compile(r"-(documents|refused|pages|outcomes|images|texts)-\d+\.parquet\Z")
_NAMES = {"documents": "documents", "refused": "refused inputs", "pages": "crawled pages", "outcomes": "images"}


@dataclass(frozen=True)
class Match:
    """Which values of a column match. Values below `low` and above `high` never do."""

    test: Callable[[pa.ChunkedArray], pa.ChunkedArray]
    low: str | None = None
    high: str | None = None


@dataclass
class Answer:
    """rows: of the ledger and the index, each with a line to read, `says`. more: matches that are not shown, by what
    they are. lacks: what the folder does not hold, in one line.
    """

    rows: list[Row] = field(default_factory=list)
    more: Counter[str] = field(default_factory=Counter)
    lacks: str | None = None

    def add(self, row: Row, says: str) -> None:
        self.rows.append({**row, "says": says})


def explain(run: RunFiles, what: str, most: int = MOST) -> Answer:
    """The answer to a question about the run, or its published copy. Raises RunFilesError for a folder that is none.

    most: matches that are shown.
    """
    run.json("manifest.json", "version")
    ledger: dict[str, list[str]] = {}
    for file in run.list("ledger"):
        if name := _TABLE.search(file):
            ledger.setdefault(name[1], []).append(file)
    index, tests = run.list("index"), question(what)
    answer = Answer()
    if not ledger:
        answer.lacks = f"{run.root} has no ledger, as a published copy: it does not tell what was left out, and why"
        _samples(run, index, tests, most, answer)
        return answer
    matched = {"id": [*tests["id"], *_keys(run, index, tests["key"])], "url": tests["url"]}
    shown, total = _of_each_source(run, ledger.get("documents", []), matched, most)
    answer.more["documents"] += total - len(shown)
    for row in shown:
        answer.add(row, _document(row))
    columns = {"refused": ("url", "provenance"), "pages": ("url",), "outcomes": ("url", "sha256")}
    for table, names in columns.items():
        matched = {name: tests[name] for name in names}
        others, number = _rows(run, ledger.get(table, []), matched, max(_LEAST, most - len(answer.rows)))
        answer.more[_NAMES[table]] += number - len(others)
        for row in others:
            answer.add(row, _other(table, row))
    ids = [row["id"] for row in shown] if total <= DETAILED else []
    # of many documents, images are told by their own address alone, and texts not at all
    details = {"images": {"image": tests["url"], "id": one_of(ids)}, "texts": {"id": one_of(ids)}}
    for table, matched in details.items():
        others, number = _rows(run, ledger.get(table, []), matched, most if ids else _LEAST)
        answer.more[f"dropped {table}"] += number - len(others)
        for row in others:
            answer.add(row, _part(table, row))
    for row in about(_quarantine(run), {what.strip(), as_stored(what) or ""}, ids):
        answer.rows.append(row)
    places, _ = _rows(run, index, {"id": one_of(ids)}, most, ["id", "key", "source", "split", "offset"])
    for row in places:
        answer.add(row, f"document {row['id']}: {_place(row)}")
    return answer


def _quarantine(run: RunFiles) -> pa.Table:
    name = "ledger/quarantine.parquet"
    return read_parquet(run.read(name)) if run.exists(name) else QUARANTINE.empty_table()


# --- questions --------------------------------------------------------------------------------------------------------


def question(what: str) -> dict[str, list[Match]]:
    """How the columns id, key, url, sha256 and provenance match a question; one of no known form matches nothing."""
    text = what.strip()
    digits = text.lower().removeprefix("sha256:")
    tests: dict[str, list[Match]] = {"id": [], "key": [], "url": [], "sha256": [], "provenance": []}
    if re.fullmatch("[0-9a-f]{4,64}", digits):
        if len(digits) <= 32:
            tests["id"].append(equals(digits) if len(digits) == 32 else begins(digits))
        if len(digits) != 32:
            tests["sha256"].append(equals(digits) if len(digits) == 64 else begins(digits))
    if re.fullmatch(r"[a-z]?\d{11,12}", text):
        tests["key"].append(equals(text))
    plain, _, fragment = text.partition("#")
    if (host := host_as_stored(text)) is not None and ("." in host or host == "localhost"):
        tests["url"].append(on_host(host))
    if stored := as_stored(text):
        tests["url"].append(address(stored, fragment))
    elif "/" in plain:  # an address without its scheme, or the row of a file
        spelled = (as_stored(f"{scheme}://{plain}") for scheme in ("http", "https"))
        tests["url"] += [address(stored, fragment) for stored in spelled if stored]
        tests["url"].append(row_of_file(plain))
        tests["provenance"] += [came_from(*place) for place in [plain.rsplit("/", 1)] if place[1].isdigit()]
    return tests


def equals(value: str) -> Match:
    return Match(lambda column: pc.equal(column, value), value, value)


def begins(value: str) -> Match:
    return Match(lambda column: pc.starts_with(column, value), value, value + "\U0010ffff")


def one_of(values: Sequence[str]) -> list[Match]:
    if not values:
        return []
    among = pa.array(values, pa.string())
    return [Match(lambda column: pc.is_in(column, value_set=among), min(values), max(values))]


def on_host(host: str) -> Match:
    """Addresses on a host and its subdomains."""
    pattern = rf"^[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#]*[@.])?{re.escape(host)}\.?(?::[0-9]*)?(?:[/?#]|$)"
    return Match(lambda column: pc.match_substring_regex(column, pattern, ignore_case=True))


def row_of_file(text: str) -> Match:
    """Addresses of rows of files (manifests.urls.OF_FILES) that end with FILE/ROW, and of files that end with FILE."""
    pattern = rf"^(?:{'|'.join(OF_FILES)}):(?:.*/)?{re.escape(quote(text, safe='/:%'))}(?:#.*)?$"
    return Match(lambda column: pc.match_substring_regex(column, pattern))


def came_from(file: str, offset: str) -> Match:
    """Provenances (manifests.schema.PROVENANCE) at this place of a file, which may be named without its folders."""

    def test(column: pa.ChunkedArray) -> pa.ChunkedArray:
        files = pc.struct_field(column, "file")
        named = pc.or_(pc.equal(files, file), pc.ends_with(files, f"/{file}"))
        return pc.and_(named, pc.equal(pc.struct_field(column, "offset"), int(offset)))

    return Match(test)


def address(stored: str, fragment: str = "") -> Match:
    """Addresses with this stored form (`as_stored`), in any spelling; and with this fragment where they have one."""
    words = re.split(r"%[0-9A-F]{2}|[^A-Za-z0-9]", stored.partition("://")[2].partition("/")[2] or stored)
    word, host = max(words, key=len), host_of(stored)

    def test(column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Comparing a few candidates is slow, so first the host and the longest word of the path must be there."""
        likely = pc.match_substring(column, word)
        if host:
            likely = pc.and_(likely, pc.match_substring(column, host, ignore_case=True))
        candidates = np.flatnonzero(pc.fill_null(likely, False).to_numpy())
        out = np.zeros(len(column), np.bool_)
        for place, url in zip(candidates, column.take(pa.array(candidates)).to_pylist(), strict=True):
            own = url.partition("#")[2]
            out[place] = as_stored(url) == stored and (not fragment or own in ("", fragment))
        return pa.chunked_array([pa.array(out)])

    return Match(test)


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(
    run: RunFiles,
    files: Sequence[str],
    tests: Mapping[str, Sequence[Match]],
    most: int,
    columns: Sequence[str] | None = None,
) -> tuple[list[Row], int]:
    """The first `most` rows of some Parquet files of which a column matches, and how many there are."""
    tests = {column: matches for column, matches in tests.items() if matches}
    if not tests or not files:
        return [], 0
    rows: list[Row] = []
    total = 0
    with ThreadPoolExecutor(min(_THREADS, len(files))) as pool:
        for number, some in pool.map(_of_file, repeat(run), files, repeat(tests), repeat(most), repeat(columns)):
            total += number
            rows += some[: most - len(rows)]
    return rows, total


def _of_each_source(
    run: RunFiles, files: Sequence[str], tests: Mapping[str, Sequence[Match]], most: int
) -> tuple[list[Row], int]:
    """Rows of the ledger's documents. If there are more than `most`, every source with a match is among them."""
    sources: dict[str, list[str]] = {}
    for file in files:
        sources.setdefault(_TABLE.sub("", file), []).append(file)
    matched = sorted((_rows(run, own, tests, most) for own in sources.values()), key=lambda rows: rows[1])
    rows: list[Row] = []
    for place, (some, _) in enumerate(matched):  # the smallest first; what it does not need is left for the others
        rows += some[: (most - len(rows)) // (len(matched) - place)]
    return rows, sum(total for _, total in matched)


def _of_file(
    run: RunFiles, file: str, tests: Mapping[str, Sequence[Match]], most: int, columns: Sequence[str] | None
) -> tuple[int, list[Row]]:
    source: Any = run.paths([file])[0] if run.local else run.open(file)
    rows: list[Row] = []
    total = 0
    with pq.ParquetFile(source) as parquet:
        for group in range(parquet.num_row_groups):
            possible = dict(_possible(parquet.metadata.row_group(group), tests))
            if not possible:
                continue
            table = parquet.read_row_group(group, list(possible), use_threads=False)
            masks = [match.test(table[column]) for column, matches in possible.items() for match in matches]
            mask = reduce(pc.or_, (pc.fill_null(mask, False) for mask in masks))
            places = np.flatnonzero(mask.to_numpy())
            total += len(places)
            if len(places) and len(rows) < most:
                full = parquet.read_row_group(group, columns and list(columns), use_threads=False)
                rows += full.take(pa.array(places[: most - len(rows)])).to_pylist()
    if not run.local:
        source.close()
    return total, rows


def _possible(group: Any, tests: Mapping[str, Sequence[Match]]) -> Iterator[tuple[str, list[Match]]]:
    """The tests that some row of a row group may pass, by the least and greatest value of each column."""
    for i in range(group.num_columns):
        column = group.column(i)
        name, _, field = column.path_in_schema.partition(".")  # the columns of a struct are its fields
        if name in tests:
            low, high = None, None
            if not field and column.statistics is not None and column.statistics.has_min_max:
                low, high = column.statistics.min, column.statistics.max
            matches = [m for m in tests[name] if _between(m, low, high)]
            if matches:
                yield name, matches


def _between(match: Match, low: str | None, high: str | None) -> bool:
    below = match.high is not None and low is not None and match.high < low
    above = match.low is not None and high is not None and match.low > high
    return not below and not above


def _keys(run: RunFiles, index: Sequence[str], keys: Sequence[Match]) -> list[Match]:
    """Matches of the ids of the samples with a key: one of each source has it."""
    rows, _ = _rows(run, index, {"key": keys}, MOST, ["id"])
    return one_of([row["id"] for row in rows])


def _samples(run: RunFiles, index: Sequence[str], tests: Mapping[str, list[Match]], most: int, answer: Answer) -> None:
    """The answer of a published copy: its samples."""
    matched = {column: tests[column] for column in ("id", "key", "url")}
    columns = ["id", "key", "source", "split", "offset", "url", "n_images", "n_text_tokens"]
    rows, total = _rows(run, index, matched, most, columns)
    answer.more["samples"] += total - len(rows)
    for row in rows:
        size = f"{row['n_images']} images, {row['n_text_tokens']} tokens"
        answer.add(row, f"{row['source']} document {row['id']} ({row['url']}): {_place(row)}, {size}")


# --- lines ------------------------------------------------------------------------------------------------------------


def _document(row: Row) -> str:
    document = f"{row['source']} document {row['id']} ({row['url']})"
    if row["keep"]:
        return f"{document}: kept, in {row['split']}, {row['images']} images, {row['tokens']} tokens"
    relation = "as" if row["reason"] == "contaminated_text" else "a duplicate of"
    survivor = f", {relation} {row['survivor']}" if row["survivor"] else ""
    return f"{document}: dropped, {_why(row)}{survivor}"


def _other(table: str, row: Row) -> str:
    if table == "refused":
        place = row.get("provenance") or {"file": "an input", "offset": None}
        name = row["url"] or f"{place['file']}/{place['offset']}"
        return f"{name}: never became a document, {row['reason']}"
    if table == "pages":
        return f"{row['url']}: crawled, {row['status']}"
    size = f", {row['width']}x{row['height']} {row['format']}, sha256 {row['sha256']}"
    return f"image {row['url']}: {row['status']}{size if row['status'] == 'ok' else ''}"


def _part(table: str, row: Row) -> str:
    if table == "images":
        return f"image {row['image']} at node {row['node']} of document {row['id']}: dropped, {_why(row)}"
    return f"paragraph at node {row['node']} of document {row['id']}: dropped, {_why(row)}: {row['text'][:80]!r}"


def _place(row: Row) -> str:
    return f"sample {row['key']} of {row['source']} {row['split']}, byte {row['offset']} of its shard"


def _why(row: Row) -> str:
    """The reason, the score, and the limit where the rule has one."""
    if row.get("score") is None:
        return str(row["reason"])
    limit = "" if row.get("threshold") is None else f", limit {row['threshold']:g}"
    return f"{row['reason']} ({row['score']:.4g}{limit})"


def counts(more: Mapping[str, int]) -> str:
    """What is not shown, in words."""
    return ", ".join(f"{n:,} {name}" for name, n in more.items() if n)
