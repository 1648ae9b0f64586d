"""The log of a stage: one line a step, on stderr, in JSON Lines and for TensorBoard."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """A line of the log.

    source: name of the step's source. loss: nats per predicted token, mean over the step. by_source: the last loss of
    each source so far, by its name. padding: share of the rows' places without a token. seconds: of the step; wait: of
    them, for data. samples: of the step; skipped: of them, left out because they are damaged. flops: operations of the
    step, see ``flops``; mfu: their share of the devices' peak, null without a peak.
    """

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
    samples: int = 0
    skipped: int = 0
    flops: float = 0.0
    mfu: float | None = None

    def line(self) -> str:
        """The step as a line of text."""
        sources = " ".join(f"{name} {loss:.3f}" for name, loss in self.by_source.items())
        rate = f"mfu {self.mfu:.1%}" if self.mfu is not None else f"{self.flops / self.seconds / 1e9:,.1f} GFLOP/s"
        return (
            f"{self.stage} {self.step:>{len(str(self.steps))}}/{self.steps} loss {self.loss:.4f} ({sources}) "
            f"lr {self.lr:.2e} gn {self.gradient_norm:.2f} "
            f"{self.tokens / self.seconds:,.0f} tok/s {self.images / self.seconds:,.1f} img/s {rate} "
            f"pad {self.padding:.0%} wait {self.wait / self.seconds:.0%}"
            f"{f' skipped {self.skipped}' if self.skipped else ''}"
        )

    def scalars(self) -> dict[str, float]:
        """The curves of TensorBoard."""
        out = {"loss": self.loss, f"loss/{self.source}": self.loss, "lr": self.lr, "gradient_norm": self.gradient_norm}
        rates = {"tokens": self.tokens, "images": self.images, "wait": self.wait}
        out |= {"padding": self.padding} | {f"speed/{name}": n / self.seconds for name, n in rates.items()}
        return out if self.mfu is None else {**out, "speed/mfu": self.mfu}


def speed(steps: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """``seconds``, ``tokens_per_s``, ``images_per_s``, the share ``wait``, and ``mfu`` (None without a peak).

    steps: mappings of `Step`'s fields. The first step is left out, because it waits for every part to start.
    """
    steps = steps[1:] or steps
    seconds = sum(s["seconds"] for s in steps)
    tokens, images, wait = (sum(s[name] for s in steps) / seconds for name in ("tokens", "images", "wait"))
    mfu = sum(s["mfu"] * s["seconds"] for s in steps) / seconds if all(s["mfu"] is not None for s in steps) else None
    return {"seconds": seconds, "tokens_per_s": tokens, "images_per_s": images, "wait": wait, "mfu": mfu}


def speed_line(rates: Mapping[str, float | None]) -> str:
    """The result of `speed` as text."""
    mfu = "" if rates["mfu"] is None else f", MFU {rates['mfu']:.1%}"
    read = f"{rates['tokens_per_s']:,.0f} tokens/s, {rates['images_per_s']:,.1f} images/s{mfu}"
    return f"{rates['seconds']:,.0f} s after the first step: {read}, {rates['wait']:.1%} of it waiting for data"


@dataclass
class Log:
    """Writes steps to a JSONL file, to stderr, and to TensorBoard.

    writes: False on every rank but the first; such a log only reads. board: whether to write TensorBoard files, to a
    folder ``tensorboard`` beside the file.
    """

    path: Path
    writes: bool = True
    board: bool = False
    _board: Any = None

    def resume(self, step: int) -> None:
        """Prepares the log for the step after `step`: drops the lines of later steps."""
        if not self.writes:
            return
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step))
        if self.board:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.path.parent / "tensorboard"), purge_step=step + 1)

    def write(self, step: Step) -> None:
        if not self.writes:
            return
        with self.path.open("a") as out:
            out.write(json.dumps(asdict(step)) + "\n")
        print(step.line(), file=sys.stderr, flush=True)
        if self._board:
            for name, value in step.scalars().items():
                self._board.add_scalar(name, value, step.step)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def close(self) -> None:
        if self._board:
            self._board.close()
