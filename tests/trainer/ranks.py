"""A stage under torchrun: ``torchrun --nproc-per-node 2 -m tests.trainer.ranks OUT [key=value ...]``. Prints nothing;
OUT/s/log.jsonl tells.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml

from pipelines.commands.exit import leave
from tests.trainer import small
from tests.trainer.fakes import Loader, Sample
from tests.trainer.pictures import picture
from trainer import config, parallel
from trainer.loop import fit
from trainer.schema import Recipe

ROWS = 4


class Ranked(Loader):
    """The fake loader's rows, shared out as ``shards.loader`` does."""

    def __init__(self, *args, rank: int, world: int, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.rank, self.world = rank, world

    def __iter__(self):
        for batch in super().__iter__():
            batch.sequences = batch.sequences[self.rank :: self.world]
            yield batch


def samples() -> dict[str, list[Sample]]:
    drawn = [picture(seed) for seed in range(6)]
    # Rows alternate between text alone and an image, so that one rank of two never sees an image.
    pairs = [Sample(f"p{i}", "pairs", [0, caption], [data]) for i, (data, caption) in enumerate(drawn)]
    return {"pairs": pairs, "text": [Sample("t", "text", ["words alone, and some more of them"], [])]}


class Uneven(Ranked):
    """Every even row is text: it is the first rank's, the others are the second's."""

    def __iter__(self):
        for batch in Loader.__iter__(self):
            batch.sequences = [
                [self.samples["text"][0]] if n % 2 == 0 else row for n, row in enumerate(batch.sequences)
            ]
            batch.sequences = batch.sequences[self.rank :: self.world]
            yield batch


def recipe(**train: object) -> Recipe:
    settings = {"steps": 6, "lr": 1e-3, "warmup": 2, "backbones": "full", "save_every": 3, **train}
    packing = config.Packing(micro_sequences=1)
    return Recipe(
        stage="s",
        mixture="m",
        model=small.MODEL,
        train=config.Train(**settings),
        packing=packing,
        threads=1,
        tensorboard=False,
    )


def main(out: Path, changes: dict) -> None:
    stop, fusion, uneven, dtype = (
        changes.pop("stop", None),
        changes.pop("fusion", None),
        changes.pop("uneven", False),
        changes.pop("dtype", None),
    )
    chosen = recipe(**changes)
    if fusion:
        chosen = chosen.model_copy(
            update={"model": small.MODEL.model_copy(update={"fusion": fusion, "cross_every": 1})}
        )
    if dtype:
        chosen = chosen.model_copy(update={"dtype": dtype})
    ranks = parallel.start("cpu")
    each = 1 if fusion == "cross_attention" else small.LATENTS
    kind = Uneven if uneven else Ranked
    loader = kind(samples(), {"pairs": 1.0}, ROWS, 120, each, rank=ranks.rank, world=ranks.world)
    collate = small.collator(latents=each)

    def make():
        return small.build(chosen.model, small.TOKENIZER.vocab_size, small.SPECIALS)

    rows = ROWS // ranks.world if ranks.world > 1 else None
    trained = fit(
        chosen,
        make,
        loader,
        collate,
        out / "s",
        {"recipe": "r"},
        stop,
        ranks=ranks,
        new_tokens=small.SPECIALS.new,
        rows=rows,
    )
    if trained.model is not None:
        torch.save(trained.model.state_dict(), out / "weights.pt")
    ranks.wait()
    parallel.end()


# it ends as `torchrun -m pipelines train` does: a library's thread at the interpreter's end fails no rank
if __name__ == "__main__":
    leave(
        lambda: main(
            Path(sys.argv[1]),
            {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in sys.argv[2:])},
        )
    )
