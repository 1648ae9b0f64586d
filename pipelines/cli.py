"""The `panoramix` command. stdout is data, stderr is progress; exit 0 ok, 1 problems, 2 wrong usage or recipe, 3 a bug

Every command imports what it needs when it is called, so that help and a run with nothing to do are quick.
"""

import contextlib
import dataclasses
import json
import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from manifests.runfiles import RunFiles, RunFilesError, root_of
from pipelines.commands import classifier, doctor, inspect, train
from pipelines.commands.common import Json, On, Run, Settings, Workers, err, json_line, one_line, out, sizes_of_files
from pipelines.commands.exit import leave
from pipelines.commands.faults import TRACEBACK, Commands, version

HELP = __doc__.splitlines()[0]
app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=HELP)


def main() -> None:
    leave(app)


def _version(asked: bool) -> None:
    if asked:
        print(f"panoramix {version()}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help=f"Print the traceback of an error, as {TRACEBACK}=1 does.")
    ] = False,
) -> None:
    if traceback:
        os.environ[TRACEBACK] = "1"


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as pipelines/recipes/idefics2.yaml.")],
    settings: Settings = None,
    folder: Annotated[
        str | None, typer.Option("--out", help="Folder or fsspec URL; runs/NAME if not given.", parser=root_of)
    ] = None,
    on: On = "auto",
    plan: Annotated[bool, typer.Option("--plan", help="Print steps, parts and what is done; start nothing.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="About so many inputs a kind, always the same ones.")] = None,
    refresh: Annotated[
        list[str] | None, typer.Option(help="A recorded step to run again (web.crawl, fetch); may be given again.")
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Take raw web, image lists, PDFs, conversations and texts to shards, as a recipe says."""
    from pipelines.commands import show
    from pipelines.commands.interrupt import resumable
    from pipelines.commands.run import execute, folder_of, plan_rows, shortfalls
    from pipelines.engine.run import RunError
    from pipelines.recipe import load
    from pipelines.recipe.schema import RecipeError

    with resumable(), one_line(RecipeError, RunError):
        parsed = load.read(recipe, settings or ())
        root = folder_of(folder, parsed.name)
        if plan:
            rows = plan_rows(parsed, root, limit)
            if as_json:
                print(json.dumps(rows))
            else:
                out.print(show.steps(rows), *([show.costs(rows)] if "://" in root else []), sep="\n")
            return
        stats = execute(parsed, root, on=on, limit=limit, refresh=refresh or (), workers=workers)
        silent_sources, silent_files = shortfalls(parsed, root, stats)
    if as_json:
        print(json.dumps(stats))
    else:
        out.print(*show.run_tables(stats), sep="\n")
        for name in ("shards", "report.html", "manifest.json"):
            out.print(f"{name:14s} {root}/{name}", highlight=False)
    for line in (*silent_files, *silent_sources):
        err.print(f"panoramix: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if silent_sources else 0)


@app.command()
def extract(
    files: Annotated[list[Path], typer.Argument(help="WARC or HTML files.")],
    output: Annotated[Path, typer.Option("-o", help="JSON lines: url, texts, images; the lists are parallel.")],
) -> None:
    """Interleaved documents of a few files, before any filter."""
    from pipelines.html.interleave import extract_files

    output.parent.mkdir(parents=True, exist_ok=True)
    with one_line(ValueError), open(output, "w", encoding="utf-8") as f:
        n = 0
        for document in extract_files([str(p) for p in files]):
            f.write(json.dumps(document, ensure_ascii=False) + "\n")
            n += 1
    err.print(f"{n} documents in {output}", highlight=False)


@app.command()
def pages(
    files: Annotated[list[Path], typer.Argument(help="PDF files.")],
    output: Annotated[Path, typer.Option("-o", help="Folder for NAME-p0001.jpg and NAME-p0001.json.")],
) -> None:
    """Page images and words of a few PDFs."""
    from ocr.export import write_pages

    refused = 0
    with one_line(FileNotFoundError, ValueError):
        for row in write_pages([str(p) for p in files], str(output)):
            print(json_line(row))
            refused += "reason" in row
    raise typer.Exit(1 if refused else 0)


looks = (inspect.stats, inspect.report, inspect.samples, inspect.explain, inspect.diff, inspect.sweep, inspect.verify)
for command in looks:
    app.command()(command)


@app.command()
def gc(
    run_folder: Run,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, and why; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove stage folders that a finished run no longer uses, files that no record names, and unfinished ones."""
    from pipelines.engine.gc import collect
    from pipelines.engine.run import RunError

    with one_line(RunError, RunFilesError):
        removed = collect(run_folder, dry_run)
    if as_json:
        print(json.dumps([vars(item) for item in removed]))
        return
    for item in removed:
        print(f"{item.bytes:14,d}  {item.name}: {item.why}")
    outcome, size = "would be removed" if dry_run else "removed", sum(item.bytes for item in removed)
    err.print(f"{len(removed)} files and folders, {size:,} bytes, {outcome}", highlight=False)


@app.command()
def forget(
    run_folder: Run,
    items: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of documents, addresses of pages or images, hosts, sha256 of images."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--from", help="A text file of them, one a line.")] = None,
    on: On = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Take documents or images out of a run, now and in all its further runs, or out of a published copy.

    Of a run, the last selection and the shards are made again from its own tables, and publishing waits until that is
    done. `stages/`, which is never published, still holds what was fetched. A copy on the Hub (hf://datasets/NAME/NAME)
    gets a pull request, a copy elsewhere is rewritten. Earlier commits on the Hub still hold what was published
    (`panoramix publish --squash`).
    """
    from pipelines.commands.forget import forget as take_down
    from pipelines.engine.run import RunError
    from pipelines.recipe.schema import RecipeError
    from shards.forget import ForgetError, entries
    from shards.publish.staging import PublishError

    with one_line(ForgetError, RecipeError, RunError, RunFilesError, PublishError, FileNotFoundError):
        lines = [*entries(items or (), "argument")]
        if file is not None:
            lines += entries(file.read_text("utf-8").splitlines(), str(file))
        result = take_down(run_folder, lines, on=on, workers=workers)
    for line in result["without_effect"]:
        err.print(f"{line}: covers nothing; {result['unmatched']}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(result))
    elif result["done"]:
        out.print(result["says"], markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if result["done"] else 1)


@app.command()
def publish(
    run_folder: Run,
    repo: Annotated[str, typer.Argument(help="namespace/name on the Hub, or an fsspec URL such as s3://bucket/dir.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print files and bytes; send nothing.")] = False,
    private: Annotated[bool, typer.Option(help="Create the repository as private.")] = False,
    pr: Annotated[bool, typer.Option("--pr", help="As a pull request.")] = False,
    tag: Annotated[str | None, typer.Option(help="Name the published revision, such as v1.")] = None,
    squash: Annotated[bool, typer.Option(help="Leave one commit: earlier ones may hold what was forgotten.")] = False,
    unfinished: Annotated[bool, typer.Option("--so-far", help="The finished shards of an unfinished run.")] = False,
    as_json: Json = False,
) -> None:
    """Publish a run's shards to the Hub or any storage, with a dataset card. Run it again to resume."""
    from pipelines.engine.run import RunError, store_errors
    from pipelines.outputs import finished_shards
    from pipelines.recipe.schema import RecipeError
    from shards.publish.hub import RefusedError
    from shards.publish.hub import publish as send

    def say(line: str) -> None:
        err.print(line, markup=False, highlight=False, soft_wrap=True)

    part: Any = finished_shards(run_folder) if unfinished else contextlib.nullcontext(run_folder)
    with one_line(FileNotFoundError, ValueError, RunError, RecipeError), part as folder:
        license = RunFiles(folder).json("manifest.json", "recipe")["recipe"]["license"]
        how: dict[str, Any] = {"dry_run": dry_run, "private": private, "create_pr": pr, "tag": tag, "squash": squash}
        title = os.path.basename(os.path.abspath(run_folder))  # not the temporary folder of --so-far
        try:
            with store_errors(repo):
                result = send(folder, repo, license=license, title=title, say=say, **how)
        except RefusedError as e:
            say(f"panoramix: {e}")
            raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({**dataclasses.asdict(result), "bytes": result.bytes, "commits": result.commits}))
    else:
        sizes_of_files(result.files)
        for problem in result.problems:
            err.print(problem, style="red", markup=False)
        if result.url:
            err.print(result.url, highlight=False)
    raise typer.Exit(1 if result.problems else 0)


app.command()(doctor.doctor)
app.command()(train.train)
app.command()(train.ablate)
app.add_typer(classifier.app, name="classifier")


@app.command()
def schema() -> None:
    """The recipe's JSON schema, for editors to complete keys with."""
    from pipelines.recipe.schema import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=1))


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
