"""The reference trainer: Idefics2's stages on the shards the pipeline wrote. `train` is its front door."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ablate", "train"]


def train(
    recipe: str | Path, data: str | Path, out: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """See ``trainer.run.train``. torch is imported here and not before, so that the command line starts fast."""
    sleeping_threads()
    from trainer.run import train as run

    return run(recipe, data, out, overrides=overrides)


def ablate(
    finding: str, data: str | Path, out: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """See ``trainer.ablations.ablate``."""
    sleeping_threads()
    from trainer.ablations import ablate as run

    return run(finding, data, out, overrides)


def sleeping_threads() -> None:
    # Threads that wait for each other sleep instead of spinning. Where two threads share two cores with other work,
    # spinning made a step of the smoke recipe take 12 s instead of 0.6 s. OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
