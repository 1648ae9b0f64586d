"""`train`: the stages of a recipe on the shards of a run, each starting from the last."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import Idefics2ForConditionalGeneration

from trainer import chat, checkpoint, config, connector, parallel
from trainer.adapters import counts, merged
from trainer.answers import evaluate
from trainer.config import Recipe, RecipeError
from trainer.data import Run, collator
from trainer.evaluate import held_out
from trainer.export import save_processor
from trainer.layout import Specials
from trainer.loop import LOG, fit
from trainer.metrics import said, speed
from trainer.model import ARCHITECTURE, build, described, save

MODEL, RESULT = "model", "result.json"


def train(
    recipe: str | Path, data: str | Path, out: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the recipe's stages on a run's folder; a stage that is finished is not trained again, one that was
    interrupted goes on.

    recipe: a path, or a bundled name (``demo``). out: where to write, by default ``DATA/train``; stage S goes to
    ``OUT/S``: ``model`` (as transformers loads it), ``log.jsonl``, ``checkpoint-STEP``, ``tensorboard``,
    ``result.json``. overrides: dotted keys, see ``config.load``.

    Returns ``{"out", "first_loss", "last_loss", "stages": [stage result, ...]}``; the losses are those of the first
    stage's first and the last stage's last step. A stage's result is what `train_stage` returns. Several processes,
    started by torchrun, train together, and each returns the same. Raises RecipeError, CheckpointError and the shards'
    ManifestError and MixtureError (all ValueError), each one line for the user.
    """
    stages = config.load(recipe, overrides)
    folder = Path(out) if out is not None else Path(data) / "train"
    run = Run.open(data)
    for stage in stages:  # before the first is trained for days
        run.check(stage)
    results = [train_stage(stage, data, folder) for stage in stages]
    return {
        "out": str(folder),
        "first_loss": results[0]["first_loss"],
        "last_loss": results[-1]["last_loss"],
        "stages": results,
    }


def train_stage(recipe: Recipe, data: str | Path, out: Path) -> dict[str, Any]:
    """One stage. Returns what ``result.json`` holds:

    stage; steps; first_loss and last_loss, of the first and last step, nats per token; by_source, the same two of each
    source's own batches; speed, see ``metrics.speed``; weights, see ``adapters.counts``; model and log, paths;
    held_out, ``evaluate.HeldOut``'s fields, or null without validation pairs; answers, see ``answers.evaluate``, where
    the recipe asks; identity, of the recipe and the data.
    """
    folder = out / recipe.stage
    ranks = parallel.start(recipe.device)
    run = Run.open(data)
    start, lineage = start_of(recipe, out)
    identity = {"recipe": recipe.digest, "data": run.digest, "start": lineage}
    finished = finished_result(folder, identity)
    ranks.wait()  # nobody writes before all have looked
    if finished:
        if ranks.first:
            print(f"{recipe.stage}: trained already, {folder / RESULT}", file=sys.stderr)
        return finished
    if recipe.train.overwrite and ranks.first:
        clear_other(folder, identity)
    ranks.wait()
    specials = Specials.of(run.tokenizer)

    def make() -> Idefics2ForConditionalGeneration:
        return build(start, run.tokenizer.vocab_size, specials)

    seeing = Seeing.of(start, run, recipe)
    collate = collator(run, recipe, seeing.tokens, seeing.patch, seeing.features)
    mixed = run.mix(recipe, seeing.tokens)
    trained = fit(
        recipe,
        make,
        run.loader(mixed, recipe.seed, ranks.rank, ranks.world),
        collate,
        folder,
        identity,
        ranks=ranks,
        new_tokens=specials.new if recipe.train.backbones != "full" else (),
        rows=mixed.batch_sequences // ranks.world if ranks.world > 1 else None,
    )
    if trained.model is None:  # the first rank writes and evaluates
        ranks.wait()
        return json.loads((folder / RESULT).read_text())  # type: ignore[no-any-return]
    weights = counts(trained.model)
    model = merged(trained.model)
    save(model, folder / MODEL)
    if not (folder / MODEL / ARCHITECTURE).is_file():
        save_processor(folder / MODEL, run.tokenizer, seeing.tokens, next(iter(mixed.sources.values())).image)
    sources = {line["source"] for line in trained.steps}
    losses = {name: [line["loss"] for line in trained.steps if line["source"] == name] for name in sorted(sources)}
    result = {
        "stage": recipe.stage,
        "steps": len(trained.steps),
        "first_loss": trained.steps[0]["loss"],
        "last_loss": trained.steps[-1]["loss"],
        "by_source": {name: [values[0], values[-1]] for name, values in losses.items()},
        "speed": speed(trained.steps),
        "weights": weights,
        "tokens_per_image": seeing.tokens,
        "model": str(folder / MODEL),
        "log": str(folder / LOG),
        "held_out": None,
        "identity": identity,
    }
    print(f"{recipe.stage}: {said(result['speed'])}", file=sys.stderr)
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
    if recipe.evaluate.answers:
        size = next(iter(mixed.sources.values())).image
        asked = (size.mode, size.longest, size.shortest)
        spec, turns = recipe.evaluate, chat.CONFIG in mixed.sources
        result["answers"] = evaluate(model, recipe.evaluate.answers, collate, asked, spec.shots, spec.longest, turns)
    (folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    ranks.wait()
    return result


@dataclass(frozen=True)
class Seeing:
    """What an image comes to. tokens: in the text; features: what the decoder is given of it. patch: in pixels."""

    tokens: int
    features: int
    patch: int

    @classmethod
    def of(cls, start: config.Model, run: Run, recipe: Recipe) -> Seeing:
        """Known before a weight is loaded, since the order of the data depends on it. Raises RecipeError."""
        start, patch = described(start)
        sizes = [source.image for source in run.mix(recipe, 1).sources.values()]
        try:
            features = connector.tokens(start.connector, start.perceiver, patch, sizes)
        except connector.ConnectorError as error:
            raise RecipeError(f"{recipe.stage}: {error}") from None
        return cls(features if start.fusion == "autoregressive" else 1, features, patch)


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
    return start, " ".join(
        f"{f.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in sorted(folder.glob("*.safetensors"))
    )


def finished_result(folder: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    path = folder / RESULT
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return result if result.get("identity") == identity else None


def clear_other(folder: Path, identity: dict[str, str]) -> None:
    """Removes a stage's files where they are of another recipe or other data; an interrupted run of this one stays, and
    goes on.
    """
    try:
        checkpoint.find(folder, identity)
    except checkpoint.CheckpointError:
        for name in (LOG, RESULT):
            (folder / name).unlink(missing_ok=True)
        for path in (folder / MODEL, folder / "tensorboard", *checkpoint.listed(folder)):
            shutil.rmtree(path, ignore_errors=True)
