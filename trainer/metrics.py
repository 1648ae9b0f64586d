"""One line a step, for the eye and for JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Step:
    """loss: nats per predicted token, mean over the step. by_source: the last loss of each source so far. seconds: the whole step;
    wait: of them, those spent waiting for data. padding: share of the rows' places that hold no token."""

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

    def line(self) -> str:
        sources = " ".join(f"{name} {loss:.3f}" for name, loss in self.by_source.items())
        return (
            f"{self.stage} {self.step:>{len(str(self.steps))}}/{self.steps} loss {self.loss:.4f} ({sources}) lr {self.lr:.2e} "
            f"gn {self.gradient_norm:.2f} {self.tokens / self.seconds:,.0f} tok/s {self.images / self.seconds:,.1f} img/s "
            f"pad {self.padding:.0%} wait {self.wait / self.seconds:.0%}"
        )


@dataclass
class Log:
    """Writes steps to a JSONL file, one object a line, and to a stream. Continuing from a step drops the lines behind it."""

    path: Path
    stream: IO[str] = field(default_factory=lambda: sys.stderr)

    def continue_from(self, step: int) -> None:
        kept = [line for line in self.path.read_text().splitlines() if json.loads(line)["step"] <= step] if self.path.exists() else []
        self.path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, step: Step) -> None:
        with self.path.open("a") as out:
            out.write(json.dumps(asdict(step)) + "\n")
        print(step.line(), file=self.stream, flush=True)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]
