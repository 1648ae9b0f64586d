"""The steps of images: each address is fetched once, each image is scored once, and both come back to the documents.

Images are in the blobs of the steps that hold them: `fetch`, and steps whose documents bring their own images. The
blobs of one scope are numbered in one sequence: first those of its own steps, then those of `fetch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from pipelines.sources.base import Documents, Source

IMAGES_A_PART = 5000
TEXTS_A_PART = 20_000
FETCH = "fetch"


class ImageSteps:
    """The steps of images of one plan. scopes: sources by the prefix of the steps that they share."""

    def __init__(
        self, resolved: Resolved, scopes: Mapping[str, Sequence[Source]], documents: Mapping[str, Documents]
    ) -> None:
        self.resolved, self.scopes, self.documents = resolved, scopes, documents
        self.columns: dict[str, tuple[tuple[str, str], ...]] = {}  # of the images' scores, by scope

    def fetched(self) -> list[Step]:
        """Fetch what the sources' documents link to."""
        sources = [source for source in self.resolved.sources if source.kind.fetches]
        if not sources:
            return []
        table = self.resolved.recipe.fetch
        stage = Fetch(
            deadline_s=table.deadline_s,
            max_bytes=table.max_bytes,
            max_pixels=table.max_pixels,
            threads=table.threads,
            per_host=table.per_host,
            robots=table.robots,
            allow_private=tuple(table.allow_private),
            user_agent=self.resolved.user_agent,
        )
        step = Step(
            FETCH,
            stage,
            {"wanted": shuffle("wanted", *(f"{source.name}.links" for source in sources))},
            recorded=True,
            previous=("outcomes", "url"),
            per_part=("rows", table.addresses_a_part),
            count={"outcomes": ("status", "format")},
        )
        return [step, *self._scored(FETCH, (FETCH,), sources)]

    def counted(self, scope: str, members: Sequence[Source]) -> tuple[tuple[str, ...], list[Step]]:
        """The steps that hold a scope's images, and the steps that tell how often each image is shown, and its scores.

        The last of them is SCOPE.count, with the table `counted`.
        """
        kind = members[0].kind
        if not kind.has_images:
            return (), []
        own = tuple(step for source in members for step in self.documents[source.name].images)
        steps = self._scored(scope, own, members) if own else []
        keys = [f"{scope}.keys"] if own else []
        if kind.fetches and own:
            fetched = f"{scope}.fetched"
            steps.append(Step(fetched, ByAddress(), {"outcomes": aligned("outcomes", FETCH)}, follows=own))
            keys.append(fetched)
        elif kind.fetches:
            keys.append(f"{FETCH}.keys")
        places = shuffle("places", *(f"{source.name}.links" for source in members))
        steps.append(Step(f"{scope}.join", Join(), {"places": places, "outcomes": shuffle("outcomes", *keys)}))
        reads = {"images": shuffle("images", f"{scope}.join")}
        columns: dict[str, str] = {}
        groups = [(scope, members)] if own else []
        groups += [(FETCH, self._fetching())] if kind.fetches else []
        compared = any(source.name in self.resolved.compared for source in members)
        for prefix, sources in groups:
            for name, stage in self._stages(prefix, sources).items():
                if compared or not isinstance(stage, ImageVectors):
                    columns |= {c.name: "vector" if c.name == "vector" else "number" for c in stage.tables["scores"]}
                    # named without the source: a renamed source keeps what is made of its images
                    table = f"{'own' if prefix == scope else prefix}.{name}"
                    reads[table] = shuffle("scores", f"{prefix}.{name}")
        self.columns[scope] = tuple(columns.items())
        steps.append(Step(f"{scope}.count", Count(self.columns[scope]), reads))
        return (*own, *((FETCH,) if kind.fetches else ())), steps

    def of_source(
        self, scope: str, source: Source, before: Sequence[Source], survivors: Mapping[str, Input]
    ) -> tuple[list[Step], Input]:
        """What is known of the images of one source: more steps, and the input that has it (table `counted`)."""
        counted = by_part("counted", f"{scope}.count")
        if source.name not in self.resolved.compared or self.resolved.similarity is None:
            return [], counted
        _, model = self.resolved.similarity
        n = f"{source.name}.".__add__
        texts, vectors = n("texts"), n(label(model))
        follows = tuple(f"{other.name}.decide" for other in before)
        return [
            Step(texts, TextsOfDocuments(), dict(survivors), follows=follows),
            Step(
                vectors,
                ScoreTexts(model),
                {"texts": shuffle("texts", texts)},
                per_part=("rows", TEXTS_A_PART),
                recorded=True,
                previous=("scores", "key"),
                gpus=self.resolved.recipe.images.gpus,
            ),
            Step(
                n("vectors"),
                TextVectorsByPart(),
                {"texts": shuffle("texts", texts), "scores": shuffle("scores", vectors)},
            ),
            Step(
                n("relevance"),
                Relevance(self.columns[scope]),
                {"images": counted, "vectors": by_part("vectors", n("vectors"))},
                follows=follows,
            ),
        ], by_part("counted", n("relevance"))

    def _fetching(self) -> list[Source]:
        return [source for source in self.resolved.sources if source.kind.fetches]

    def _scored(self, prefix: str, holders: tuple[str, ...], sources: Sequence[Source]) -> list[Step]:
        """The outcomes of images by address, and the scores of the images, of the steps that hold them.

        Scores of pixels and of own code are made again when their code changes. A model may need a GPU, or take long,
        so its scores are recorded.
        """
        stages = self._stages(prefix, sources)
        keys = f"{prefix}.keys"
        steps = [Step(keys, ByAddress(images=bool(stages)), {"outcomes": aligned("outcomes", *holders)})]
        for name, stage in stages.items():
            reads = {"images": shuffle("images", keys), "blobs": paths("blobs", *holders)}
            count = getattr(stage, "count", {})
            step = Step(f"{prefix}.{name}", ScoreImages(stage), reads, count=count, deadline_s=60)
            step = replace(step, per_part=("rows", IMAGES_A_PART))
            if not isinstance(stage, PixelScores | OwnScore):
                gpus = self.resolved.recipe.images.gpus
                step = replace(step, recorded=True, previous=("scores", "sha256"), deadline_s=600, gpus=gpus)
            steps.append(step)
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
