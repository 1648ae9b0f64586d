"""The commands that look into a finished run and change nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from manifests.runfiles import RunFiles, RunFilesError, root_of
from pipelines.commands.common import Json, Run, SourceName, err, fail, one_line, out


def stats(run_folder: Run, as_json: Json = False) -> None:
    """A run's mixture, funnel and reasons."""
    from pipelines.commands.show import run_tables

    with one_line(RunFilesError):
        numbers = RunFiles(run_folder).json("stats.json", "sources")
    if as_json:
        print(json.dumps(numbers))
    else:
        out.print(*run_tables(numbers), sep="\n")


def report(run_folder: Run, output: Annotated[Path, typer.Option("-o", help="Where to put the HTML file.")]) -> None:
    """A run's report as one HTML file, with the curves of what was trained below RUN/train."""
    from manifests.report import with_training

    files = RunFiles(run_folder)
    with one_line(RunFilesError):
        files.json("stats.json", "sources")
        page = with_training(files.text("report.html"), files)
    with one_line(OSError):
        output.write_text(page, "utf-8")
    err.print(f"{output}", highlight=False)


def samples(
    run_folder: Run,
    source: Annotated[str | None, typer.Argument(help="Name of a source; the run's first if not given.")] = None,
    option: SourceName = None,
    number: Annotated[int, typer.Option("-n", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Documents as they are in the shards, in reading order."""
    from manifests.inspect import InspectError
    from manifests.inspect import samples as read

    with one_line(InspectError, RunFilesError, FileNotFoundError):
        for document in read(RunFiles(run_folder), source or option, number):
            print(json.dumps(document, ensure_ascii=False) if as_json else document["rendered"])


def explain(
    run_folder: Run,
    what: Annotated[str, typer.Argument(help="A document's id, a page's or an image's URL.")],
    as_json: Json = False,
) -> None:
    """Why a document, page or image is, or is not, in the data."""
    from manifests.inspect import explain as lines

    with one_line(RunFilesError, FileNotFoundError):
        rows = lines(RunFiles(run_folder), what)
    if not rows:
        err.print(f"{what}: not among what the run read", highlight=False)
        raise typer.Exit(1)
    for row in rows:
        print(json.dumps(row, ensure_ascii=False, default=str) if as_json else row["says"])


def diff(first: Run, second: Run, as_json: Json = False) -> None:
    """The differences of two runs: documents, images, tokens, reasons."""
    from manifests.inspect import diff as compare
    from pipelines.commands.show import differences

    with one_line(RunFilesError):
        rows = compare(*(RunFiles(run).json("stats.json", "sources") for run in (first, second)))
    if as_json:
        print(json.dumps(rows))
    else:
        out.print(differences(rows, first, second))


def sweep(
    run_folder: Run,
    rule: Annotated[str, typer.Argument(help="rule=from..to[:step] or level.score.limit=...: node.words.min=2..8")],
    source: SourceName = None,
    as_json: Json = False,
) -> None:
    """What other thresholds would keep, from a run's stored scores; nothing is run."""
    from filters.rules import RuleError
    from pipelines.commands.show import thresholds
    from pipelines.commands.sweep import sweep_run
    from pipelines.recipe.schema import RecipeError

    with one_line(RuleError, RecipeError, RunFilesError):
        name, what, current, rows = sweep_run(run_folder, rule, source)
    if as_json:
        print(json.dumps({"source": name, **dataclasses.asdict(what), "current": current, "rows": rows}))
    else:
        out.print(thresholds(f"{name}: {what.level} {what.score}.{what.limit}", rows, current))


def verify(
    path: Annotated[
        str, typer.Argument(help="A run or a published copy: a folder or fsspec URL; or one shard.", parser=root_of)
    ],
    reader: Annotated[str | None, typer.Option(help="webdataset: read each shard with that library too.")] = None,
    as_json: Json = False,
) -> None:
    """Check shards against their manifest: bytes, counts, indexes."""
    from shards.publish.verify import verify as check

    with one_line(FileNotFoundError, ValueError):
        problems = list(check(path, reader))
    if [problem.kind for problem in problems] == ["manifest"]:
        fail(problems[0].detail)
    for problem in problems:
        print(json.dumps(vars(problem), default=str) if as_json else str(problem))
    if problems:
        raise typer.Exit(1)
    err.print(f"{path}: every shard is what the manifest says", highlight=False)
