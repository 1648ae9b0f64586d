"""`train`: the stages of a recipe on the shards of a run, each from the weights of the one before."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shards.mixture import Mixture
from trainer import checkpoint, config, connector, parallel, schema
from trainer.adapters import counts, merged
from trainer.answers import evaluate
from trainer.config import RecipeError
from trainer.data import Run, collator
from trainer.evaluate import held_out
from trainer.export import save_processor
from trainer.layout import Specials
from trainer.loop import LOG, fit
from trainer.metrics import speed, speed_line
from trainer.model import ARCHITECTURE, build, resolve, save
from trainer.schema import Recipe

MODEL, RESULT = "model", "result.json"


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
    source's own steps, by its name; speed, see ``metrics.speed``; weights, see ``adapters.counts``; tokens_per_image;
    model and log, paths; held_out, the fields of ``evaluate.HeldOut``, or null without validation pairs; answers, see
    ``answers.evaluate``, if the recipe asks for it; identity, of the recipe, the data and the start.
    """
    folder = out / recipe.stage
    ranks = parallel.start(recipe.device)
    run = Run.open(data)
    start, lineage = start_of(recipe, out)
    identity = {"recipe": recipe.digest, "data": run.digest, "start": lineage}
    finished: dict[str, Any] = json.loads((folder / RESULT).read_text()) if (folder / RESULT).is_file() else {}
    ranks.wait()  # every rank has read the folder before one writes to it
    if finished.get("identity") == identity:
        if ranks.first:
            print(f"{recipe.stage}: trained already, {folder / RESULT}", file=sys.stderr)
        return finished
    if recipe.train.overwrite and ranks.first:
        remove_other_run(folder, identity)
    ranks.wait()

    specials = Specials.of(run.tokenizer)
    size = ImageTokens.of(start, run, recipe)
    collate = collator(run, recipe, size.tokens, size.patch, size.features)
    mixed = run.mix(recipe, size.tokens, partial(print, file=sys.stderr) if ranks.first else lambda line: None)

    make = partial(build, start, run.tokenizer.vocab_size, specials, largest(mixed))
    loader = run.loader(mixed, recipe.seed, ranks.rank, ranks.world)
    new_tokens = specials.new if recipe.train.backbones != "full" else ()
    rows = mixed.batch_sequences // ranks.world if ranks.world > 1 else None
    trained = fit(recipe, make, loader, collate, folder, identity, ranks=ranks, new_tokens=new_tokens, rows=rows)
    if trained.model is None:  # the first rank writes and evaluates
        ranks.wait()
        return json.loads((folder / RESULT).read_text())  # type: ignore[no-any-return]

    weights = counts(trained.model)
    model = merged(trained.model)
    save(model, folder / MODEL)
    first_size = next(iter(mixed.sources.values())).image
    if not (folder / MODEL / ARCHITECTURE).is_file():
        save_processor(folder / MODEL, run.tokenizer, size.tokens, first_size)
    by_source: dict[str, list[float]] = {}
    for line in trained.steps:
        by_source.setdefault(line["source"], []).append(line["loss"])
    losses = [line["loss"] for line in trained.steps]
    result: dict[str, Any] = {"stage": recipe.stage, "steps": len(losses)}
    result |= {"first_loss": losses[0], "last_loss": losses[-1]}
    result["by_source"] = {name: [own[0], own[-1]] for name, own in sorted(by_source.items())}
    result |= {"speed": speed(trained.steps), "weights": weights, "tokens_per_image": size.tokens}
    result |= {"model": str(folder / MODEL), "log": str(folder / LOG), "held_out": None, "identity": identity}
    print(f"{recipe.stage}: {speed_line(result['speed'])}", file=sys.stderr)

    spec = recipe.evaluate
    pairs = run.held_out_pairs(mixed, spec.pairs, recipe.seed)
    if len(pairs) > 1:
        entry = mixed.sources[run.of_layout(mixed, "pairs")[0]]
        collate_pairs = partial(collate, **asdict(entry.image), length=entry.sequence_length)
        score = held_out(model, pairs, collate_pairs, spec, recipe.seed)
        result["held_out"] = asdict(score)
        permuted = f"with images permuted {score.permuted:.4f} (+{score.gap:.4f} ± {score.error:.4f})"
        summary = f"{recipe.stage} held-out pairs {score.pairs}: caption loss {score.normal:.4f}, {permuted}"
        print(summary, file=sys.stderr)
    if spec.answers:
        image = (first_size.mode, first_size.longest, first_size.shortest)
        turns = bool(run.of_layout(mixed, "conversations"))
        result["answers"] = evaluate(model, spec, collate, image, turns)
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    ranks.wait()
    return result


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
    files = [(file.name, file.stat()) for file in sorted(folder.glob("*.safetensors"))]
    return start, " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in files)


def remove_other_run(folder: Path, identity: dict[str, str]) -> None:
    """Removes a stage's files if they are of another recipe or other data. A run of this identity stays, to resume."""
    try:
        checkpoint.find(folder, identity)
    except checkpoint.CheckpointError:
        for name in (LOG, RESULT):
            (folder / name).unlink(missing_ok=True)
        for path in (folder / MODEL, folder / "tensorboard", *checkpoint.listed(folder)):
            shutil.rmtree(path, ignore_errors=True)
