"""The steps of a run, from a resolved recipe. Nothing is run here.

Every source goes through the same steps, whatever its kind:

    of a source   read > score > decide > sign
    of a kind     group > components > gather > verify (duplicates)
    of a source   links
    of the run    fetch
    of a kind     join > count (images)
    of a source   select > train, validation (shards)

Documents of several sources meet in the steps of a kind. Images are fetched once for the whole run. Steps are named
SOURCE.step, KIND.step and step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from dedup.decontaminate import Contaminated, Matches, Overlap
from dedup.group import Components, Group
from dedup.paragraphs import RepeatedParagraphs
from dedup.verify import GatherClusters, Verify
from filters.decide import Decide
from filters.rules import Rule, Rules
from filters.text import TextScores
from manifests.code import frozen_arguments
from pipelines.engine.stage import Input, Step, aligned, broadcast, by_part, paths, shuffle
from pipelines.engine.storage import Store
from pipelines.images import ImageSteps
from pipelines.recipe.resolve import Resolved
from pipelines.select.duplicate_key import DuplicateKeys
from pipelines.select.evaluation import INPUTS, Evaluation
from pipelines.select.forget import Listed
from pipelines.select.links import Links
from pipelines.select.select import Select
from pipelines.sources.base import REFUSED, Documents, Reading, Source, row_tables
from shards import forget
from shards.forget import Forgotten
from shards.output import WriteOutput
from shards.write import Pack

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class PlannedSource:
    """A source and the names of its steps, for what a run's folder shows of it."""

    source: Source
    documents: Documents
    scope: str  # prefix of the steps that its documents share with other sources
    blobs: tuple[str, ...]  # steps that hold its images, in the order in which their partitions are numbered

    @property
    def name(self) -> str:
        return self.source.name

    def step(self, name: str) -> str:
        return f"{self.source.name}.{name}"


@dataclass(frozen=True)
class Plan:
    steps: tuple[Step, ...]
    partitions: int  # key ranges of the shuffles
    sources: tuple[PlannedSource, ...]
    limit: int | None = None


def plan(resolved: Resolved, root: str, limit: int | None = None) -> Plan:
    """The plan of a recipe whose run is below `root`.

    limit: about so many inputs of each kind, always the same ones.
    """
    recipe = resolved.recipe
    reading = Reading(root, limit, recipe.fetch, Forgotten(list(resolved.blocklist)), resolved.user_agent)
    steps: list[Step] = []
    documents: dict[str, Documents] = {}
    for source in resolved.sources:
        documents[source.name] = source.kind.steps(source, reading, documents)
        steps += documents[source.name].steps
    scopes = _scopes(resolved)
    if resolved.evaluations:
        stage = Evaluation(_overlap(resolved))
        steps.append(Step("evaluated", stage, rows=row_tables(resolved.evaluations, INPUTS)))
    for scope, members in scopes.items():
        steps += _decided(scope, members, documents, resolved)
    images = ImageSteps(resolved, scopes, documents)
    steps += images.fetched()
    planned = []
    for scope, members in scopes.items():
        holders, scope_steps = images.counted(scope, members)
        steps += scope_steps
        steps += _repeated(scope, members, documents, resolved)
        for i, source in enumerate(members):
            steps += _selected(scope, source, members[:i], documents, holders, images, resolved)
            planned.append(PlannedSource(source, documents[source.name], scope, holders))
    lists = _lists(resolved, root)
    order = {source.name: i for i, source in enumerate(resolved.sources)}
    planned.sort(key=lambda p: order[p.name])
    steps = [*lists, *(_with_lists(lists, step) for step in steps)]
    return Plan(tuple(steps), partitions_for(resolved.input_bytes), tuple(planned), limit)


def partitions_for(input_bytes: int) -> int:
    """Key ranges of the shuffles: a power of two, one for about every 8 MB of input, at least 16 and at most 16,384.

    The number depends on the input alone, never on the workers, so that every cluster makes the same output.
    """
    return 1 << min(14, max(4, (input_bytes >> 23).bit_length()))


def _scopes(resolved: Resolved) -> dict[str, list[Source]]:
    """The sources whose duplicates are found together, by the prefix of the steps that they share."""
    across = resolved.recipe.dedup.across == "kind"
    scopes: dict[str, list[Source]] = {}
    for source in resolved.sources:
        scopes.setdefault(source.kind.name if across else source.name, []).append(source)
    return scopes


def _follows(suffix: str, before: Iterable[Source]) -> tuple[str, ...]:
    return tuple(f"{source.name}.{suffix}" for source in before)


# --- scores, decisions, duplicates ------------------------------------------------------------------------------------


def _decided(
    scope: str, members: Sequence[Source], documents: Mapping[str, Documents], resolved: Resolved
) -> list[Step]:
    """Scores, decisions and duplicates of the sources of one scope."""
    steps: list[Step] = []
    for i, source in enumerate(members):
        steps += _scored(source, members[:i], documents[source.name], resolved)
    signed = [f"{source.name}.sign" for source in members]
    first = members[0]
    sign = first.kind.sign(first.table)
    n = f"{scope}.".__add__
    steps += [
        Step(n("group"), Group(), {"bands": shuffle("bands", *signed)}, per_part=("rows", 5_000_000)),
        Step(n("components"), Components(), {"edges": broadcast("edges", n("group"))}),
        Step(
            n("gather"),
            GatherClusters(sign.bands * sign.rows),
            {"membership": by_part("membership", n("components")), "signatures": aligned("signatures", *signed)},
        ),
        Step(
            n("verify"),
            Verify(first.kind.threshold(first.table)),
            {"clusters": shuffle("clusters", n("gather"))},
            count={"duplicates": ("reason",)},
        ),
    ]
    for i, source in enumerate(members):
        if source.kind.has_images:
            reads = survivors(scope, source, documents[source.name])
            steps.append(
                Step(f"{source.name}.links", Links(source.rules), reads, follows=_follows("links", members[:i]))
            )
    return steps


def _scored(source: Source, before: Sequence[Source], documents: Documents, resolved: Resolved) -> list[Step]:
    n = f"{source.name}.".__add__
    reads = {"documents": aligned("documents", *documents.documents)}
    text = source.table.text
    flagged, common = (tuple(sorted(lists.items())) for lists in (text.flagged_words, text.common_words))
    scores = TextScores(language_model=text.language_model, flagged_by_language=flagged, common_words=common)
    own = {f"score.{stage.name}": stage for stage in source.scores}
    decide = Decide(without_image_limit(source.rules))
    sign = source.kind.sign(source.table)
    keyed: list[Step] = []
    signed = {**reads, "decisions": aligned("decisions", n("decide"))}
    if source.table.duplicate_key is not None:
        keyed.append(Step(n("duplicate_keys"), DuplicateKeys(source.table.duplicate_key), reads, same_rows=("keys",)))
        signed["keys"] = aligned("keys", n("duplicate_keys"))
        sign = replace(sign, by_key=True)
    prefer = resolved.recipe.dedup.prefer
    if prefer:
        sign = replace(sign, rank=prefer.index(source.name) if source.name in prefer else len(prefer))
    return [
        Step(n("score"), scores, reads, same_rows=("scores",)),
        *(
            Step(n(name), stage, reads, same_rows=("scores",), count=getattr(stage, "count", {}))
            for name, stage in own.items()
        ),
        Step(
            n("decide"),
            decide,
            {**reads, **{name: aligned("scores", n(name)) for name in ("score", *own)}},
            same_rows=("decisions",),
            count={"decisions": ("reason", "node_reason")},
        ),
        *keyed,
        Step(n("sign"), sign, signed, same_rows=("signatures",), follows=_follows("sign", before)),
    ]


def without_image_limit(rules: Rules) -> Rules:
    """The rules as they are asked before images are fetched: how many images are left is asked last (`Select`)."""
    document = tuple(replace(rule, max=None) if rule.score == "images" else rule for rule in rules.document)
    return replace(rules, document=document)


def survivors(scope: str, source: Source, documents: Documents) -> dict[str, Input]:
    """Inputs that say which documents the rules and the search for duplicates left."""
    return {
        "documents": aligned("documents", *documents.documents),
        "decisions": aligned("decisions", f"{source.name}.decide"),
        "duplicates": by_part("duplicates", f"{scope}.verify"),
    }


def _repeated(
    scope: str, members: Sequence[Source], documents: Mapping[str, Documents], resolved: Resolved
) -> list[Step]:
    """Texts that too many documents share, and documents that share text with an evaluation."""
    steps: list[Step] = []
    kind, uses = members[0].kind, members[0].kind.most_uses(members[0].table)
    for i, source in enumerate(members):
        reads = {
            "documents": aligned("documents", *documents[source.name].documents),
            "decisions": aligned("decisions", f"{source.name}.decide"),
        }
        if uses and kind.repeated is not None:
            follows = _follows("paragraphs", members[:i])
            steps.append(Step(f"{source.name}.paragraphs", kind.repeated, reads, follows=follows))
        if resolved.recipe.decontaminate is not None:
            reads = {**reads, "evaluated": broadcast("evaluated", "evaluated")}
            follows = _follows("matches", members[:i])
            steps.append(Step(f"{source.name}.matches", Matches(_overlap(resolved)), reads, follows=follows))
    if uses and kind.repeated is not None:
        paragraphs = shuffle("paragraphs", *_follows("paragraphs", members))
        steps.append(Step(f"{scope}.repeated", RepeatedParagraphs(uses), {"paragraphs": paragraphs}))
    if resolved.recipe.decontaminate is not None:
        matches = shuffle("matches", *_follows("matches", members))
        stage = Contaminated(resolved.recipe.decontaminate.common)
        steps.append(Step(f"{scope}.contaminated", stage, {"matches": matches}))
    return steps


def _overlap(resolved: Resolved) -> Overlap:
    table = resolved.recipe.decontaminate
    assert table is not None
    return Overlap(table.words, table.whole)


# --- the last selection, and shards -----------------------------------------------------------------------------------


def _selected(
    scope: str,
    source: Source,
    before: Sequence[Source],
    documents: Mapping[str, Documents],
    holders: tuple[str, ...],
    images: ImageSteps,
    resolved: Resolved,
) -> list[Step]:
    recipe, kind, table = resolved.recipe, source.kind, source.table
    n = f"{source.name}.".__add__
    limits = next((rule for rule in source.rules.document if rule.score == "images"), Rule("images"))
    uses = kind.most_uses(table)
    stage = Select(
        source.name,
        source.rules,
        images=(0 if limits.min is None else limits.min, float(1 << 30) if limits.max is None else limits.max),
        one_image=kind.one_image,
        uses=kind.image_uses,
        by_image=kind.held_out_by_image,
        tokenizer=recipe.tokenizer,
        validation=recipe.shards.validation,
        seed=recipe.seed,
        redact=tuple(sorted(table.text.redact)),
        text_uses=uses,
        repeat=getattr(table, "repeat", None),
    )
    reads: dict[str, Input] = survivors(scope, source, documents[source.name])
    steps: list[Step] = []
    if kind.has_images:
        steps, reads["images"] = images.of_source(scope, source, before, reads)
    if documents[source.name].pages:
        reads["pages"] = aligned("pages", *documents[source.name].pages)
    if uses and kind.repeated is not None:
        reads["paragraphs"] = by_part("repeated", f"{scope}.repeated")
    if recipe.decontaminate is not None:
        reads["evaluated"] = broadcast("evaluated", "evaluated")
        reads["contaminated"] = by_part("contaminated", f"{scope}.contaminated")
        stage = replace(stage, bits=recipe.decontaminate.bits)
    count = {"documents": ("reason", "split", "images", "tokens"), "texts": ("reason",), "images": ("reason",)}
    follows = _follows("select", before)
    steps.append(Step(n("select"), stage, reads, same_rows=("documents",), count=count, follows=follows))
    for split in SPLITS:
        pack = Pack(source.name, source.layout, split, recipe.shards.longest_side, recipe.tokenizer)
        steps.append(
            Step(
                n(split),
                pack,
                {"documents": shuffle(split, n("select")), "blobs": paths("blobs", *holders)},
                adds_up={"documents": ("index", "refused")},
                per_part=("weight", recipe.shards.bytes),
                count={"index": ("n_images", "n_text_tokens"), **REFUSED},
            )
        )
        for output in table.outputs:
            write = WriteOutput(source.name, source.layout, output.writer, frozen_arguments(output.arguments))
            reads = {"index": aligned("index", n(split)), "tar": paths("tar", n(split))}
            steps.append(Step(n(f"output.{output.name}.{split}"), write, reads))
    return steps


# --- what must not be in the data -------------------------------------------------------------------------------------


def _lists(resolved: Resolved, root: str) -> list[Step]:
    """The recipe's block-list and the run's takedowns, each where it has an entry."""
    store = Store(root)
    taken_down = forget.read(store.read(forget.NAME) if store.exists(forget.NAME) else None, store.path(forget.NAME))
    steps = []
    for name, entries in (("forget.listed", list(resolved.blocklist)), ("forget.asked", taken_down)):
        if entries:
            rows = [pa.Table.from_pylist([entry._asdict() for entry in entries], schema=forget.LIST)]
            steps.append(Step(name, Listed(), rows=lambda outputs, rows=rows: rows))  # type: ignore[misc]
    return steps


def _with_lists(lists: list[Step], step: Step) -> Step:
    """The step with the lists that it obeys: the recipe's before anything is fetched, all of them in the selection."""
    if isinstance(step.stage, Select):
        names = [x.name for x in lists]
    elif isinstance(step.stage, Links):
        names = [x.name for x in lists if x.name == "forget.listed"]
    else:
        names = []
    if not names:
        return step
    return replace(step, inputs={**step.inputs, "forgotten": broadcast("forgotten", *names)})
