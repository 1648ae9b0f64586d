"""`panoramix classifier`: quality classifiers of your own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.common import Json, one_line, out

app = typer.Typer(no_args_is_help=True, help="Quality classifiers of your own.")


@app.callback()
def _group() -> None:
    """Keeps `train` a command of its own while it is the only one."""


@app.command()
def train(
    positive: Annotated[list[str], typer.Option(help="Good texts, one a line or .jsonl with `text`; repeatable.")],
    negative: Annotated[list[str], typer.Option(help="Bad texts, in the same form.")],
    output: Annotated[Path, typer.Option("-o", help="The model's path; a recipe names it in NAME.text.quality_model.")],
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the texts held out to measure precision and recall.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="The same texts and seed make the same model.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a fastText classifier and measure it on texts held out."""
    from filters.quality import read_texts
    from filters.quality import train as fit

    with one_line(ValueError, OSError):
        good, bad = (read_texts(files) for files in (positive, negative))
        result = fit(good, bad, str(output), held_out, seed)
    if as_json:
        print(json.dumps(result))
        return
    out.print(
        f"precision {result['precision']:.3f}  recall {result['recall']:.3f}  of {result['held_out']:,} held out, "
        f"{result['trained']:,} trained on"
    )
