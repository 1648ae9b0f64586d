"""The main job as a plan: which stages a recipe asks for, and which reads what.

All sources go the same way: documents, scores, decisions, duplicates, images, the last selection, shards. Nothing is
run here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from dedup.components import Components
from dedup.decontaminate import Contaminated, Matches
from dedup.group import Group
from dedup.paragraphs import Paragraphs, RepeatedParagraphs
from dedup.sign import Sign
from dedup.verify import Carry, Verify
from filters.decide import Decide
from filters.rules import Rule
from filters.text import TextScores
from ocr.stages import Pages
from pipelines import images
from pipelines.crawl.conditional import EARLIER
from pipelines.crawl.live import Crawl, hosts_of
from pipelines.cut import buckets_for, groups_of, raw_file, slices, some
from pipelines.engine.plan import StepOutput
from pipelines.engine.run import RunError
from pipelines.engine.stage import Step, aligned, broadcast, by_part, paths, shuffle
from pipelines.engine.storage import Store
from pipelines.formats.from_datatrove import FromDatatrove
from pipelines.formats.from_datatrove import parts as datatrove_parts
from pipelines.html.stages import Extract, Pairs, UrlList
from pipelines.recipe import schema as recipes
from pipelines.recipe.resolve import block_list, input_files, read_by_datatrove
from pipelines.select.forget import Listed
from pipelines.select.links import Links
from pipelines.select.select import Select
from pipelines.sources import steps as other
from shards import forget
from shards.forget import Forgotten
from shards.write import Pack

#: the config of the shards each source becomes
CONFIGS = {"web": "interleaved", "pairs": "pairs", "pdf": "ocr", "conversations": "conversations"}
SPLITS = ("train", "validation")

HOSTS_A_PART = 16  # crawled side by side, each politely


@dataclass(frozen=True)
class Job:
    """A recipe's plan, and how finely its exchanges are cut."""

    steps: tuple[Step, ...]
    buckets: int
    sources: tuple[str, ...]
    limit: int | None = None


def job(recipe: recipes.Recipe, root: str, limit: int | None = None) -> Job:
    """The plan of a recipe whose run lives at `root`. `limit`: about that many inputs of each kind, always the same
    ones.
    """
    inputs = input_files(recipe)
    read = read_by_datatrove(recipe)
    steps: list[Step] = []
    sources = []
    fetched: list[str] = []
    if recipe.web is not None:
        steps += _web(recipe, inputs, root, limit) if "web.extract" in _web_nodes(recipe) else []
        steps += _datatrove(recipe, read, limit)
        steps += other.released(recipe, _releases(recipe, inputs, limit), limit)
        steps += _decided("web", _web_nodes(recipe), recipe, _near(recipe.web.near), recipe.web.near.threshold)
        sources.append("web")
        fetched.append("web.links")
    if recipe.pairs is not None:
        made = []
        if recipe.web is not None and recipe.pairs.from_pages:
            steps.append(Step("pairs.pages", Pairs(), {"documents": aligned("documents", *_web_nodes(recipe))}))
            made.append("pairs.pages")
        if inputs["pairs.urls"]:
            rows = [pa.table(raw_file(p)) for p in some(inputs["pairs.urls"], limit)]
            steps.append(Step("pairs.listed", UrlList(), rows=lambda made, rows=rows: rows, count=_REFUSED))  # type: ignore[misc]
            made.append("pairs.listed")
        sign = Sign(by_url=False, by_text=False, near=False, by_pair=True)
        steps += _decided("pairs", tuple(made), recipe, sign, 1.0)
        sources.append("pairs")
        fetched.append("pairs.links")
    if recipe.pdf is not None:
        steps += _pdf(recipe, inputs, root, limit)
        # tables that differ in their numbers are different pages
        sign = replace(_near(recipe.pdf.near), fold_numbers=False)
        steps += _decided("pdf", ("pdf.pages",), recipe, sign, recipe.pdf.near.threshold)
        sources.append("pdf")
    if recipe.conversations is not None:
        steps += other.conversations(recipe, inputs, limit)
        sign = Sign(by_url=False, by_text=False, near=False, by_pair=True)  # many ask the same of different images
        steps += _decided("conversations", ("conversations.read",), recipe, sign, 1.0)
        sources.append("conversations")
        fetched.append("conversations.links")
    if fetched:
        steps += images.fetched(recipe, fetched)
        steps += other.fetched_for_conversations(steps)
    steps += other.evaluated(recipe, inputs)
    for source in sources:
        steps += _packed(source, recipe)
    lists = _lists(recipe, root)
    return Job(
        (*lists, *(_keeping_to(lists, step) for step in steps)),
        buckets_for(inputs, sum(r["size"] for r in read)),
        tuple(sources),
        limit,
    )


_REFUSED: Mapping[str, tuple[str, ...]] = {"refused": ("reason",)}


def _web(recipe: recipes.Recipe, inputs: Mapping[str, list[str]], root: str, limit: int | None) -> list[Step]:
    web = recipe.web
    assert web is not None
    steps = []
    warc = [s for p in inputs["web.warc"] for s in slices(p)]
    crawled = bool(web.seeds)
    if crawled:
        blocked = Forgotten(block_list(recipe))
        hosts = some([(h, s) for h, s in hosts_of(web.seeds) if not blocked.host(h)], limit)
        groups = [hosts[i : i + HOSTS_A_PART] for i in range(0, len(hosts), HOSTS_A_PART)]
        rows = [pa.table({"host": [h for h, _ in g], "seeds": [s for _, s in g]}) for g in groups]
        crawl = Crawl(
            max_pages=web.crawl.max_pages, max_depth=web.crawl.max_depth, delay_s=web.crawl.delay_s,
            deadline_s=web.crawl.deadline_s, max_bytes=web.crawl.max_bytes,
            crawl_delay_cap_s=web.crawl.crawl_delay_cap_s, allow_private=tuple(recipe.fetch.allow_private),
        )  # fmt: skip
        steps.append(
            Step(
                "web.crawl", crawl, rows=lambda made: rows, recorded=True, earlier=EARLIER, count={"pages": ("status",)}
            )
        )

    listed = web.commoncrawl is not None
    steps += other.commoncrawl(
        recipe, [{k: v[0] for k, v in raw_file(p).items()} for p in inputs.get("web.commoncrawl.index", [])], limit
    )

    def sliced(made: Mapping[str, StepOutput]) -> list[pa.Table]:
        found = list(warc)
        if crawled and not made["web.crawl"].counts.get("pages", {}).get("status", {}).get("ok"):
            statuses = ", ".join(
                f"{s} {n}" for s, n in sorted(made["web.crawl"].counts.get("pages", {}).get("status", {}).items())
            )
            raise RunError(
                f"web.crawl: no page of {len(web.seeds)} seeds could be had ({statuses}); look at the network and the proxy "
                "variables, then run again with --refresh web.crawl"
            )
        for n, part in enumerate(made["web.crawl"].parts if crawled else ()):
            if "warc" in part.files:
                f = part.files["warc"]
                file: dict[str, list[Any]] = {
                    "path": [Store(root).path(f.name)],
                    "file": [f"web.crawl/{n:05d}.warc.gz"],
                    "size": [f.bytes],
                    "changed": [f.sha256],
                }
                found.append({**file, "offset": [0], "length": [f.bytes]})
        found += other.fetched(made, root) if listed else []
        return [pa.table(s) for s in found]

    count = {**_REFUSED, "documents": ("lang",)}
    after = (("web.crawl",) if crawled else ()) + (("web.commoncrawl",) if listed else ())
    stage = Extract(refuse_optout=web.refuse_optout)
    if limit is not None:
        stage = replace(stage, limit=max(1, -(-limit // max(1, len(warc)))))
    steps.append(Step("web.extract", stage, rows=sliced, after=after, count=count, deadline_s=60))
    return steps


def _datatrove(recipe: recipes.Recipe, rows: list[dict[str, Any]], limit: int | None) -> list[Step]:
    """The documents of a datatrove reader."""
    table = recipe.web.datatrove if recipe.web is not None else None
    if table is None:
        return []
    stage = FromDatatrove(table.reader, tuple(table.arguments.items()), paragraphs=table.paragraphs)
    if limit is not None:
        chosen = set(some([r["file"] for r in rows], limit))
        rows = [r for r in rows if r["file"] in chosen]
        stage = replace(stage, limit=max(1, -(-limit // len(rows))))
    tables = datatrove_parts(rows)
    return [Step("web.datatrove", stage, rows=lambda made: tables, count={**_REFUSED, "documents": ("lang",)})]


def _pdf(recipe: recipes.Recipe, inputs: Mapping[str, list[str]], root: str, limit: int | None) -> list[Step]:
    pdf = recipe.pdf
    assert pdf is not None
    files = [raw_file(p) for p in some(inputs["pdf.paths"], limit)]
    own = [
        {**{k: v[0] for k, v in f.items()}, "url": f"file:{f['file'][0]}", "offset": None, "length": None}
        for f in files
    ]
    met = pdf.from_pages and "web.extract" in _web_nodes(recipe)

    def parts(made: Mapping[str, StepOutput]) -> list[pa.Table]:
        rows = list(own)
        for n, part in enumerate(made["web.extract"].parts if met else ()):
            if "pdfs" not in part.files or "pdf_bytes" not in part.files:
                continue
            file = part.files["pdf_bytes"]
            table = StepOutput("", [part]).read(Store(root), "pdfs")
            rows += [
                {"path": Store(root).path(file.name), "file": f"web.extract/{n:05d}", "size": r["size"], "changed": file.sha256,
                 "url": r["url"], "offset": r["start"], "length": r["size"]}
                for r in table.to_pylist()
            ]  # fmt: skip
        return [pa.Table.from_pylist(g, schema=_PDF_ROW) for g in groups_of(rows)]

    stage = Pages(dpi=pdf.dpi, longest_side=pdf.longest_side, max_pages=pdf.max_pages, ocr=pdf.ocr == "auto")
    count = {**_REFUSED, "outcomes": ("status",)}
    return [
        Step(
            "pdf.pages",
            stage,
            rows=parts,
            after=("web.extract",) if met else (),
            count=count,
            deadline_s=60,
            batch_rows=1,
        )
    ]


_PDF_ROW = pa.schema(
    [("path", pa.string()), ("file", pa.string()), ("size", pa.int64()), ("changed", pa.string()), ("url", pa.string()),
     ("offset", pa.int64()), ("length", pa.int64())]
)  # fmt: skip


def _decided(
    source: str, documents: tuple[str, ...], recipe: recipes.Recipe, sign: Sign, threshold: float
) -> list[Step]:
    """Scores, decisions and duplicates of one source."""
    d = aligned("documents", *documents)
    rules = recipe.rules(source)
    # how many images are left is asked last (pipelines.select): here only that there is one to begin with
    before = replace(rules, document=tuple(replace(r, max=None) if r.score == "images" else r for r in rules.document))
    n = f"{source}.".__add__
    own = {n(f"score.{s.name}"): s for s in recipe.scores(source)}
    text = getattr(recipe, source).text
    flagged, common = (tuple(sorted(lists.items())) for lists in (text.flagged_words, text.common_words))
    scores = TextScores(language_model=text.language_model, flagged_by_language=flagged, common_words=common)
    return [
        Step(n("score"), scores, {"documents": d}, same_rows=("scores",)),
        *(Step(name, stage, {"documents": d}, same_rows=("scores",)) for name, stage in own.items()),
        Step(
            n("decide"), Decide(before),
            {"documents": d, "scores": aligned("scores", n("score")), **{name: aligned("scores", name) for name in own}},
            same_rows=("decisions",), count={"decisions": ("reason", "node_reason")},
        ),
        Step(n("sign"), sign, {"documents": d, "decisions": aligned("decisions", n("decide"))}, same_rows=("signatures",)),
        Step(n("group"), Group(), {"bands": shuffle("bands", n("sign"))}, per_part=("rows", 5_000_000)),
        Step(n("components"), Components(), {"edges": broadcast("edges", n("group"))}),
        Step(n("carry"), Carry(), {"homes": by_part("homes", n("components")), "signatures": aligned("signatures", n("sign"))}),
        Step(n("verify"), Verify(threshold), {"clusters": shuffle("clusters", n("carry"))}, count={"duplicates": ("reason",)}),
        Step(n("links"), Links(rules), _here(source, documents)),
    ]  # fmt: skip


def _here(source: str, documents: tuple[str, ...]) -> dict[str, Any]:
    return {
        "documents": aligned("documents", *documents),
        "decisions": aligned("decisions", f"{source}.decide"),
        "duplicates": by_part("duplicates", f"{source}.verify"),
    }


def _lists(recipe: recipes.Recipe, root: str) -> list[Step]:
    """What must not be in the data: the recipe's block-list and the run's takedowns, each where it has an entry."""
    store = Store(root)
    own = forget.read(store.read(forget.NAME) if store.exists(forget.NAME) else None, store.path(forget.NAME))
    steps = []
    for name, listed in (("forget.listed", block_list(recipe)), ("forget.asked", own)):
        if listed:
            rows = [pa.Table.from_pylist([e._asdict() for e in listed], schema=forget.LIST)]
            steps.append(Step(name, Listed(), rows=lambda made, rows=rows: rows))  # type: ignore[misc]
    return steps


def _keeping_to(lists: list[Step], step: Step) -> Step:
    """The step, given the lists where it keeps to them: the recipe's before anything is fetched, all of them in the
    last selection.
    """
    stage = step.name.rpartition(".")[2]
    names = [x.name for x in lists if stage == "select" or (stage == "links" and x.name == "forget.listed")]
    return replace(step, inputs={**step.inputs, "forgotten": broadcast("forgotten", *names)}) if names else step


def _packed(source: str, recipe: recipes.Recipe) -> list[Step]:
    """Images, the last selection and shards of one source."""
    rules = recipe.rules(source)
    limits = next((r for r in rules.document if r.score == "images"), Rule("images"))
    documents = {"web": _web_nodes, "pairs": _pair_nodes}.get(source, lambda _: (other.OWN_IMAGES[source],))(recipe)
    n = f"{source}.".__add__
    blobs, _ = other.images_of(source)
    steps = images.known(recipe, *documents) if source in other.OWN_IMAGES else []
    here = _here(source, documents)
    places, counted = images.placed(recipe, source, here)
    most = recipe.text_uses(source)
    select = Select(
        rules,
        images=(0 if limits.min is None else limits.min, float(1 << 30) if limits.max is None else limits.max),
        one_image=source != "web",
        uses=None if source == "conversations" else Select.uses,  # many questions are asked of one image
        by_image=source == "conversations",
        tokenizer=recipe.tokenizer,
        validation=recipe.shards.validation,
        seed=recipe.seed,
        redact=tuple(sorted(getattr(recipe, source).text.redact)),
        text_uses=most,
        repeat=recipe.repeats(source),
    )
    reads = {**here, "images": by_part("counted", counted)}
    if source == "pdf":
        reads["pages"] = aligned("pages", "pdf.pages")
    if most:
        decided = {"documents": aligned("documents", *documents), "decisions": aligned("decisions", n("decide"))}
        steps += [
            Step(n("paragraphs"), Paragraphs(by_host=source == "web"), decided),
            Step(n("repeated"), RepeatedParagraphs(most), {"paragraphs": shuffle("paragraphs", n("paragraphs"))}),
        ]
        reads["paragraphs"] = by_part("repeated", n("repeated"))
    if recipe.decontaminate is not None:
        decided = {"documents": aligned("documents", *documents), "decisions": aligned("decisions", n("decide"))}
        reads["evaluated"] = broadcast("evaluated", "evaluated")
        steps += [
            Step(n("matches"), Matches(other.overlap(recipe)), {**decided, "evaluated": reads["evaluated"]}),
            Step(
                n("contaminated"),
                Contaminated(recipe.decontaminate.common),
                {"matches": shuffle("matches", n("matches"))},
            ),
        ]
        reads["contaminated"] = by_part("contaminated", n("contaminated"))
        select = replace(select, bits=recipe.decontaminate.bits)
    count = {"documents": ("reason", "split", "images", "tokens"), "texts": ("reason",), "images": ("reason",)}
    steps += [*places, Step(n("select"), select, reads, same_rows=("documents",), count=count)]
    for split in SPLITS:
        pack = Pack(CONFIGS[source], split, recipe.shards.longest_side, recipe.tokenizer)
        reads = {"documents": shuffle(split, n("select")), "blobs": paths("blobs", *blobs)}
        count = {"index": ("n_images", "n_text_tokens"), **_REFUSED}
        shares = {"documents": ("index", "refused")}
        steps.append(Step(n(split), pack, reads, adds_up=shares, per_part=("weight", recipe.shards.bytes), count=count))
    return steps


def _web_nodes(recipe: recipes.Recipe) -> tuple[str, ...]:
    web = recipe.web
    if web is None:
        return ()
    given = {
        "web.extract": web.warc or web.seeds or web.commoncrawl,
        "web.datatrove": web.datatrove,
        "web.releases": web.releases,
    }
    return tuple(step for step, there in given.items() if there)


def _pair_nodes(recipe: recipes.Recipe) -> tuple[str, ...]:
    assert recipe.pairs is not None
    pages = ("pairs.pages",) if recipe.web is not None and recipe.pairs.from_pages else ()
    return (*pages, *(("pairs.listed",) if recipe.pairs.urls else ()))


def _near(near: recipes.Near) -> Sign:
    return Sign(near=near.on, bands=near.bands, rows=near.rows, shingle=near.shingle)


def _releases(recipe: recipes.Recipe, inputs: Mapping[str, list[str]], limit: int | None) -> list[dict[str, Any]]:
    given = recipe.web.releases if recipe.web is not None else []
    found = [(r.format, p) for i, r in enumerate(given) for p in inputs[f"web.releases.{i}.files"]]
    return [{**{k: v[0] for k, v in raw_file(p).items()}, "format": layout} for layout, p in some(found, limit)]
