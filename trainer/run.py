"""`train`: the stages of a recipe on the shards of a run, each starting from the last."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from trainer import checkpoint, config
from trainer.config import Recipe, RecipeError
from trainer.data import Run, collator
from trainer.evaluate import held_out
from trainer.layout import Specials
from trainer.loop import LOG, fit
from trainer.model import build, merged

MODEL, RESULT = "model", "result.json"


def train(recipe: str | Path, data: str | Path, out: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Trains the recipe's stages on a run's folder; a stage that is finished is not trained again, one that was interrupted goes on.

    recipe: a path, or a bundled name (``demo``). out: where to write, by default ``DATA/train``; stage S goes to ``OUT/S``: ``model``
    (as transformers loads it), ``log.jsonl``, ``checkpoint.pt``, ``result.json``. overrides: dotted keys, see ``config.load``.

    Returns ``{"out", "first_loss", "last_loss", "stages": [stage result, ...]}``; the losses are those of the first stage's first and
    the last stage's last step. A stage's result is what `train_stage` returns.
    Raises RecipeError, CheckpointError and the shards' ManifestError and MixtureError (all ValueError), each one line for the user.
    """
    stages = config.load(recipe, overrides)
    folder = Path(out) if out is not None else Path(data) / "train"
    results = [train_stage(stage, data, folder) for stage in stages]
    return {
        "out": str(folder),
        "first_loss": results[0]["first_loss"],
        "last_loss": results[-1]["last_loss"],
        "stages": results,
    }


def train_stage(recipe: Recipe, data: str | Path, out: Path) -> dict[str, Any]:
    """One stage. Returns what ``result.json`` holds:

    stage; steps; first_loss and last_loss, of the first and last step, nats per token; by_source, the same two of each source's own
    batches; model and log, paths; held_out, ``evaluate.HeldOut``'s fields, or null without validation pairs; identity, of the recipe
    and the data.
    """
    folder = out / recipe.stage
    run = Run.open(data)
    start, lineage = start_of(recipe, out)
    identity = {"recipe": recipe.digest, "data": run.digest, "start": lineage}
    finished = finished_result(folder, identity)
    if finished:
        print(f"{recipe.stage}: trained already, {folder / RESULT}", file=sys.stderr)
        return finished
    if recipe.train.overwrite:
        clear_other(folder, identity)
    torch.manual_seed(recipe.seed)
    bare = build(start, run.tokenizer.vocab_size, Specials.of(run.tokenizer))
    latents = bare.config.perceiver_config.resampler_n_latents
    collate = collator(run, recipe, latents, bare.config.vision_config.patch_size)
    mixed = run.mix(recipe, latents)
    trained = fit(recipe, bare, run.loader(mixed, recipe.seed), collate, folder, identity)
    model = merged(trained.model)
    model.save_pretrained(folder / MODEL)
    sources = {line["source"] for line in trained.steps}
    losses = {name: [line["loss"] for line in trained.steps if line["source"] == name] for name in sorted(sources)}
    result = {
        "stage": recipe.stage,
        "steps": len(trained.steps),
        "first_loss": trained.steps[0]["loss"],
        "last_loss": trained.steps[-1]["loss"],
        "by_source": {name: [values[0], values[-1]] for name, values in losses.items()},
        "model": str(folder / MODEL),
        "log": str(folder / LOG),
        "held_out": None,
        "identity": identity,
    }
    pairs = run.held_out_pairs(mixed, recipe.evaluate.pairs, recipe.seed)
    if len(pairs) > 1:
        source = mixed.sources["pairs"]
        image = (source.image.mode, source.image.longest, source.image.shortest)
        found = held_out(model, pairs, collate, recipe.evaluate, image, recipe.seed, source.sequence_length)
        result["held_out"] = asdict(found)
        print(
            f"{recipe.stage} held-out pairs {found.pairs}: caption loss {found.normal:.4f}, with images permuted {found.permuted:.4f} "
            f"(+{found.gap:.4f} ± {found.error:.4f})",
            file=sys.stderr,
        )
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    return result


def start_of(recipe: Recipe, out: Path) -> tuple[config.Model, str]:
    """What the stage's model is built from, and a name for it that changes when the weights do. Raises RecipeError."""
    if recipe.init_from is None:
        return recipe.model, "new"
    before = out / recipe.init_from
    folder = before / MODEL if (before / RESULT).is_file() else Path(recipe.init_from)
    if not (folder / "config.json").is_file():
        raise RecipeError(
            f"{recipe.stage}: init_from: neither a trained stage of {out} nor a model's folder: {recipe.init_from!r}; "
            f"train {recipe.init_from} first, or set init_from to a folder or null"
        )
    start = recipe.model.model_copy(update={"pretrained": str(folder)})
    if folder == before / MODEL:
        return start, json.dumps(json.loads((before / RESULT).read_text())["identity"], sort_keys=True)
    return start, " ".join(f"{f.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in sorted(folder.glob("*.safetensors")))


def finished_result(folder: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    path = folder / RESULT
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return result if result.get("identity") == identity else None


def clear_other(folder: Path, identity: dict[str, str]) -> None:
    """Removes a stage's files where they are of another recipe or other data; an interrupted run of this one stays, and goes on."""
    try:
        checkpoint.find(folder, identity)
    except checkpoint.CheckpointError:
        for name in (checkpoint.NAME, LOG, RESULT):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / MODEL, ignore_errors=True)
