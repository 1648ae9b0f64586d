"""The end of a stage: its numbers, its model for transformers, and its evaluation."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Idefics2ForConditionalGeneration

from shards.mixture import Mixture
from trainer.answers import evaluate
from trainer.collate import Collator
from trainer.data import Run
from trainer.evaluate import held_out
from trainer.export import save_processor
from trainer.layout import Specials
from trainer.metrics import speed
from trainer.model import ARCHITECTURE, save
from trainer.schema import Recipe

MODEL, RESULT = "model", "result.json"


def numbers(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a stage's log says: steps, losses, samples and speed. steps: mappings of ``metrics.Step``'s fields."""
    by_source: dict[str, list[float]] = {}
    for line in steps:
        by_source.setdefault(line["source"], []).append(line["loss"])
    out: dict[str, Any] = {"steps": len(steps), "first_loss": steps[0]["loss"], "last_loss": steps[-1]["loss"]}
    out["by_source"] = {name: [own[0], own[-1]] for name, own in sorted(by_source.items())}
    out |= {name: sum(line.get(name, 0) for line in steps) for name in ("samples", "skipped")}
    return {**out, "speed": speed(steps)}


def export(model: Idefics2ForConditionalGeneration, folder: Path, run: Run, mixed: Mixture, collate: Collator) -> None:
    """Writes the model for transformers, with its processor unless it is a variant that transformers does not know."""
    specials = Specials.of(run.tokenizer)
    turns = run.of_layout(mixed, "conversations")
    save(model, folder, [specials.eos, specials.end] if turns else [specials.eos])
    if not (folder / ARCHITECTURE).is_file():
        image = next(iter(mixed.sources.values())).image
        save_processor(folder, run.tokenizer, collate.latents, image, collate.patch)


def evaluation(
    model: Idefics2ForConditionalGeneration, recipe: Recipe, run: Run, mixed: Mixture, collate: Collator
) -> dict[str, Any]:
    """The scores of a stage's model: ``held_out`` and, if the recipe asks for it, ``answers``."""
    spec, collate = recipe.evaluate, collate.for_evaluation()
    out: dict[str, Any] = {"held_out": None}
    pairs = run.held_out_pairs(mixed, spec.pairs, recipe.seed)
    if len(pairs) > 1:
        entry = mixed.sources[run.of_layout(mixed, "pairs")[0]]
        rows = partial(collate, **asdict(entry.image), length=entry.sequence_length)
        score = held_out(model, pairs, rows, spec, recipe.seed)
        out["held_out"] = asdict(score)
        permuted = f"with images permuted {score.permuted:.4f} (+{score.gap:.4f} ± {score.error:.4f})"
        summary = f"{recipe.stage} held-out pairs {score.pairs}: caption loss {score.normal:.4f}, {permuted}"
        print(summary, file=sys.stderr)
    if spec.answers:
        first = next(iter(mixed.sources.values())).image
        turns = bool(run.of_layout(mixed, "conversations"))
        out["answers"] = evaluate(model, spec, collate, (first.mode, first.longest, first.shortest), turns)
    return out


def read(folder: Path) -> dict[str, Any]:
    """The content of a stage's ``result.json``; empty if there is none."""
    file = folder / RESULT
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes ``result.json`` completely or not at all."""
    new = folder / f"{RESULT}.new"
    new.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    new.replace(folder / RESULT)
