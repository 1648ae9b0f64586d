"""The commands that look into a finished run and change nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from manifests.runfiles import RunFiles, RunFilesError
from pipelines.commands.common import Json, Run, SourceName, err, fail, folder_of_run, json_line, one_line, out


def stats(
    run_folder: Run,
    of_files: Annotated[bool, typer.Option("--files", help="What each input file gave, worst first.")] = False,
    as_json: Json = False,
) -> None:
    """A run's mixture, funnel and reasons."""
    from pipelines.commands.show import run_tables

    with one_line(RunFilesError):
        numbers = RunFiles(run_folder).json("stats.json", "sources")
    if of_files:
        _files(run_folder, as_json)
    elif as_json:
        print(json.dumps(numbers))
    else:
        out.print(*run_tables(numbers), sep="\n")


def _files(run: str, as_json: bool) -> None:
    from pipelines.commands import show
    from pipelines.commands.files import by_file
    from pipelines.counts import FILES_NAME, read_files

    try:
        rows = by_file(read_files(RunFiles(run)))
    except FileNotFoundError:
        fail(f"{run}: no {FILES_NAME}, which tells the input files; run its recipe again, which makes it")
    if as_json:
        print(json_line(rows))
        return
    out.print(show.files(rows, out.width))
    if len(rows) > show.MOST_FILES:
        err.print(f"{len(rows) - show.MOST_FILES:,} more files gave more; --json has all", highlight=False)


def report(run_folder: Run, output: Annotated[Path, typer.Option("-o", help="Where to put the HTML file.")]) -> None:
    """A run's report as one HTML file, with the curves of what was trained below RUN/train."""
    from manifests.report import with_training

    files = RunFiles(run_folder)
    with one_line(RunFilesError):
        files.json("stats.json", "sources")
        page = with_training(files.text("report.html"), files)
    output.parent.mkdir(parents=True, exist_ok=True)
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
            print(json_line(document) if as_json else document["rendered"])


def explain(
    run_folder: Run,
    what: Annotated[
        str,
        typer.Argument(help="An id, a sample's key, an address, a host, an image's sha256, or FILE/ROW of an input."),
    ],
    number: Annotated[int, typer.Option("-n", min=1, help="Matches to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Why a document, page or image is, or is not, in the data.

    Ids and hashes may be cut to their first digits. A host stands for all its pages.
    """
    from manifests.explain import counts
    from manifests.explain import explain as ask

    with one_line(RunFilesError, FileNotFoundError):
        answer = ask(RunFiles(run_folder), what, number)
    for row in answer.rows:
        print(json_line(row) if as_json else row["says"])
    if left := counts(answer.more):
        err.print(f"not shown: {left}; -n shows more", highlight=False, soft_wrap=True)
    if not answer.rows:
        if answer.lacks:
            err.print(answer.lacks, markup=False, highlight=False, soft_wrap=True)
        err.print(
            f"{what}: not among what the run {'holds' if answer.lacks else 'read'}", markup=False, highlight=False
        )
        raise typer.Exit(1)


def diff(
    first: Run,
    second: Run,
    jsonl: Annotated[Path | None, typer.Option(help="Write a line for each document that moved.")] = None,
    as_json: Json = False,
) -> None:
    """The differences of two runs: numbers, and which documents have another outcome."""
    from manifests.inspect import diff as compare
    from pipelines.commands import show
    from pipelines.commands.moved import moved, summary

    with one_line(RunFilesError):
        runs = RunFiles(first), RunFiles(second)
        numbers = compare(*(run.json("stats.json", "sources") for run in runs))
    try:
        documents = moved(*runs)
    except FileNotFoundError as e:
        err.print(f"only numbers are compared: {e}", markup=False, highlight=False)
        documents = None
    groups = [] if documents is None else summary(documents)
    if jsonl is not None and documents is not None:
        with one_line(OSError), open(jsonl, "w", encoding="utf-8") as f:
            for batch in documents.to_batches(10_000):
                f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
    if as_json:
        print(json.dumps({"numbers": numbers, "documents": groups}))
    elif not numbers and not groups:
        out.print("the runs are equal: the same numbers, and the same outcome of every document", highlight=False)
    else:
        out.print(*show.differences(numbers, groups, first, second, out.width), sep="\n")
    if jsonl is not None and documents is not None:
        err.print(f"{documents.num_rows:,} documents in {jsonl}", markup=False, highlight=False)


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
        swept = dataclasses.asdict(what) | {"thresholds": [row["threshold"] for row in rows]}  # null: no limit
        print(json.dumps({"source": name, **swept, "current": current, "rows": rows}))
    else:
        out.print(thresholds(f"{name}: {what.level} {what.score}.{what.limit}", rows, current))


def verify(
    path: Annotated[
        str,
        typer.Argument(
            help="A run or its published copy (a folder or fsspec URL), or one shard.", parser=folder_of_run
        ),
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
