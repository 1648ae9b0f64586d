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

from collections.abc import Mapping, Sequence
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
from pipelines.recipe.schema import Recipe
from pipelines.select.duplicate_key import DuplicateKeys
from pipelines.select.evaluation import INPUTS, Evaluation
from pipelines.select.forget import Listed
from pipelines.select.links import Links
from pipelines.select.select import Select
from pipelines.sources.base import REFUSED, Documents, Reading, Scope, Source, row_tables
from shards import forget
from shards.forget import Forgotten
from shards.output import WriteOutput
from shards.write import Pack

SPLITS = ("train", "validation")
LISTED = "forget.listed"  # the step with the recipe's block-list
ASKED = "forget.asked"  # the step with the run's takedowns


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
        return self.source.step(name)


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
    steps = _lists(resolved, root)
    lists = [step.name for step in steps]
    if (table := recipe.decontaminate) is not None:  # first: a fault of its files is known before other work
        stage = Evaluation(Overlap(table.words, table.whole))
        steps.append(Step("evaluated", stage, rows=row_tables(resolved.evaluations, INPUTS)))
    documents: dict[str, Documents] = {}
    for source in resolved.sources:
        documents[source.name] = source.kind.steps(source, reading, documents)
        steps += documents[source.name].steps
    scopes = scopes_of(recipe, resolved.sources, documents)
    for scope in scopes:
        steps += _decided(scope, resolved, lists)
    images = ImageSteps(resolved)
    steps += images.fetched()
    planned: dict[str, PlannedSource] = {}
    for scope in scopes:
        steps += [*images.counted(scope), *_repeated(scope, resolved)]
        for source in scope.members:
            blobs, counted = images.holders[scope.name], None
            if scope.kind.has_images:
                relevance, counted = images.of_source(scope, source)
                steps += relevance
            steps += selected(recipe, scope, source, counted, blobs, lists)
            planned[source.name] = PlannedSource(source, documents[source.name], scope.name, blobs)
    sources = tuple(planned[source.name] for source in resolved.sources)
    return Plan(tuple(steps), partitions_for(resolved.input_bytes), sources, limit)


def partitions_for(input_bytes: int) -> int:
    """Key ranges of the shuffles: a power of two, one for about every 8 MB of input, at least 16 and at most 16,384.

    The number depends on the input alone, never on the workers, so that every cluster makes the same output.
    """
    return 1 << min(14, max(4, (input_bytes >> 23).bit_length()))


def scopes_of(recipe: Recipe, sources: Sequence[Source], documents: Mapping[str, Documents]) -> list[Scope]:
    """The groups of sources whose documents are compared."""
    across = recipe.dedup.across == "kind"
    members: dict[str, list[Source]] = {}
    for source in sources:
        members.setdefault(source.kind.name if across else source.name, []).append(source)
    return [Scope(name, tuple(group), documents) for name, group in members.items()]


# --- scores, decisions, duplicates ------------------------------------------------------------------------------------


def _decided(scope: Scope, resolved: Resolved, lists: Sequence[str]) -> list[Step]:
    """Scores, decisions and duplicates of the sources of one scope, and the links of their images."""
    steps = [step for source in scope.members for step in _scored(scope, source, resolved)]
    first, signed = scope.members[0], scope.steps("sign")
    sign = first.kind.sign(first.table)
    group, components, gather = (scope.step(name) for name in ("group", "components", "gather"))
    clustered = {"membership": by_part("membership", components), "signatures": aligned("signatures", *signed)}
    verify, clusters = Verify(first.kind.threshold(first.table)), {"clusters": shuffle("clusters", gather)}
    steps += [
        Step(group, Group(), {"bands": shuffle("bands", *signed)}, per_part=("rows", 5_000_000)),
        Step(components, Components(), {"edges": broadcast("edges", group)}),
        Step(gather, GatherClusters(sign.bands * sign.rows), clustered),
        Step(scope.step("verify"), verify, clusters, count={"duplicates": ("reason",)}),
    ]
    listed = _forgotten([name for name in lists if name == LISTED])
    for source in scope.members if scope.kind.has_images else ():
        reads = {**scope.survivors(source), **listed}
        steps.append(Step(source.step("links"), Links(source.rules), reads, follows=scope.steps("links", source)))
    return steps


def _scored(scope: Scope, source: Source, resolved: Resolved) -> list[Step]:
    reads = {"documents": scope.documents_of(source)}
    text = source.table.text
    flagged, common = (tuple(sorted(lists.items())) for lists in (text.flagged_words, text.common_words))
    scores = TextScores(language_model=text.language_model, flagged_by_language=flagged, common_words=common)
    stages = {"score": scores, **{f"score.{stage.name}": stage for stage in source.scores}}
    steps = [
        Step(source.step(name), stage, reads, same_rows=("scores",), count=getattr(stage, "count", {}))
        for name, stage in stages.items()
    ]
    scored = {name: aligned("scores", source.step(name)) for name in stages}
    decide, count = Decide(without_image_limit(source.rules)), {"decisions": ("reason", "node_reason")}
    steps.append(Step(source.step("decide"), decide, {**reads, **scored}, same_rows=("decisions",), count=count))
    sign = source.kind.sign(source.table)
    signed = {**reads, "decisions": aligned("decisions", source.step("decide"))}
    if source.table.duplicate_key is not None:
        keys = source.step("duplicate_keys")
        steps.append(Step(keys, DuplicateKeys(source.table.duplicate_key), reads, same_rows=("keys",)))
        signed["keys"] = aligned("keys", keys)
        sign = replace(sign, by_key=True)
    if prefer := resolved.recipe.dedup.prefer:
        sign = replace(sign, rank=prefer.index(source.name) if source.name in prefer else len(prefer))
    follows = scope.steps("sign", source)
    return [*steps, Step(source.step("sign"), sign, signed, same_rows=("signatures",), follows=follows)]


def without_image_limit(rules: Rules) -> Rules:
    """The rules as they are asked before images are fetched: how many images are left is asked last (`Select`)."""
    document = tuple(replace(rule, max=None) if rule.score == "images" else rule for rule in rules.document)
    return replace(rules, document=document)


def _repeated(scope: Scope, resolved: Resolved) -> list[Step]:
    """Texts that too many documents share, and documents that share text with an evaluation."""
    steps: list[Step] = []
    uses, decontaminate = scope.text_uses, resolved.recipe.decontaminate
    for source in scope.members:
        decisions = aligned("decisions", source.step("decide"))
        reads = {"documents": scope.documents_of(source), "decisions": decisions}
        if uses:
            follows = scope.steps("paragraphs", source)
            steps.append(Step(source.step("paragraphs"), scope.kind.repeated, reads, follows=follows))
        if decontaminate is not None:
            reads = {**reads, "evaluated": broadcast("evaluated", "evaluated")}
            follows = scope.steps("matches", source)
            matches = Matches(Overlap(decontaminate.words, decontaminate.whole))
            steps.append(Step(source.step("matches"), matches, reads, follows=follows))
    if uses:
        paragraphs = shuffle("paragraphs", *scope.steps("paragraphs"))
        steps.append(Step(scope.step("repeated"), RepeatedParagraphs(uses), {"paragraphs": paragraphs}))
    if decontaminate is not None:
        reads = {"matches": shuffle("matches", *scope.steps("matches"))}
        steps.append(Step(scope.step("contaminated"), Contaminated(decontaminate.common), reads))
    return steps


# --- the last selection, and shards -----------------------------------------------------------------------------------


def selected(
    recipe: Recipe, scope: Scope, source: Source, images: Input | None, blobs: Sequence[str], lists: Sequence[str]
) -> list[Step]:
    """The last steps of one source, which read only tables of earlier steps.

    images: the source's images with their scores; None for a kind without images. blobs: the steps that hold the
    images. lists: the steps with what must not be in the data.
    """
    kind, table = source.kind, source.table
    limits = next((rule for rule in source.rules.document if rule.score == "images"), Rule("images"))
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
        text_uses=kind.most_uses(table),
        repeat=getattr(table, "repeat", None),
    )
    steps: list[Step] = []
    reads = scope.survivors(source)
    if images is not None:
        reads["images"] = images
    if pages := scope.documents[source.name].pages:
        reads["pages"] = aligned("pages", *pages)
    if scope.text_uses:
        reads["paragraphs"] = by_part("repeated", scope.step("repeated"))
    if recipe.decontaminate is not None:
        reads["evaluated"] = broadcast("evaluated", "evaluated")
        reads["contaminated"] = by_part("contaminated", scope.step("contaminated"))
        stage = replace(stage, bits=recipe.decontaminate.bits)
    reads |= _forgotten(lists)
    select, follows = source.step("select"), scope.steps("select", source)
    count = {"documents": ("reason", "split", "images", "tokens"), "texts": ("reason",), "images": ("reason",)}
    steps.append(Step(select, stage, reads, same_rows=("documents",), count=count, follows=follows))
    for split in SPLITS:
        steps.append(
            Step(
                source.step(split),
                Pack(source.name, source.layout, split, recipe.shards.longest_side, recipe.tokenizer),
                {"documents": shuffle(split, select), "blobs": paths("blobs", *blobs)},
                adds_up={"documents": ("index", "refused")},
                per_part=("weight", recipe.shards.bytes),
                count={"index": ("n_images", "n_text_tokens"), **REFUSED},
            )
        )
        for output in table.outputs:
            write = WriteOutput(source.name, source.layout, output.writer, frozen_arguments(output.arguments))
            reads = {"index": aligned("index", source.step(split)), "tar": paths("tar", source.step(split))}
            steps.append(Step(source.step(f"output.{output.name}.{split}"), write, reads))
    return steps


# --- what must not be in the data -------------------------------------------------------------------------------------


def _lists(resolved: Resolved, root: str) -> list[Step]:
    """The recipe's block-list and the run's takedowns, each where it has an entry."""
    store = Store(root)
    taken_down = forget.read(store.read(forget.NAME) if store.exists(forget.NAME) else None, store.path(forget.NAME))
    steps = []
    for name, entries in ((LISTED, resolved.blocklist), (ASKED, taken_down)):
        if entries:
            steps.append(listed_step(name, entries))
    return steps


def listed_step(name: str, entries: Sequence[forget.Entry]) -> Step:
    """The step with the entries of a list."""
    rows = pa.Table.from_pylist([entry._asdict() for entry in entries], schema=forget.LIST)
    return Step(name, Listed(), rows=lambda outputs: [rows])


def _forgotten(lists: Sequence[str]) -> dict[str, Input]:
    """The input of a step that obeys lists: LISTED before anything is fetched, all of them in the last selection."""
    return {"forgotten": broadcast("forgotten", *lists)} if lists else {}
