"""The commands that train: `panoramix train` and `panoramix ablate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from manifests.runfiles import root_of
from pipelines.commands.common import Json, one_line

Data = Annotated[str, typer.Option("--data", help="A run's folder or fsspec URL.", parser=root_of)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a key: profile=tiny, train.lr=1e-4, stage2.train.steps=50; may be given again."),
]


def _below(data: str, name: str) -> Path:
    """The folder `name` of a run on a local disk. Raises ValueError for a URL: the trainer writes local files."""
    if "://" in data:
        raise ValueError(f"{data} is not on a local disk: give a folder for checkpoints and logs with --out")
    return Path(data) / name


def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe, such as trainer/recipes/demo.yaml.")],
    data: Data,
    settings: Settings = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Checkpoints and logs; DATA/train by default.")] = None,
    as_json: Json = False,
) -> None:
    """Train the reference model on a run's shards."""
    import trainer
    from trainer.config import settings as parse

    with one_line(FileNotFoundError, ValueError):
        result = trainer.train(recipe, data, folder or _below(data, "train"), overrides=parse(settings or ()))
    print(json.dumps(result, indent=None if as_json else 1, default=str))


def ablate(
    findings: Annotated[list[str], typer.Argument(help="finding-1 ... finding-6, or files of that form.")],
    data: Data,
    settings: Settings = None,
    folder: Annotated[Path | None, typer.Option("--out", help="DATA/ablations by default.")] = None,
    as_json: Json = False,
) -> None:
    """The paper's findings as small runs on a run's shards, beside the paper's numbers."""
    import trainer
    from trainer.config import settings as parse

    for finding in findings:
        with one_line(FileNotFoundError, ValueError):
            out = (folder or _below(data, "ablations")) / Path(finding).stem
            result = trainer.ablate(finding, data, out, parse(settings or ()))
        print(json.dumps(result) if as_json else result["table"], flush=True)
