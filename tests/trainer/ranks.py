"""A stage under torchrun: ``torchrun --nproc-per-node 2 -m tests.trainer.ranks OUT [key=value ...]``.

The result is OUT/s/log.jsonl.
"""

import sys
from pathlib import Path

import torch
import yaml

from pipelines.commands.exit import leave
from tests.trainer import small
from tests.trainer.fakes import Loader, Sample
from tests.trainer.pictures import picture
from trainer import parallel, schema
from trainer.loop import fit
from trainer.schema import Recipe

ROWS = 4


class Ranked(Loader):
    """The rows of the fake loader, distributed over the ranks as ``shards.loader`` distributes them."""

    def __init__(self, *args, rank: int, world: int, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.rank, self.world = rank, world

    def __iter__(self):
        for batch in super().__iter__():
            batch.sequences = batch.sequences[self.rank :: self.world]
            yield batch


def samples() -> dict[str, list[Sample]]:
    pictures = [picture(seed) for seed in range(6)]
    pairs = [Sample(f"p{i}", "pairs", [0, caption], [data]) for i, (data, caption) in enumerate(pictures)]
    return {"pairs": pairs, "text": [Sample("t", "text", ["words alone, and some more of them"], [])]}


class Uneven(Ranked):
    """Every even row is text and goes to the first rank, so that one rank of two never gets an image."""

    def __iter__(self):
        for batch in Loader.__iter__(self):
            batch.sequences = [
                [self.samples["text"][0]] if n % 2 == 0 else row for n, row in enumerate(batch.sequences)
            ]
            batch.sequences = batch.sequences[self.rank :: self.world]
            yield batch


def recipe(**train: object) -> Recipe:
    settings = {"steps": 6, "lr": 1e-3, "warmup": 2, "backbones": "full", "save_every": 3, **train}
    packing = schema.Packing(micro_sequences=1)
    stage = {"stage": "s", "mixture": "m", "threads": 1, "tensorboard": False}
    return Recipe(model=small.MODEL, train=schema.Train(**settings), packing=packing, **stage)


def main(out: Path, changes: dict) -> None:
    keys = ("stop", "fusion", "uneven", "dtype", "micro")
    stop, fusion, uneven, dtype, micro = (changes.pop(key, None) for key in keys)
    spec = recipe(**changes)
    if micro:
        spec = spec.model_copy(update={"packing": schema.Packing(micro_sequences=micro)})
    if fusion:
        model = small.MODEL.model_copy(update={"fusion": fusion, "cross_every": 1})
        spec = spec.model_copy(update={"model": model})
    if dtype:
        spec = spec.model_copy(update={"dtype": dtype})
    ranks = parallel.start("cpu")
    n_latents = 1 if fusion == "cross_attention" else small.LATENTS
    loader_class = Uneven if uneven else Ranked
    loader = loader_class(samples(), {"pairs": 1.0}, ROWS, 120, n_latents, rank=ranks.rank, world=ranks.world)
    collate = small.collator(latents=n_latents)

    def make():
        return small.build(spec.model, small.TOKENIZER.vocab_size, small.SPECIALS)

    rows = ROWS // ranks.world if ranks.world > 1 else None
    settings = {"ranks": ranks, "new_tokens": small.SPECIALS.new, "rows": rows}
    result = fit(spec, make, loader, collate, out / "s", {"recipe": "r"}, stop, **settings)
    if result.model is not None:
        torch.save(result.model.state_dict(), out / "weights.pt")
    ranks.wait()
    if ranks.world > 1:
        torch.distributed.destroy_process_group()


# As in `torchrun -m pipelines train`, this exit prevents that a thread of a library makes a rank fail at its end.
if __name__ == "__main__":
    pairs = [pair.split("=", 1) for pair in sys.argv[2:]]
    leave(lambda: main(Path(sys.argv[1]), {key: yaml.safe_load(value) for key, value in pairs}))
