"""`train`: the stages of a recipe on the shards of a run, each from the weights of the one before."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shards.mixture import Mixture
from trainer import checkpoint, config, connector, finish, parallel, schema, vocabulary
from trainer.adapters import counts, merged
from trainer.config import RecipeError
from trainer.data import Run, collator
from trainer.finish import MODEL, RESULT
from trainer.layout import Specials
from trainer.loop import LOG, fit
from trainer.metrics import speed_line
from trainer.model import build, resolve
from trainer.schema import Recipe


def train(
    recipe: str | Path, data: str | Path, out: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the recipe's stages on a run's folder.

    A finished stage is not trained again, and an interrupted stage resumes. recipe: a path, or a bundled name
    (``demo``). out: by default ``DATA/train``. Stage S goes to ``OUT/S``: ``model`` (transformers loads it),
    ``log.jsonl``, ``checkpoint-STEP``, ``tensorboard``, ``result.json``. overrides: dotted keys, see ``config.load``.

    Returns ``{"out", "first_loss", "last_loss", "stages": [stage result, ...]}`` with the losses of the first stage's
    first step and the last stage's last step; see `train_stage` for a stage's result. Several processes, started by
    torchrun, train together, and each returns the same. Raises RecipeError, CheckpointError and the shards'
    ManifestError and MixtureError; all are ValueErrors with one line for the user.
    """
    stages = config.load(recipe, overrides)
    folder = Path(out) if out is not None else Path(data) / "train"
    run = Run.open(data)
    for stage in stages:  # a stage that finds no samples fails before the first is trained
        run.mix(stage, 1)
    results = [train_stage(stage, data, folder) for stage in stages]
    losses = {"first_loss": results[0]["first_loss"], "last_loss": results[-1]["last_loss"]}
    return {"out": str(folder), **losses, "stages": results}


def train_stage(recipe: Recipe, data: str | Path, out: Path) -> dict[str, Any]:
    """Trains and evaluates one stage. Returns the content of ``result.json``:

    stage; steps; first_loss and last_loss, of the first and last step, nats per token; by_source, the same two of each
    source's own steps, by its name; samples, and of them skipped, see ``metrics.Step``; speed, see ``metrics.speed``;
    weights, see ``adapters.counts``; tokens_per_image; model and log, paths; held_out, the fields of
    ``evaluate.HeldOut``, or null without validation pairs; answers, see ``answers.evaluate``, if the recipe asks for
    it; identity, of the recipe, the data and the start.

    The result is written after the model, and again with the scores. A stage that was stopped in its evaluation is
    evaluated from its model and not trained or exported again.
    """
    folder = out / recipe.stage
    ranks = parallel.start(recipe.device)
    run = Run.open(data)
    start, lineage = start_of(recipe, out)
    vocabulary.check(recipe.stage, start, run.tokenizer, run.root)
    identity = {"recipe": recipe.digest, "data": run.digest, "start": lineage}
    result = finish.read(folder)
    ranks.wait()  # every rank has read the folder before one writes to it
    trained = result.get("identity") == identity
    if trained and "held_out" in result:
        if ranks.first:
            print(f"{recipe.stage}: trained already, {folder / RESULT}", file=sys.stderr)
        return result
    if recipe.train.overwrite and ranks.first:
        remove_other_run(folder, identity)
    ranks.wait()

    specials = Specials.of(run.tokenizer)
    size = ImageTokens.of(start, run, recipe)
    collate = collator(run, recipe, size.tokens, size.patch, size.features)
    mixed = run.mix(recipe, size.tokens, partial(print, file=sys.stderr) if ranks.first else lambda line: None)

    if trained:
        saved = schema.Model(pretrained=str(folder / MODEL))
        model = build(saved, run.tokenizer.vocab_size, specials).to(ranks.device) if ranks.first else None
    else:
        loader = run.loader(mixed, recipe.seed, ranks.rank, ranks.world, recipe.on_error)
        new_tokens = specials.new if recipe.train.backbones != "full" else ()
        rows = mixed.batch_sequences // ranks.world if ranks.world > 1 else None
        make = partial(build, start, run.tokenizer.vocab_size, specials, largest(mixed))
        fitted = fit(recipe, make, loader, collate, folder, identity, ranks=ranks, new_tokens=new_tokens, rows=rows)
        model = None
        if fitted.model is not None:  # on the first rank
            weights = counts(fitted.model)
            model = merged(fitted.model)
            finish.export(model, folder / MODEL, run, mixed, collate)
            result = {"stage": recipe.stage, **finish.numbers(fitted.steps), "weights": weights}
            result |= {"tokens_per_image": size.tokens, "model": str(folder / MODEL), "log": str(folder / LOG)}
            finish.write(folder, {**result, "identity": identity})
            print(f"{recipe.stage}: {speed_line(result['speed'])}", file=sys.stderr)
    if model is not None:  # the first rank evaluates
        scores = finish.evaluation(model, recipe, run, mixed, collate)
        finish.write(folder, {**result, **scores, "identity": identity})
    ranks.wait()
    return finish.read(folder)


@dataclass(frozen=True)
class ImageTokens:
    """Sizes of an image. tokens: in the text. features: vectors for the decoder. patch: of the tower, pixels."""

    tokens: int
    features: int
    patch: int

    @classmethod
    def of(cls, start: schema.Model, run: Run, recipe: Recipe) -> ImageTokens:
        """Computed before weights are loaded, because the order of the data depends on it. Raises RecipeError."""
        start, patch = resolve(start)
        sizes = [entry.image for entry in run.mix(recipe, 1).sources.values()]
        try:
            features = connector.tokens(start.connector, start.perceiver, patch, sizes)
        except connector.ConnectorError as error:
            raise RecipeError(f"{recipe.stage}: {error}") from None
        return cls(features if start.fusion == "autoregressive" else 1, features, patch)


def largest(mixed: Mixture) -> int:
    """The longest side of an image in any source, pixels."""
    return max(entry.image.longest for entry in mixed.sources.values())


def start_of(recipe: Recipe, out: Path) -> tuple[schema.Model, str]:
    """The start of a stage's model, and a text that changes with its weights. Raises RecipeError."""
    if recipe.init_from is None:
        return recipe.model, "new"
    earlier = out / recipe.init_from
    is_stage = (earlier / RESULT).is_file()
    folder = earlier / MODEL if is_stage else Path(recipe.init_from)
    if not (folder / "config.json").is_file():
        fault = f"neither a trained stage of {out} nor a model's folder: {recipe.init_from!r}"
        remedy = f"train {recipe.init_from} first, or set init_from to a folder or null"
        raise RecipeError(f"{recipe.stage}: init_from: {fault}; {remedy}")
    start = recipe.model.model_copy(update={"pretrained": str(folder)})
    if is_stage:
        return start, json.dumps(json.loads((earlier / RESULT).read_text())["identity"], sort_keys=True)
    return start, " ".join(fingerprint(file) for file in sorted(folder.glob("*.safetensors")))


def fingerprint(file: Path, pieces: int = 64, size: int = 1 << 16) -> str:
    """The name, the bytes and a hash of `pieces` ranges of a file of weights, the first and the last among them.

    A copy has the same fingerprint. Weights that were trained further differ in every range; to read all of them would
    take minutes.
    """
    length = file.stat().st_size
    digest = hashlib.blake2b(digest_size=8)
    with file.open("rb") as data:
        for piece in range(pieces):
            data.seek(max(length - size, 0) * piece // (pieces - 1))
            digest.update(data.read(size))
    return f"{file.name}:{length}:{digest.hexdigest()}"


def remove_other_run(folder: Path, identity: dict[str, str]) -> None:
    """Removes a stage's files if they are of another recipe or other data. A run of this identity stays, to resume."""
    try:
        checkpoint.find(folder, identity)
    except checkpoint.CheckpointError:
        for name in (LOG, RESULT):
            (folder / name).unlink(missing_ok=True)
        for path in (folder / MODEL, folder / "tensorboard", *checkpoint.listed(folder)):
            shutil.rmtree(path, ignore_errors=True)
