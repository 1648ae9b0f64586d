"""Several processes as one: torchrun's (or Ray Train's) ranks, and FSDP2 over them. One process needs none of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from trainer.collate import Tensors
from trainer.forward import bare, logits


@dataclass(frozen=True)
class Ranks:
    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def summed(self, values: list[float]) -> list[float]:
        """The sum of each number over all ranks."""
        if self.world == 1:
            return values
        # float64: exact for counts. NCCL and gloo both take it.
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def gathered(self, value: Any) -> list[Any]:
        """A picklable value of each rank, on every rank."""
        if self.world == 1:
            return [value]
        out: list[Any] = [None] * self.world
        dist.all_gather_object(out, value)
        return out

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


def start(device: str = "auto") -> Ranks:
    """This process among those of its launcher, which it knows by RANK, WORLD_SIZE and LOCAL_RANK; alone without them.

    device: `auto` takes the accelerator of this rank where there is one.
    """
    place = torch.device(device) if device != "auto" else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks(0, 1, place)
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), place)


def end() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


class Reader(nn.Module):  # type: ignore[misc]
    """The model behind one call, which FSDP can stand before: it gathers weights where a module is called, and we call
    inner ones.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Tensors, noise: float = 0.0) -> torch.Tensor:
        return logits(self.model, batch, noise)


def shard(reader: Reader, ranks: Ranks, bfloat16: bool) -> None:
    """Each decoder layer and cross-attention block is a unit, and the vision tower as a whole, so that ranks with
    different numbers of
    images still gather the same things in the same order; what is left is the last unit."""
    if ranks.world == 1:
        return
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if bfloat16
        else MixedPrecisionPolicy()
    )
    whole = bare(reader.model).model
    for unit in (*whole.text_model.layers, *getattr(whole, "cross", ()), whole.vision_model, whole.connector):
        fully_shard(unit, mp_policy=policy)
    fully_shard(reader, mp_policy=policy)


def weights(model: nn.Module) -> dict[str, Any]:
    """The whole state on the first rank's CPU, nothing elsewhere. Every rank must call it."""
    found: dict[str, Any] = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    return found
