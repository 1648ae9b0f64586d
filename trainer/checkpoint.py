"""A stage's state on disk: the trained weights, the optimiser, the random generators and the loader's position.

Tensors are in torch's distributed format, and each rank writes its own, so a checkpoint of any number of ranks can be
read by any other number. A checkpoint is a folder that is written under another name and renamed, so it is complete or
absent. Frozen weights are left out, because they come from the stage's start.
"""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.optim import Optimizer

from trainer.parallel import Ranks

_STATE = "state.pt"
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)


class CheckpointError(ValueError):
    """A checkpoint of another recipe or other data; the message says what to do."""


def save(
    folder: Path, step: int, identity: dict[str, str], model: nn.Module, optimiser: Optimizer, ranks: Ranks, **rest: Any
) -> None:
    """Writes a checkpoint, removes the one before. rest: plain values. identity: what a run that resumes must share."""
    new = folder / f"checkpoint-{step:08d}.new"
    if ranks.first:
        shutil.rmtree(new, ignore_errors=True)
    ranks.wait()
    weights, moments = get_state_dict(model, optimiser, options=_TRAINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns if there is only one process
        dcp.save({"model": weights, "optimiser": moments}, checkpoint_id=new)
    generators = ranks.gather(_generators(ranks.device))
    if ranks.first:
        torch.save({"step": step, "identity": identity, "generators": generators, **rest}, new / _STATE)
        final = folder / f"checkpoint-{step:08d}"
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
        for older in listed(folder)[:-1]:
            shutil.rmtree(older)
    ranks.wait()


def listed(folder: Path) -> list[Path]:
    """The checkpoints of a folder in the order of their steps."""
    return sorted(folder.glob("checkpoint-" + "[0-9]" * 8))


def find(folder: Path, identity: dict[str, str]) -> dict[str, Any] | None:
    """The last checkpoint's plain values and `path`, or None. Raises CheckpointError: other recipe or data."""
    paths = listed(folder)
    if not paths:
        return None
    state: dict[str, Any] = torch.load(paths[-1] / _STATE, map_location="cpu", weights_only=True)
    for name, value in identity.items():
        if state["identity"].get(name) != value:
            remedy = "choose another --out, or set train.overwrite to start anew"
            raise CheckpointError(f"{paths[-1]}: the {name} has changed since this run began; {remedy}")
    return {**state, "path": paths[-1]}


def restore(state: dict[str, Any], model: nn.Module, optimiser: Optimizer, ranks: Ranks) -> None:
    """Loads a checkpoint into a model of the same shape, on any number of ranks.

    state: of `find`. On another number of ranks the random generators start anew, so dropout and noise differ.
    """
    weights, moments = get_state_dict(model, optimiser, options=_TRAINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.load({"model": weights, "optimiser": moments}, checkpoint_id=state["path"])
    set_state_dict(model, optimiser, model_state_dict=weights, optim_state_dict=moments, options=_TRAINED)
    if len(state["generators"]) == ranks.world:
        own = state["generators"][ranks.rank]
        torch.set_rng_state(own["cpu"])
        if "cuda" in own and ranks.device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], ranks.device)


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of this rank's random generators. Dropout and noise on a GPU come from the GPU's."""
    gpu = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **gpu}
