"""The reference trainer: Idefics2's training stages on shards of the pipeline. Start with `train`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ablate", "train"]

# torch is imported inside the functions, so that the command line starts fast.


def train(
    recipe: str | Path, data: str | Path, out: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the stages of a recipe; see ``trainer.run.train``."""
    _passive_threads()
    from trainer.run import train as run

    return run(recipe, data, out, overrides=overrides)


def ablate(
    finding: str, data: str | Path, out: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the arms of one of the paper's findings; see ``trainer.ablations.ablate``."""
    _passive_threads()
    from trainer.ablations import ablate as run

    return run(finding, data, out, overrides)


def _passive_threads() -> None:
    # Idle OpenMP threads sleep instead of spinning: on two cores shared with other work, spinning made a step of the
    # smoke recipe take 12 s instead of 0.6 s. OpenMP reads the variable once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
