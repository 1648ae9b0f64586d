"""Several processes as one training run: the ranks of torchrun or Ray Train, and FSDP2 over them."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from trainer.collate import Tensors
from trainer.forward import logits, without_adapters


@dataclass(frozen=True)
class Ranks:
    """This process among all of the run."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """The sum of each number over all ranks."""
        if self.world == 1:
            return values
        # float64 is exact for counts; NCCL and gloo both accept it
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """A picklable value of each rank, on every rank."""
        if self.world == 1:
            return [value]
        out: list[Any] = [None] * self.world
        dist.all_gather_object(out, value)
        return out

    def wait(self) -> None:
        """Returns when every rank has called it."""
        if self.world > 1:
            dist.barrier()


def start(device: str = "auto") -> Ranks:
    """This process's rank by its launcher's variables, else the only one. device: `auto`: an accelerator if any."""
    place = torch.device(device) if device != "auto" else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Ranks(0, 1, place)
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), place)


class ForwardModule(nn.Module):  # type: ignore[misc]
    """`logits` as a module. FSDP gathers weights when a module is called, and `logits` calls only inner modules."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Tensors, noise: float = 0.0) -> torch.Tensor:
        return logits(self.model, batch, noise)

    def synchronise(self, now: bool) -> None:
        """Whether the next backward pass sums the gradients over the ranks; else they gather on this rank, unsharded.

        Without FSDP there is nothing to sum.
        """
        if isinstance(self, FSDPModule):
            self.set_requires_gradient_sync(now)


def shard(module: ForwardModule, ranks: Ranks, bfloat16: bool) -> None:
    """Applies FSDP2 if there are several ranks.

    Each decoder layer and cross-attention block is a unit, and so are the vision tower and the connector, so that ranks
    with different numbers of images gather the same weights in the same order. The rest is the last unit.
    """
    if ranks.world == 1:
        return
    dtypes = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32} if bfloat16 else {}
    policy = MixedPrecisionPolicy(**dtypes)
    parts = without_adapters(module.model).model
    for unit in (*parts.text_model.layers, *getattr(parts, "cross", ()), parts.vision_model, parts.connector):
        fully_shard(unit, mp_policy=policy)
    fully_shard(module, mp_policy=policy)
