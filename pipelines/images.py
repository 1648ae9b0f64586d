"""The steps of images: each address is fetched once, each image is scored once, and both come back to the documents.

Images are in the blobs of the steps that hold them: `fetch`, and steps whose documents bring their own images. The
blobs of one scope are numbered in one sequence: first those of its own steps, then those of `fetch`.
"""

from collections.abc import Sequence
from typing import Any

from filters.own import OwnScore
from filters.pixels import PixelScores
from filters.scores import IMAGE_PIXELS
from filters.vectors import ImageVectors
from pipelines.engine.stage import Input, Step, aligned, by_part, paths, shuffle
from pipelines.fetch.images import Fetch
from pipelines.recipe.resolve import Resolved
from pipelines.select.image_scores import ScoreImages, ScoreTexts, label
from pipelines.select.join import ByAddress, Count, Join
from pipelines.select.relevance import Relevance, TextsOfDocuments, TextVectorsByPart
from pipelines.sources.base import Scope, Source

IMAGES_A_PART = 5000
TEXTS_A_PART = 20_000
FETCH = "fetch"


class ImageSteps:
    """The steps of images of one plan."""

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.fetching = [source for source in resolved.sources if source.kind.fetches]
        self.columns: dict[str, tuple[tuple[str, str], ...]] = {}  # of the images' scores, by scope
        self.holders: dict[str, tuple[str, ...]] = {}  # the steps that hold the images, by scope

    def fetched(self) -> list[Step]:
        """Fetch what the sources' documents link to."""
        if not self.fetching:
            return []
        table = self.resolved.recipe.fetch
        settings = table.model_dump(exclude={"allow_private", "addresses_a_part", "user_agent", "contact"})
        private = tuple(table.allow_private)
        step = Step(
            FETCH,
            Fetch(**settings, allow_private=private, user_agent=self.resolved.user_agent),
            {"wanted": shuffle("wanted", *(source.step("links") for source in self.fetching))},
            recorded=True,
            previous=("outcomes", "url"),
            per_part=("rows", table.addresses_a_part),
            count={"outcomes": ("status", "format")},
        )
        return [step, *self._scored(FETCH, (FETCH,), self.fetching)]

    def counted(self, scope: Scope) -> list[Step]:
        """The steps that tell how often each image of a scope is shown, and its scores.

        The last of them is SCOPE.count, with the table `counted`.
        """
        self.holders[scope.name] = ()
        if not scope.kind.has_images:
            return []
        own = tuple(step for source in scope.members for step in scope.documents[source.name].images)
        groups: dict[str, Sequence[Source]] = {scope.name: scope.members} if own else {}
        steps = self._scored(scope.name, own, scope.members) if own else []
        keys = [scope.step("keys")] if own else []
        if scope.kind.fetches:
            groups[FETCH] = self.fetching
            keys.append(scope.step("fetched") if own else f"{FETCH}.keys")
            if own:
                steps.append(Step(keys[-1], ByAddress(), {"outcomes": aligned("outcomes", FETCH)}, follows=own))
        places = shuffle("places", *scope.steps("links"))
        steps.append(Step(scope.step("join"), Join(), {"places": places, "outcomes": shuffle("outcomes", *keys)}))
        reads = {"images": shuffle("images", scope.step("join"))}
        columns: dict[str, str] = {}
        compared = any(source.name in self.resolved.compared for source in scope.members)
        for prefix, sources in groups.items():
            for name, stage in self._stages(prefix, sources).items():
                if compared or not isinstance(stage, ImageVectors):
                    columns |= {c.name: "vector" if c.name == "vector" else "number" for c in stage.tables["scores"]}
                    # named without the source: a renamed source keeps what is made of its images
                    table = f"{FETCH if prefix == FETCH else 'own'}.{name}"
                    reads[table] = shuffle("scores", f"{prefix}.{name}")
        self.columns[scope.name] = tuple(columns.items())
        steps.append(Step(scope.step("count"), Count(self.columns[scope.name]), reads))
        self.holders[scope.name] = (*own, *([FETCH] if scope.kind.fetches else []))
        return steps

    def of_source(self, scope: Scope, source: Source) -> tuple[list[Step], Input]:
        """The input with the images of one source and their scores (table `counted`), and the steps that make it."""
        counted = by_part("counted", scope.step("count"))
        if source.name not in self.resolved.compared or self.resolved.similarity is None:
            return [], counted
        _, model = self.resolved.similarity
        names = ("texts", label(model), "vectors", "relevance")
        texts, scores, vectors, relevance = (source.step(name) for name in names)
        follows = scope.steps("decide", source)
        by_text = {"texts": shuffle("texts", texts)}
        by_document = {"images": counted, "vectors": by_part("vectors", vectors)}
        recorded = self._recorded("key", TEXTS_A_PART)
        return [
            Step(texts, TextsOfDocuments(), scope.survivors(source), follows=follows),
            Step(scores, ScoreTexts(model), by_text, **recorded),
            Step(vectors, TextVectorsByPart(), {**by_text, "scores": shuffle("scores", scores)}),
            Step(relevance, Relevance(self.columns[scope.name]), by_document, follows=follows),
        ], by_part("counted", relevance)

    def _recorded(self, key: str, a_part: int) -> dict[str, Any]:
        """How the step of a model runs. It may need a GPU, or take long, so its scores are recorded, by `key`."""
        gpus = self.resolved.recipe.images.gpus
        return {"recorded": True, "previous": ("scores", key), "per_part": ("rows", a_part), "gpus": gpus}

    def _scored(self, prefix: str, holders: tuple[str, ...], sources: Sequence[Source]) -> list[Step]:
        """The outcomes of images by address, and the scores of the images, of the steps that hold them.

        Scores of pixels and of own code are made again when their code changes; those of models are recorded.
        """
        stages = self._stages(prefix, sources)
        keys = f"{prefix}.keys"
        steps = [Step(keys, ByAddress(images=bool(stages)), {"outcomes": aligned("outcomes", *holders)})]
        for name, stage in stages.items():
            reads = {"images": shuffle("images", keys), "blobs": paths("blobs", *holders)}
            how: dict[str, Any] = {"per_part": ("rows", IMAGES_A_PART), "deadline_s": 60}
            if not isinstance(stage, PixelScores | OwnScore):
                how = self._recorded("sha256", IMAGES_A_PART)
            steps.append(Step(f"{prefix}.{name}", ScoreImages(stage), reads, count=getattr(stage, "count", {}), **how))
        return steps

    def _stages(self, prefix: str, sources: Sequence[Source]) -> dict[str, Any]:
        """What scores a group of images: what the rules of their sources ask for, and for fetched ones also what the
        recipe lists.
        """
        images, fetched = self.resolved.recipe.images, prefix == FETCH
        asked = {rule.score for source in sources for rule in source.rules.image}
        stages: dict[str, Any] = {}
        if (images.pixels and fetched) or asked & IMAGE_PIXELS.keys():
            stages["pixels"] = PixelScores()
        stages |= {label(model): model for model in self.resolved.image_models if fetched or model.name in asked}
        stages |= {f"own.{stage.name}": stage for source in sources for stage in source.image_scores}
        if self.resolved.similarity is not None and any(source.name in self.resolved.compared for source in sources):
            vectors, _ = self.resolved.similarity
            stages[label(vectors)] = vectors
        return stages
