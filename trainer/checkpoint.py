"""A stage's state on disk: weights that are trained, the optimiser, the generators, and the loader's place.

Tensors are in torch's distributed format, each rank writing its own, so that a checkpoint of any number of ranks is
read by any other. It is a folder, written beside and renamed, so that it is whole or not there. Frozen weights are left
out: they are rebuilt from where the stage started.
"""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from trainer.parallel import Ranks

_NAME = re.compile(r"checkpoint-(\d{8})")
_STATE = "state.pt"
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)


class CheckpointError(ValueError):
    """A checkpoint of something else; the message says what to do."""


def save(
    folder: Path,
    *,
    step: int,
    identity: dict[str, str],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    ranks: Ranks,
    **rest: Any,
) -> None:
    """rest: further plain values, such as the loader's state. identity: what a run must share with this one to continue
    it.
    """
    new = folder / f"checkpoint-{step:08d}.new"
    if ranks.first:
        shutil.rmtree(new, ignore_errors=True)
    ranks.wait()
    weights, moments = get_state_dict(model, optimiser, options=_TRAINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that one process is no cluster
        dcp.save({"model": weights, "optimiser": moments}, checkpoint_id=new)
    generators = ranks.gathered(torch.get_rng_state())
    if ranks.first:
        torch.save({"step": step, "identity": identity, "generators": generators, **rest}, new / _STATE)
        done = folder / f"checkpoint-{step:08d}"
        shutil.rmtree(done, ignore_errors=True)
        new.rename(done)
        for older in listed(folder)[:-1]:
            shutil.rmtree(older)
    ranks.wait()


def listed(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the last step last."""
    return sorted(path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name))


def find(folder: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    """The last checkpoint's plain values, with its `path`; None where there is none. Raises CheckpointError where it
    belongs to another
    recipe or other data."""
    paths = listed(folder)
    if not paths:
        return None
    state: dict[str, Any] = torch.load(paths[-1] / _STATE, map_location="cpu", weights_only=True)
    for name, value in identity.items():
        if state["identity"].get(name) != value:
            raise CheckpointError(
                f"{paths[-1]}: the {name} has changed since this run began; choose another --out, or set train.overwrite to start anew"
            )
    return {**state, "path": paths[-1]}


def restore(state: dict[str, Any], model: nn.Module, optimiser: torch.optim.Optimizer, ranks: Ranks) -> None:
    """Into a model of the same shape, on any number of ranks. With another number, dropout and noise are drawn
    otherwise.
    """
    weights, moments = get_state_dict(model, optimiser, options=_TRAINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.load({"model": weights, "optimiser": moments}, checkpoint_id=state["path"])
    set_state_dict(model, optimiser, model_state_dict=weights, optim_state_dict=moments, options=_TRAINED)
    if len(state["generators"]) == ranks.world:
        torch.set_rng_state(state["generators"][ranks.rank])
