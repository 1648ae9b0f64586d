"""One stage of training, top to bottom: take a batch, forward, backward, clip, step, one line, now and then a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer import checkpoint
from trainer.collate import Collator
from trainer.config import Recipe, Train
from trainer.feed import Batches, Ready, ahead, prepared
from trainer.metrics import Log, Step
from trainer.model import adapt, decay_groups, logits, token_losses

LOG = "log.jsonl"


@dataclass(frozen=True)
class Trained:
    """model: as trained, adapters still apart. steps: the log, a mapping of ``metrics.Step``'s fields for each step."""

    model: nn.Module
    steps: list[dict[str, Any]]


def fit(
    recipe: Recipe, bare: nn.Module, loader: Batches, collate: Collator, folder: Path, identity: dict[str, str], stop: int | None = None
) -> Trained:
    """Trains `bare` by the recipe, from the checkpoint in `folder` where there is one.

    identity: of the recipe, the data and the starting weights; a checkpoint with another one is refused (CheckpointError).
    stop: leave after this step as though the machine had died, the checkpoints written so far standing.
    Continuing gives, on a CPU with the same number of threads, the very weights of a run that was never interrupted.
    """
    device = pick(recipe.device)
    if recipe.threads and device.type == "cpu":
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    model = adapt(bare, recipe.train).to(device)
    optimiser = torch.optim.AdamW(decay_groups(model, recipe.train.weight_decay), lr=recipe.train.lr, betas=recipe.train.betas)
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / LOG)
    state = checkpoint.find(folder, identity)
    done, after = 0, loader.state_dict()
    by_source: dict[str, float] = {}
    if state:
        checkpoint.restore(state, model, optimiser)
        done, after, by_source = state["step"], state["loader"], state["by_source"]
        loader.load_state_dict(after)
    log.continue_from(done)
    model.train()
    batches = ahead(lambda: prepared(loader, collate, recipe.packing.micro_sequences))  # its thread starts with the first step
    try:
        for step in range(done + 1, recipe.train.steps + 1):
            line, after = one_step(recipe, step, model, optimiser, batches, by_source, device)
            log.write(line)
            every = recipe.train.save_every
            if step == recipe.train.steps or (every and step % every == 0):
                checkpoint.save(folder, step=step, identity=identity, model=model, optimiser=optimiser, loader=after, by_source=dict(by_source))
            if step == stop:
                break
    finally:
        batches.close()
    return Trained(model, log.read())


def one_step(
    recipe: Recipe,
    step: int,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterator[Ready],
    by_source: dict[str, float],
    device: torch.device,
) -> tuple[Step, dict]:
    """The step's line, and the loader's state after it.

    The loss is the mean over all predicted tokens of the step, however it is cut into micro-batches.
    """
    began = time.perf_counter()
    ready = next(batches)
    waited = time.perf_counter() - began
    targets = sum(part.targets for part in ready.parts)
    summed = torch.zeros((), device=device)
    for part in ready.parts:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            batch = part.to(device)
            loss = token_losses(logits(model, batch), batch.labels).sum() / targets
        loss.backward()
        summed += loss.detach()
    norm = nn.utils.clip_grad_norm_([w for group in optimiser.param_groups for w in group["params"]], recipe.train.clip)
    rate = learning_rate(recipe.train, step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    value = by_source[ready.source] = float(summed)
    if not math.isfinite(value):
        raise FloatingPointError(f"{recipe.stage}: the loss is {value} at step {step}; lower train.lr or train.clip")
    line = Step(
        stage=recipe.stage,
        step=step,
        steps=recipe.train.steps,
        source=ready.source,
        loss=value,
        by_source=dict(by_source),
        lr=rate,
        gradient_norm=float(norm),
        tokens=sum(part.tokens for part in ready.parts),
        images=sum(part.images for part in ready.parts),
        padding=1 - sum(part.tokens for part in ready.parts) / sum(part.ids.numel() for part in ready.parts),
        seconds=time.perf_counter() - began,
        wait=waited,
    )
    return line, ready.after


def learning_rate(train: Train, step: int) -> float:
    """Of step 1..steps: a linear rise over `warmup` steps to `lr`, then the schedule, which would reach 0 one step after the last."""
    if step <= train.warmup:
        return train.lr * step / train.warmup
    left = (train.steps - step + 1) / (train.steps - train.warmup + 1)
    return train.lr * {"linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)), "constant": 1.0}[train.schedule]


def pick(device: str) -> torch.device:
    """`auto`: the accelerator where there is one."""
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
