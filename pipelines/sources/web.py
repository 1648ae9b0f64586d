"""The kind `web`: interleaved documents from web pages.

Readers: WARC files, a crawl from seeds, Common Crawl's index, a datatrove reader, and releases of other projects.
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from dedup.paragraphs import Paragraphs
from dedup.sign import Sign
from pipelines.crawl import index
from pipelines.crawl.commoncrawl import CommonCrawl as FetchCaptures
from pipelines.crawl.conditional import EARLIER
from pipelines.crawl.live import Crawl as CrawlHosts
from pipelines.crawl.live import hosts_of
from pipelines.engine.plan import StepOutput
from pipelines.engine.run import RunError
from pipelines.engine.stage import Step, shuffle
from pipelines.engine.storage import Store
from pipelines.formats import from_datatrove, pieces, releases
from pipelines.html.stages import Extract
from pipelines.sources.base import (
    REFUSED,
    Documents,
    Kind,
    Listing,
    Reading,
    Row,
    Source,
    choose,
    choose_files,
    per_part,
    reader_step,
)
from pipelines.sources.files import lister
from pipelines.sources.rows import row_steps
from pipelines.sources.tables import Datatrove, Near, RecipeError, SourceTable, Strings, Table, fault_of
from pipelines.warc.read import warc_slices

HOSTS_A_PART = 16  # crawled side by side, each at its own polite pace
CAPTURES_A_PART = 5000  # of Common Crawl, fetched in one partition: about 100 MB of compressed pages
COUNT = {**REFUSED, "documents": ("lang",)}


class Crawl(Table):
    """The polite crawl of `seeds`. It stays on the seeds' hosts."""

    max_pages: int = Field(1000, ge=1, description="of one host")
    max_depth: int = Field(5, ge=0)
    delay_s: float = Field(0.5, ge=0, description="between two requests to a host; robots.txt may ask for more")
    deadline_s: float = Field(30, gt=0, description="total, for one address")
    max_bytes: int = Field(50 << 20, ge=1, description="of one response")
    crawl_delay_cap_s: float = Field(30, ge=0, description="a longer Crawl-delay of robots.txt counts as this")


class CommonCrawl(Table):
    """Pages of Common Crawl, chosen in its columnar index before anything is fetched."""

    index: Strings = Field(
        description="Parquet files of the index: paths, globs or fsspec URLs, such as s3://commoncrawl/cc-index/table/..."
    )
    where: dict[str, Any] = Field(
        {}, description="column -> value, list of values, {min, max} or null; successful HTML pages if empty"
    )
    prefix: str = Field("https://data.commoncrawl.org/", description="of the WARC files: https, s3 or a folder")
    threads: int = Field(8, ge=1, description="concurrent requests of one partition")


class Release(Table):
    """Documents that others have published."""

    format: str = Field(description="obelics, mint1t, mmc4, or the import path of a function (docs/extending.md)")
    files: Strings = Field(
        description="paths, globs, fsspec URLs: Parquet (obelics, mint1t), .tar (mint1t's PDF part), JSON lines (mmc4)"
    )


class Web(SourceTable):
    """Interleaved documents from web pages."""

    kind: Literal["web"]
    warc: Strings = Field([], description="WARC files: paths, globs or fsspec URLs")
    seeds: Strings = Field([], description="addresses to crawl from")
    crawl: Crawl = Crawl()
    commoncrawl: CommonCrawl | None = None
    datatrove: Datatrove | None = Field(None, description="documents of a datatrove reader, treated as pages")
    releases: list[Release] = Field([], description="documents of OBELICS, MINT-1T or mmc4, treated as pages")
    preset: str = "obelics"
    near: Near = Near()
    refuse_optout: bool = Field(True, description="leave out pages that reserve themselves (noai, TDM reservation)")
    paragraph_uses: int = Field(
        2,
        ge=0,
        description="pages of a host that may share a paragraph; in more, it leaves (OBELICS: 2); 0: any number",
    )


def _listings(name: str, web: Web) -> list[Listing]:
    if not (web.warc or web.seeds or web.commoncrawl or web.datatrove or web.releases):
        raise RecipeError(
            f"{name}: no input; give {name}.warc (WARC files), {name}.seeds (addresses to crawl from), "
            f"{name}.commoncrawl (an index), {name}.datatrove (a reader) or {name}.releases (OBELICS, MINT-1T, mmc4)"
        )
    out = [Listing("warc", lister(web.warc, ".warc.gz"))]
    if web.commoncrawl is not None:
        with fault_of(f"{name}.commoncrawl.where.", index.ChoiceError):
            index.where(web.commoncrawl.where)
        out.append(Listing("commoncrawl.index", lister(web.commoncrawl.index, ".parquet")))
    out += datatrove_listing(web.datatrove)
    for i, release in enumerate(web.releases):
        with fault_of(f"{name}.releases.{i}.format: "):
            suffixes = releases.release_format(release.format).suffixes
        out.append(Listing(f"releases.{i}.files", lister(release.files, suffixes)))
    return out


def _steps(source: Source, reading: Reading, upstream: Mapping[str, Documents]) -> Documents:
    web: Web = source.table
    crawls = [_crawl(source, reading)] if web.seeds else []
    captures = _captures(source, reading) if web.commoncrawl is not None else []
    pages = []
    if web.warc or crawls or captures:
        pages.append(_extract(source, reading, [step.name for step in (*crawls, *captures[-1:])]))
    others = [*datatrove_step(source, reading, "web"), *_releases(source, reading)]
    crawl_names, page_names = ([step.name for step in steps] for steps in (crawls, pages))
    other_names = [step.name for step in others if "documents" in step.stage.tables]
    documents = (*page_names, *other_names)
    steps = (*crawls, *captures, *pages, *others)
    return Documents(steps, documents, pdfs=tuple(page_names), crawls=tuple(crawl_names))


def _crawl(source: Source, reading: Reading) -> Step:
    web: Web = source.table
    hosts = [(host, seeds) for host, seeds in hosts_of(web.seeds) if not reading.blocked.host(host)]
    hosts = choose(hosts, reading.limit)
    groups = [hosts[i : i + HOSTS_A_PART] for i in range(0, len(hosts), HOSTS_A_PART)]
    rows = [pa.table({"host": [h for h, _ in group], "seeds": [s for _, s in group]}) for group in groups]
    private = tuple(reading.fetch.allow_private)
    stage = CrawlHosts(**web.crawl.model_dump(), allow_private=private, user_agent=reading.user_agent)
    recorded: dict[str, Any] = {"recorded": True, "earlier": EARLIER}
    return Step(source.step("crawl"), stage, rows=lambda outputs: rows, count={"pages": ("status",)}, **recorded)


def _captures(source: Source, reading: Reading) -> list[Step]:
    """Choose captures in Common Crawl's index, then fetch them."""
    table = source.table.commoncrawl
    conditions = index.where(table.where)
    matching = [file for file in source.files["commoncrawl.index"] if index.wanted(file["path"], conditions)]
    files = choose_files(matching, reading.limit)
    if not files:
        raise RunError(f"{source.name}.commoncrawl.index: no file of the crawl and subset that `where` asks for")
    choice = index.Choose(index.field_of(conditions))
    chosen = reader_step(source.step("index"), choice, files, index.INDEX, reading, count={})
    private = tuple(reading.fetch.allow_private)
    fetch = FetchCaptures(table.prefix, table.threads, allow_private=private, user_agent=reading.user_agent)
    reads = {"chosen": shuffle("chosen", chosen.name)}
    how: dict[str, Any] = {"recorded": True, "previous": ("fetched", "place"), "per_part": ("rows", CAPTURES_A_PART)}
    return [chosen, Step(source.step("commoncrawl"), fetch, reads, count=REFUSED, **how)]


def _extract(source: Source, reading: Reading, after: list[str]) -> Step:
    """Documents from WARC files: the recipe's, and those that the steps of `after` wrote."""
    web: Web = source.table
    slices = [piece for file in source.files["warc"] for piece in warc_slices(file)]

    def rows(outputs: Mapping[str, StepOutput]) -> list[pa.Table]:
        pieces = list(slices)
        for name in after:
            written = _warc_files(outputs[name], name.rpartition(".")[2], reading.root)
            if not written:
                raise RunError(_nothing_fetched(source.name, name, outputs[name], web))
            pieces += written
        return [pa.Table.from_pylist([piece]) for piece in pieces]

    stage = Extract(refuse_optout=web.refuse_optout, limit=per_part(reading.limit, len(slices)))
    return Step(source.step("extract"), stage, rows=rows, after=tuple(after), count=COUNT, deadline_s=60)


def _warc_files(output: StepOutput, reader: str, root: str) -> list[Row]:
    """The WARC files that a crawl or Common Crawl's captures wrote, as slices. None where no page was fetched."""
    pages = output.counts.get("pages", {}).get("status", {})
    if reader == "crawl" and not pages.get("ok"):
        return []
    out = []
    for number, part in enumerate(output.parts):
        if "warc" in part.files:
            file = part.files["warc"]
            piece: Row = {"path": Store(root).path(file.name), "offset": 0, "length": file.bytes}
            # named by the kind, not by the source: a renamed source keeps its documents as they are
            piece |= {"file": f"web.{reader}/{number:05d}.warc.gz", "size": file.bytes, "changed": file.sha256}
            if "fetched" in part.files:
                piece["origins"] = os.path.basename(part.files["fetched"].name)
            out.append(piece)
    return out


def _nothing_fetched(name: str, step: str, output: StepOutput, web: Web) -> str:
    if step.endswith(".crawl"):
        statuses = output.counts.get("pages", {}).get("status", {})
        why = ", ".join(f"{status} {n}" for status, n in sorted(statuses.items()))
        return (
            f"{step}: none of {len(web.seeds)} seeds gave a page ({why}); check the network and the proxy variables, "
            f"then run again with --refresh {step}"
        )
    reasons = output.counts.get("refused", {}).get("reason", {})
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
    why = why or f"{name}.commoncrawl.where chooses nothing in the index"
    return f"{step}: no page ({why}); check {name}.commoncrawl.prefix and where, then run again with --refresh {step}"


def datatrove_listing(table: Datatrove | None) -> list[Listing]:
    """The inputs of a datatrove reader, for sources of kind web and text."""
    if table is None:
        return []
    return [Listing("datatrove", partial(from_datatrove.inputs, table.reader, table.arguments, table.shards))]


def datatrove_step(source: Source, reading: Reading, kind: str) -> list[Step]:
    """The documents of a datatrove reader, for sources of kind web and text; no step where the source names none."""
    table: Datatrove | None = source.table.datatrove
    if table is None:
        return []
    rows = choose_files(source.files["datatrove"], reading.limit)
    arguments, limit = tuple(table.arguments.items()), per_part(reading.limit, len(rows))
    stage = from_datatrove.FromDatatrove(table.reader, arguments, kind, table.paragraphs, limit)
    tables = from_datatrove.parts(rows)
    return [Step(source.step("datatrove"), stage, rows=lambda outputs: tables, count=COUNT)]


def _releases(source: Source, reading: Reading) -> list[Step]:
    files = [
        {**file, "format": release.format}
        for i, release in enumerate(source.table.releases)
        for file in source.files[f"releases.{i}.files"]
    ]
    if not files:
        return []
    listed = [piece for file in choose_files(files, reading.limit) for piece in pieces.pieces(file)]
    formats = tuple(sorted({release.format for release in source.table.releases}))
    options: dict[str, Any] = {"count": COUNT, "deadline_s": 60}
    return row_steps(source, "releases", releases.Releases(formats), listed, releases.INPUTS, reading, **options)


def sign_near(near: Near) -> Sign:
    return Sign(near=near.enabled, bands=near.bands, rows=near.rows, shingle=near.shingle)


WEB = Kind(
    name="web",
    title="Interleaved web documents",
    layout="interleaved",
    table=Web,
    listings=_listings,
    steps=_steps,
    sign=lambda web: sign_near(web.near),
    threshold=lambda web: web.near.threshold,
    repeated=Paragraphs(by_host=True),
    most_uses=lambda web: web.paragraph_uses,
    one_image=False,
)
