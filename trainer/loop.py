"""One stage of training, top to bottom: take a batch, forward, backward, clip, step, one line, now and then a
checkpoint.

The same loop on one device, under torchrun, and as a Ray Train worker: `Ranks` says which, and only FSDP's wrapping
differs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from trainer import checkpoint, flops, parallel
from trainer.adapters import adapt, decay_groups
from trainer.collate import Collator
from trainer.config import Recipe, Train
from trainer.feed import Batches, Ready, ahead, prepared
from trainer.forward import token_losses
from trainer.metrics import Log, Step
from trainer.parallel import Ranks, Reader

LOG = "log.jsonl"
#: steps in a row above the limit that count as divergence
PATIENCE = 5


class DivergedError(FloatingPointError):
    """A loss that is not finite, or stays above `train.divergence` times its lowest."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True)
class Trained:
    """model: as trained, adapters still apart; with several ranks whole on the first, None on the others. steps: the
    log, a mapping of
    ``metrics.Step``'s fields for each step."""

    model: nn.Module | None
    steps: list[dict[str, Any]]


@dataclass
class Training:
    """What a step needs."""

    recipe: Recipe
    ranks: Ranks
    model: Reader
    optimiser: torch.optim.Optimizer
    costs: flops.Costs
    peak: float | None
    by_source: dict[str, float] = field(default_factory=dict)
    lowest: float = math.inf
    above: int = 0


def fit(
    recipe: Recipe,
    make: Callable[[], nn.Module],
    loader: Batches,
    collate: Collator,
    folder: Path,
    identity: dict[str, str],
    stop: int | None = None,
    *,
    ranks: Ranks | None = None,
    new_tokens: Sequence[int] = (),
    rows: int | None = None,
) -> Trained:
    """Trains the model of `make` by the recipe, from the checkpoint in `folder` where there is one.

    identity: of the recipe, the data and the starting weights; a checkpoint with another one is refused
    (CheckpointError).
    stop: leave after this step as though the machine had died, the checkpoints written so far standing. new_tokens: see
    `adapt`.
    rows: sequences of a step on each rank, where there are several ranks.
    Continuing gives, on a CPU with the same number of threads and ranks, the very weights of a run that was never
    interrupted; on another number of ranks the same steps but for rounding (and for dropout and noise, where the recipe
    has them). Raises DivergedError.
    """
    ranks = ranks or parallel.start(recipe.device)
    if recipe.threads and ranks.device.type == "cpu":
        torch.set_num_threads(recipe.threads)
    model = shaped(recipe, make, new_tokens).to(ranks.device)
    costs = flops.Costs.of(model, collate.features)
    reader = Reader(model)
    parallel.shard(reader, ranks, recipe.dtype == "bfloat16")
    torch.manual_seed(recipe.seed + ranks.rank)
    optimiser = torch.optim.AdamW(
        decay_groups(model, recipe.train.weight_decay), lr=recipe.train.lr, betas=recipe.train.betas
    )
    peak = recipe.train.peak_tflops * 1e12 if recipe.train.peak_tflops else flops.peak(ranks.device)
    run = Training(recipe, ranks, reader, optimiser, costs, peak)
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / LOG, writes=ranks.first, board=recipe.tensorboard)
    state = checkpoint.find(folder, identity)
    done, after = 0, loader.state_dict()
    if state:
        checkpoint.restore(state, model, optimiser, ranks)
        done, after, run.by_source = state["step"], state["loader"], state["by_source"]
        loader.load_state_dict(after)
    log.continue_from(done)
    reader.train()
    # its thread starts with the first step
    batches = ahead(lambda: prepared(loader, collate, recipe.packing.micro_sequences, rows))
    try:
        for step in range(done + 1, recipe.train.steps + 1):
            line, after = one_step(run, step, batches)
            log.write(line)
            every = recipe.train.save_every
            if step == recipe.train.steps or (every and step % every == 0):
                kept = {"loader": after, "by_source": dict(run.by_source)}
                checkpoint.save(
                    folder, step=step, identity=identity, model=model, optimiser=optimiser, ranks=ranks, **kept
                )
            if step == stop:
                break
    finally:
        batches.close()
        log.close()
    return Trained(whole(recipe, make, new_tokens, model, ranks), log.read())


def one_step(run: Training, step: int, batches: Iterator[Ready]) -> tuple[Step, dict]:
    """The step's line, and the loader's state after it.

    The loss is the mean over all predicted tokens of the step, however it is cut into micro-batches and over ranks.
    """
    recipe, ranks, optimiser = run.recipe, run.ranks, run.optimiser
    began = time.perf_counter()
    ready = next(batches)
    waited = time.perf_counter() - began
    (targets,) = ranks.summed([sum(part.targets for part in ready.parts)])
    summed = torch.zeros((), device=ranks.device)
    for part in ready.parts:
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            batch = part.to(ranks.device)
            loss = token_losses(run.model(batch, recipe.train.neftune), batch.labels).sum() / max(targets, 1)
        scaled: Any = loss * ranks.world  # FSDP takes the mean of the ranks' gradients
        scaled.backward()  # type: ignore[no-untyped-call]
        summed += loss.detach()
    norm = nn.utils.clip_grad_norm_([w for group in optimiser.param_groups for w in group["params"]], recipe.train.clip)
    rate = learning_rate(recipe.train, step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    tokens, places = float(sum(p.tokens for p in ready.parts)), float(sum(p.ids.numel() for p in ready.parts))
    sums = [
        float(summed),
        tokens,
        places,
        float(sum(p.images for p in ready.parts)),
        sum(run.costs.step(p) for p in ready.parts),
    ]
    value, tokens, places, images, operations = ranks.summed(sums)
    run.by_source[ready.source] = value
    guard(run, step, value)
    seconds = time.perf_counter() - began
    line = Step(
        stage=recipe.stage,
        step=step,
        steps=recipe.train.steps,
        source=ready.source,
        loss=value,
        by_source=dict(run.by_source),
        lr=rate,
        gradient_norm=float(norm.full_tensor() if isinstance(norm, DTensor) else norm),
        tokens=int(tokens),
        images=int(images),
        padding=1 - tokens / places,
        seconds=seconds,
        wait=waited,
        flops=operations,
        mfu=operations / seconds / ranks.world / run.peak if run.peak else None,
    )
    return line, ready.after


def guard(run: Training, step: int, value: float) -> None:
    """Raises DivergedError. The log then ends with the step before."""
    stage, limit = run.recipe.stage, run.recipe.train.divergence
    if not math.isfinite(value):
        raise DivergedError(f"{stage}: the loss is {value} at step {step}; lower train.lr or train.clip", step)
    run.lowest = min(run.lowest, value)
    run.above = run.above + 1 if limit and value > limit * run.lowest else 0
    if run.above >= PATIENCE:
        raise DivergedError(
            f"{stage}: diverged: step {step}: the loss stays at {value:.3g}, {limit:g} times its lowest, {run.lowest:.3g}",
            step,
        )


def learning_rate(train: Train, step: int) -> float:
    """Of step 1..steps: a linear rise over `warmup` steps to `lr`, then the schedule, which would reach 0 one step
    after the last.
    """
    if step <= train.warmup:
        return train.lr * step / train.warmup
    left = (train.steps - step + 1) / (train.steps - train.warmup + 1)
    return train.lr * {"linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)), "constant": 1.0}[train.schedule]


def shaped(recipe: Recipe, make: Callable[[], nn.Module], new_tokens: Sequence[int]) -> nn.Module:
    """The model with what is trained marked. New weights are those of the recipe's seed, on every rank and every time."""
    torch.manual_seed(recipe.seed)
    return adapt(make(), recipe.train, new_tokens)  # type: ignore[arg-type]


def whole(
    recipe: Recipe, make: Callable[[], nn.Module], new_tokens: Sequence[int], model: nn.Module, ranks: Ranks
) -> nn.Module | None:
    """The model as one piece: itself, or, of several ranks, put together on the first one's CPU."""
    if ranks.world == 1:
        return model
    state = parallel.weights(model)
    if not ranks.first:
        return None
    plain = shaped(recipe, make, new_tokens)
    plain.load_state_dict(state)
    return plain
