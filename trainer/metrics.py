"""One line a step, for the eye and for JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Step:
    """loss: nats per predicted token, mean over the step. by_source: the last loss of each source so far. seconds: the
    whole step;
    wait: of them, those spent waiting for data. padding: share of the rows' places that hold no token. flops:
    operations of the step, see
    ``flops``; mfu: their share of what the devices could have done, null where we know no peak."""

    stage: str
    step: int
    steps: int
    source: str
    loss: float
    by_source: dict[str, float]
    lr: float
    gradient_norm: float
    tokens: int
    images: int
    padding: float
    seconds: float
    wait: float
    flops: float = 0.0
    mfu: float | None = None

    def line(self) -> str:
        sources = " ".join(f"{name} {loss:.3f}" for name, loss in self.by_source.items())
        return (
            f"{self.stage} {self.step:>{len(str(self.steps))}}/{self.steps} loss {self.loss:.4f} ({sources}) lr {self.lr:.2e} "
            f"gn {self.gradient_norm:.2f} {self.tokens / self.seconds:,.0f} tok/s {self.images / self.seconds:,.1f} img/s "
            f"{f'mfu {self.mfu:.1%}' if self.mfu is not None else f'{self.flops / self.seconds / 1e9:,.1f} GFLOP/s'} "
            f"pad {self.padding:.0%} wait {self.wait / self.seconds:.0%}"
        )

    def scalars(self) -> dict[str, float]:
        """What TensorBoard draws."""
        out = {
            "loss": self.loss,
            f"loss/{self.source}": self.loss,
            "lr": self.lr,
            "gradient_norm": self.gradient_norm,
            "padding": self.padding,
        }
        rates = {
            "tokens": self.tokens / self.seconds,
            "images": self.images / self.seconds,
            "wait": self.wait / self.seconds,
        }
        out |= {f"speed/{name}": value for name, value in rates.items()}
        return out if self.mfu is None else {**out, "speed/mfu": self.mfu}


def speed(steps: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Of all steps but the first, which waits for everything to begin: ``seconds``, ``tokens_per_s``, ``images_per_s``,
    the share of ``wait``
    and ``mfu`` (None where no peak is known). steps: mappings of `Step`'s fields."""
    steps = steps[1:] or steps
    seconds = sum(s["seconds"] for s in steps)
    total = {name: sum(s[name] for s in steps) for name in ("tokens", "images", "wait")}
    mfu = sum(s["mfu"] * s["seconds"] for s in steps) / seconds if all(s["mfu"] is not None for s in steps) else None
    rates = {
        "tokens_per_s": total["tokens"] / seconds,
        "images_per_s": total["images"] / seconds,
        "wait": total["wait"] / seconds,
    }
    return {"seconds": seconds, **rates, "mfu": mfu}


def said(found: Mapping[str, float | None]) -> str:
    """`speed` in words."""
    mfu = "" if found["mfu"] is None else f", MFU {found['mfu']:.1%}"
    rates = f"{found['tokens_per_s']:,.0f} tokens/s, {found['images_per_s']:,.1f} images/s"
    return f"{found['seconds']:,.0f} s behind the first step: {rates}{mfu}, {found['wait']:.1%} of it waiting for data"


@dataclass
class Log:
    """Writes steps to a JSONL file, one object a line, to a stream, and to TensorBoard. Continuing from a step drops
    the lines behind it.

    writes: False on every rank but the first, which then only reads. board: TensorBoard files in a folder
    ``tensorboard`` beside.
    """

    path: Path
    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    writes: bool = True
    board: bool = False
    _board: Any = None

    def continue_from(self, step: int) -> None:
        if not self.writes:
            return
        kept = (
            [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= step]
            if self.path.exists()
            else []
        )
        self.path.write_text("".join(f"{line}\n" for line in kept))
        if self.board:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.path.parent / "tensorboard"), purge_step=step + 1)

    def write(self, step: Step) -> None:
        if not self.writes:
            return
        with self.path.open("a") as out:
            out.write(json.dumps(asdict(step)) + "\n")
        print(step.line(), file=self.stream, flush=True)
        if self._board:
            for name, value in step.scalars().items():
                self._board.add_scalar(name, value, step.step)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def close(self) -> None:
        if self._board:
            self._board.close()
