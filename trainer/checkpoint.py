"""A stage's state on disk: weights that are trained, the optimiser, torch's generator, and the loader's place.

A checkpoint is one file, written beside and renamed, so that it is whole or not there. Frozen weights are left out: they are rebuilt
from where the stage started.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

NAME = "checkpoint.pt"


class CheckpointError(ValueError):
    """A checkpoint of something else; the message says what to do."""


def save(folder: Path, *, step: int, identity: dict[str, str], model: nn.Module, optimiser: torch.optim.Optimizer, **rest: Any) -> None:
    """rest: further plain values, such as the loader's state. identity: what a run must share with this one to continue it."""
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    state = {
        "step": step,
        "identity": identity,
        "model": {name: value for name, value in model.state_dict().items() if name in trained},
        "optimiser": optimiser.state_dict(),
        "generator": torch.get_rng_state(),
        **rest,
    }
    beside = folder / f"{NAME}.new"
    with beside.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(folder / NAME)


def find(folder: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    """The checkpoint's state, or None where there is none. Raises CheckpointError where it belongs to another recipe or other data."""
    path = folder / NAME
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in identity.items():
        if state["identity"].get(name) != value:
            raise CheckpointError(f"{path}: the {name} has changed since this run began; choose another --out, or set train.overwrite to start anew")
    return state


def restore(state: dict[str, Any], model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    missing, unexpected = model.load_state_dict(state["model"], strict=False)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    if unexpected or trained & set(missing):
        raise CheckpointError(f"the checkpoint's weights are not this model's: {sorted([*unexpected, *trained & set(missing)])[:3]}")
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["generator"])
