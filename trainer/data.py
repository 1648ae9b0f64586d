"""A run's shards as a training stage reads them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shards import manifest, mixture, tokens
from shards.image import decode
from shards.loader import Loader, Sample
from shards.store import Store
from trainer.collate import Collator
from trainer.config import Recipe, RecipeError
from trainer.images import Cache, Eye


@dataclass(frozen=True)
class Run:
    """A run's folder. digest: of every shard the manifest names."""

    root: str
    tokenizer: tokens.Tokenizer
    digest: str

    @classmethod
    def open(cls, root: str | Path) -> Run:
        """Raises ManifestError, and RecipeError where the shards were counted by another tokenizer than the one found
        here.
        """
        listed = manifest.read(Store(root))
        tokenizer = tokens.load(listed.tokenizer["name"])
        if tokenizer.sha256 != listed.tokenizer["sha256"]:
            raise RecipeError(
                f"{root}: the shards were counted by another version of tokenizer {tokenizer.name}: use that file"
            )
        shards = json.dumps(listed.raw["configs"], sort_keys=True).encode()
        return cls(str(root), tokenizer, hashlib.blake2b(shards, digest_size=16).hexdigest())

    def mix(self, recipe: Recipe, latents: int) -> mixture.Mixture:
        """The recipe's mixture, the run's own before a preset or a path, with what the recipe sets: sequences, images,
        tokens an image.

        Raises MixtureError or FileNotFoundError.
        """
        file = Path(self.root) / "mixtures" / f"{recipe.mixture}.json"
        mixed = mixture.load(file if file.is_file() else recipe.mixture)
        packing, image = recipe.packing, recipe.image
        sources = {}
        for name, source in mixed.sources.items():
            changes: dict[str, Any] = {}
            if packing.sequence_length is not None:
                changes["sequence_length"] = packing.sequence_length
            if packing.long is not None:
                changes["long"] = packing.long
            if image.mode is not None:
                changes["image"] = mixture.Image(image.mode, image.longest, image.shortest)
            if image.split:
                changes["split"] = image.split
            sources[name] = replace(source, **changes)
        return replace(
            mixed, sources=sources, tokens_per_image=latents, batch_sequences=packing.sequences or mixed.batch_sequences
        )

    def check(self, recipe: Recipe) -> None:
        """Raises MixtureError where a stage would find nothing to read."""
        listed, mixed = manifest.read(Store(self.root)), self.mix(recipe, 1)
        mixed.available([name for name in mixed.sources if listed.shards(name, "train")], say=lambda _: None)

    def loader(self, mixed: mixture.Mixture, seed: int, rank: int = 0, world: int = 1) -> Loader:
        return Loader(self.root, mixed, split="train", seed=seed, tokenizer=self.tokenizer, rank=rank, world=world)

    def held_out_pairs(self, mixed: mixture.Mixture, n: int, seed: int) -> list[Sample]:
        """The first n different pairs of the validation split, fewer where there are fewer; none where the mixture has
        no pairs.
        """
        if n == 0 or "pairs" not in mixed.sources or not manifest.read(Store(self.root)).shards("pairs", "validation"):
            return []
        found: dict[str, Sample] = {}
        for batch in Loader(
            self.root, replace(mixed.only("pairs"), batch_sequences=1), split="validation", seed=seed, epochs=1
        ):
            found.update({sample.json["id"]: sample for sequence in batch.sequences for sample in sequence})
            if len(found) >= n:
                break
        return list(found.values())[:n]


def collator(run: Run, recipe: Recipe, latents: int, patch: int, features: int) -> Collator:
    eye = Eye(Cache(decode, recipe.image.cache_mb), recipe.seed, recipe.image.upscale)
    return Collator(run.tokenizer, eye, latents, patch, recipe.packing.isolation, features, recipe.shuffle_turns)
