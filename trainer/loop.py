"""One stage of training: take a batch, forward, backward, clip, step, write a line, save a checkpoint at times.

The same loop runs on one device, under torchrun and as a Ray Train worker. `Ranks` tells which, and only FSDP differs.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import Idefics2ForConditionalGeneration

from shards.loader import Loader
from trainer import checkpoint, flops, parallel
from trainer.adapters import adapt, decay_groups
from trainer.collate import Collator
from trainer.feed import MicroBatch, collated, prefetch
from trainer.forward import token_losses
from trainer.metrics import Log, Step
from trainer.parallel import ForwardModule, Ranks
from trainer.schema import Recipe, Train

LOG = "log.jsonl"
#: consecutive steps above the limit that count as divergence
PATIENCE = 5
#: so many skipped samples stop no run, whatever their share
FEW = 10
#: what a step counts, summed over its micro-batches and over the ranks
COUNTS = ("targets", "tokens", "places", "images", "samples", "skipped", "flops")


class DivergedError(FloatingPointError):
    """A loss that is not finite, or stays above `train.divergence` times its lowest."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class DamagedError(ValueError):
    """More samples are skipped than `max_skipped` allows."""


@dataclass(frozen=True)
class Fit:
    """The result of a stage: the model with its adapters (see `unsharded`), and the log, ``metrics.Step``'s fields."""

    model: nn.Module | None
    steps: list[dict[str, Any]]


@dataclass
class Training:
    recipe: Recipe
    ranks: Ranks
    model: ForwardModule
    optimiser: torch.optim.Optimizer
    costs: flops.Costs
    peak: float | None
    by_source: dict[str, float] = field(default_factory=dict)
    lowest: float = math.inf
    above: int = 0
    samples: int = 0
    skipped: int = 0


def fit(
    recipe: Recipe,
    make: Callable[[], Idefics2ForConditionalGeneration],
    loader: Loader,
    collate: Collator,
    folder: Path,
    identity: dict[str, str],
    stop: int | None = None,
    *,
    ranks: Ranks | None = None,
    new_tokens: Sequence[int] = (),
    rows: int | None = None,
) -> Fit:
    """Trains the model of `make` by the recipe, from the checkpoint in `folder` if there is one.

    identity: of the recipe, the data and the starting weights; a checkpoint with another one is refused
    (CheckpointError). stop: return after this step as if the machine had died; the checkpoints up to it stay.
    new_tokens: see `adapt`. rows: sequences of a step on each rank, if there are several ranks.

    A run that resumes on a CPU with the same number of threads and ranks ends with the same weights, bit for bit, as a
    run without interruption. On another number of ranks the steps differ by rounding, and by dropout and noise if the
    recipe has them. Raises DivergedError, DamagedError.
    """
    ranks = ranks or parallel.start(recipe.device)
    if recipe.threads and ranks.device.type == "cpu":
        torch.set_num_threads(recipe.threads)

    def trainable() -> nn.Module:
        """The model with its trained weights marked; its new weights depend only on the recipe's seed, on any rank."""
        torch.manual_seed(recipe.seed)
        return adapt(make(), recipe.train, new_tokens)

    model = trainable().to(ranks.device)
    costs = flops.Costs.of(model, collate.features)
    module = ForwardModule(model)
    parallel.shard(module, ranks, recipe.dtype == "bfloat16")
    torch.manual_seed(recipe.seed + ranks.rank)
    groups = decay_groups(model, recipe.train.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=recipe.train.lr, betas=recipe.train.betas)
    peak = recipe.train.peak_tflops * 1e12 if recipe.train.peak_tflops else flops.peak(ranks.device)
    run = Training(recipe, ranks, module, optimiser, costs, peak)
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / LOG, writes=ranks.first, board=recipe.tensorboard)
    state = checkpoint.find(folder, identity)
    first, position = 1, loader.state_dict()
    if state:
        checkpoint.restore(state, model, optimiser, ranks)
        first, position, run.by_source = state["step"] + 1, state["loader"], state["by_source"]
        run.samples, run.skipped = state.get("samples", 0), state.get("skipped", 0)
        loader.load_state_dict(position)
    log.resume(first - 1)
    module.train()
    # the thread of `prefetch` starts with the first step
    batches = prefetch(lambda: collated(loader, collate, recipe.packing.micro_sequences, rows))
    try:
        for step in range(first, recipe.train.steps + 1):
            line, position = one_step(run, step, batches)
            log.write(line)
            every = recipe.train.save_every
            if step == recipe.train.steps or (every and step % every == 0):
                rest: dict[str, Any] = {"loader": position, "by_source": dict(run.by_source)}
                rest |= {"samples": run.samples, "skipped": run.skipped}
                checkpoint.save(folder, step, identity, model, optimiser, ranks, **rest)
            if step == stop:
                break
    finally:
        batches.close()
        log.close()
    return Fit(unsharded(model, trainable, ranks), log.read())


def one_step(run: Training, step: int, parts: Iterator[MicroBatch]) -> tuple[Step, dict[str, Any]]:
    """One step of the optimiser: its line of the log, and the loader's state after it.

    The loss is the mean over all predicted tokens of the step, for any division into micro-batches and ranks. Their
    number is not known before the last micro-batch, so the losses are divided by the places of the step's rows, and
    the gradients are scaled at the end.
    """
    recipe, ranks, optimiser = run.recipe, run.ranks, run.optimiser
    started, wait = time.perf_counter(), 0.0
    total = torch.zeros((), device=ranks.device)
    sums = dict.fromkeys(COUNTS, 0.0)
    after: dict[str, Any] | None = None
    while after is None:
        asked = time.perf_counter()
        part = next(parts)
        wait, after = wait + time.perf_counter() - asked, part.after
        batch = part.tensors
        run.model.synchronise(after is not None or recipe.train.backbones == "full")
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            moved = batch.to(ranks.device)
            loss = token_losses(run.model(moved, recipe.train.neftune), moved.labels).sum() / part.places
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach() * part.places
        counts = (batch.targets, batch.tokens, batch.ids.numel(), batch.images, part.samples, part.skipped)
        for name, count in zip(COUNTS, (*counts, run.costs.step(batch)), strict=True):
            sums[name] += count
    summed, *values = ranks.sum([float(total), *sums.values()])
    sums = dict(zip(COUNTS, values, strict=True))
    value = summed / max(sums["targets"], 1)
    weights = [weight for group in optimiser.param_groups for weight in group["params"] if weight.grad is not None]
    for weight in weights:  # FSDP gives the mean of the ranks' gradients
        weight.grad.mul_(part.places * ranks.world / max(sums["targets"], 1))
    norm = nn.utils.clip_grad_norm_(weights, recipe.train.clip)
    rate = learning_rate(recipe.train, step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    check_skipped(run, int(sums["samples"]), int(sums["skipped"]))
    if sums["targets"]:
        run.by_source[part.source] = value
        check_divergence(run, step, value)
    seconds = time.perf_counter() - started
    measured: dict[str, Any] = {name: int(sums[name]) for name in ("tokens", "images", "samples", "skipped")}
    measured |= {"lr": rate, "gradient_norm": float(norm.full_tensor() if isinstance(norm, DTensor) else norm)}
    measured |= {"mfu": sums["flops"] / seconds / ranks.world / run.peak if run.peak else None}
    measured |= {"padding": 1 - sums["tokens"] / sums["places"], "seconds": seconds, "wait": wait}
    place = (recipe.stage, step, recipe.train.steps, part.source)
    return Step(*place, value, dict(run.by_source), **measured, flops=sums["flops"]), after


def check_skipped(run: Training, samples: int, skipped: int) -> None:
    """Adds a step's samples to the run's. Raises DamagedError if the share of skipped ones is above `max_skipped`."""
    run.samples, run.skipped = run.samples + samples, run.skipped + skipped
    limit = run.recipe.max_skipped
    if run.skipped > FEW and run.skipped > limit * run.samples:
        share = f"{run.skipped} of {run.samples} samples could not be read, more than max_skipped {limit:g} allows"
        remedy = "the lines above name them; panoramix verify RUN finds damaged shards"
        raise DamagedError(f"{run.recipe.stage}: {share}; {remedy}")


def check_divergence(run: Training, step: int, value: float) -> None:
    """Raises DivergedError, before the step is logged."""
    stage, limit = run.recipe.stage, run.recipe.train.divergence
    if not math.isfinite(value):
        raise DivergedError(f"{stage}: the loss is {value} at step {step}; lower train.lr or train.clip", step)
    run.lowest = min(run.lowest, value)
    run.above = run.above + 1 if limit and value > limit * run.lowest else 0
    if run.above >= PATIENCE:
        level = f"the loss stays at {value:.3g}, {limit:g} times its lowest, {run.lowest:.3g}"
        raise DivergedError(f"{stage}: diverged: step {step}: {level}", step)


def learning_rate(train: Train, step: int) -> float:
    """The rate of step 1..steps: linear over `warmup` steps up to `lr`, then the schedule.

    The schedule reaches 0 one step after the last: with left = (steps - step + 1) / (steps - warmup + 1), linear is
    lr * left and cosine is lr * (1 - cos(pi * left)) / 2.
    """
    if step <= train.warmup:
        return train.lr * step / train.warmup
    left = (train.steps - step + 1) / (train.steps - train.warmup + 1)
    return train.lr * {"linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)), "constant": 1.0}[train.schedule]


def unsharded(model: nn.Module, trainable: Callable[[], nn.Module], ranks: Ranks) -> nn.Module | None:
    """The model itself with one rank; with several, all of it on the first rank's CPU, and None elsewhere."""
    if ranks.world == 1:
        return model
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(model, options=options)  # of all ranks, so every rank calls it
    if not ranks.first:
        return None
    plain = trainable()
    plain.load_state_dict(state)
    return plain
