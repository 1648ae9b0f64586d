"""A run's shards as a training stage reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manifests.nearest import nearest
from manifests.runfiles import RunFiles, root_of
from shards import manifest, mixture, tokens
from shards.image import decode
from shards.loader import Loader, Sample
from trainer.collate import Collator
from trainer.config import RecipeError
from trainer.images import Cache, ImageReader
from trainer.schema import Recipe


@dataclass(frozen=True)
class Run:
    """A run's folder. digest: a hash of every shard that the manifest lists."""

    root: str
    tokenizer: tokens.Tokenizer
    digest: str
    manifest: manifest.Manifest

    @classmethod
    def open(cls, root: str | Path) -> Run:
        """Raises ManifestError, and RecipeError if another version of the tokenizer counted the shards."""
        listed = manifest.read(RunFiles(root))
        tokenizer = tokens.load(listed.tokenizer["name"])
        if tokenizer.sha256 != listed.tokenizer["sha256"]:
            another = f"another version of tokenizer {tokenizer.name}"
            raise RecipeError(f"{root}: the shards were counted by {another}: use that file")
        table = listed.raw["configs" if listed.raw["version"] == 1 else "sources"]
        shards = json.dumps(table, sort_keys=True).encode()
        return cls(root_of(str(root)), tokenizer, hashlib.blake2b(shards, digest_size=16).hexdigest(), listed)

    def mix(self, recipe: Recipe, latents: int, say: Callable[[str], object] = lambda line: None) -> mixture.Mixture:
        """The recipe's mixture with an entry for each source by name, and the recipe's own settings in every entry.

        A mixture of the run comes before a preset or a path of the same name. latents: tokens of an image. say: gets a
        line about entries without samples. Raises MixtureError (also if nothing is left to read), FileNotFoundError.
        """
        files, own_file = RunFiles(self.root), f"mixtures/{recipe.mixture}.json"
        try:
            mixed = mixture.load(files.json(own_file) if files.exists(own_file) else recipe.mixture)
        except FileNotFoundError:
            own = self.manifest.raw.get("mixtures") or {}  # name -> file, or why it was left out
            names = nearest(recipe.mixture, {*mixture.PRESETS, *own})
            why = own.get(recipe.mixture) or f"none of the run's, no preset and no file{names}"
            raise FileNotFoundError(f"{self.root}: mixture {recipe.mixture}: {why}") from None
        packing, image = recipe.packing, recipe.image
        size = mixture.Image(image.mode, image.longest, image.shortest) if image.mode else None
        own = {"sequence_length": packing.sequence_length, "long": packing.long, "image": size, "split": image.split}
        changes: dict[str, Any] = {key: value for key, value in own.items() if value}
        entries = {label: replace(entry, **changes) for label, entry in mixed.sources.items()}
        rows = packing.sequences or mixed.batch_sequences
        mixed = replace(mixed, sources=entries, tokens_per_image=latents, batch_sequences=rows)
        return mixed.resolve(self.manifest.sources, say)

    def of_layout(self, mixed: mixture.Mixture, layout: str) -> list[str]:
        """The sources of a resolved mixture whose samples have the layout."""
        return [name for name in mixed.sources if self.manifest.sources[name].layout == layout]

    def loader(
        self, mixed: mixture.Mixture, seed: int, rank: int = 0, world: int = 1, on_error: str = "raise"
    ) -> Loader:
        ranks: dict[str, Any] = {"rank": rank, "world": world}
        return Loader(self.root, mixed, split="train", seed=seed, tokenizer=self.tokenizer, on_error=on_error, **ranks)

    def held_out_pairs(self, mixed: mixture.Mixture, n: int, seed: int) -> list[Sample]:
        """The first n different validation samples of the sources with layout ``pairs``; fewer if there are fewer.

        A pair that is damaged, or has an image that cannot be decoded, is left out.
        """
        names = [name for name in self.of_layout(mixed, "pairs") if self.manifest.shards(name, "validation")]
        if n == 0 or not names:
            return []
        pairs: dict[str, Sample] = {}
        only = replace(mixed.only(*names), batch_sequences=1)
        for batch in Loader(self.root, only, split="validation", seed=seed, epochs=1, on_error="skip", decoded=True):
            samples = [replace(sample, pixels=None) for sequence in batch.sequences for sample in sequence]
            pairs.update({sample.json["id"]: sample for sample in samples})
            if len(pairs) >= n:
                break
        return list(pairs.values())[:n]


def collator(run: Run, recipe: Recipe, latents: int, patch: int, features: int) -> Collator:
    cached = Cache(decode, recipe.image.cache_mb) if recipe.image.cache_mb else decode
    reader = ImageReader(cached, patch, recipe.seed, recipe.image.upscale)
    skip = recipe.on_error == "skip"
    rest = (recipe.packing.isolation, features, recipe.shuffle_turns, skip)
    return Collator(run.tokenizer, reader, latents, patch, *rest)
