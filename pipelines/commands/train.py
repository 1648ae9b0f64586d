"""The commands that train: `panoramix train` and `panoramix ablate`; and what all commands share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[Path, typer.Option("--data", help="A run's folder.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a key: profile=tiny, train.lr=1e-4, stage2.train.steps=50; and more."),
]


@contextlib.contextmanager
def clear(*faults: type[BaseException]) -> Iterator[None]:
    """Known faults become one line on stderr and exit code 2."""
    try:
        yield
    except faults as e:
        err.print(f"panoramix: {e}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe, such as trainer/recipes/demo.yaml.")],
    data: Data,
    settings: Settings = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="For checkpoints and logs; DATA/train if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the reference model on a run's shards."""
    import trainer
    from trainer.config import settings as parsed

    with clear(FileNotFoundError, ValueError):
        result = trainer.train(recipe, data, folder or data / "train", overrides=parsed(settings or ()))
    print(json.dumps(result, indent=None if as_json else 1, default=str))


def ablate(
    findings: Annotated[list[str], typer.Argument(help="finding-1 ... finding-6, or files of that form.")],
    data: Data,
    settings: Settings = None,
    folder: Annotated[Path | None, typer.Option("--out", help="DATA/ablations if not given.")] = None,
    as_json: Json = False,
) -> None:
    """The paper's findings as small runs on a run's shards, beside the paper's numbers."""
    import trainer
    from trainer.config import settings as parsed

    for finding in findings:
        with clear(FileNotFoundError, ValueError):
            result = trainer.ablate(
                finding, data, (folder or data / "ablations") / Path(finding).stem, parsed(settings or ())
            )
        print(json.dumps(result) if as_json else result["table"], flush=True)
