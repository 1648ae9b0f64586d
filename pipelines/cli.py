"""The `panoramix` command. stdout is data, stderr is progress; exit 0 ok, 1 problems found, 2 wrong usage or recipe.

Every command imports what it needs when it is called: help and a run with nothing to do stay quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipelines.commands import train as training
from pipelines.commands.exit import leave
from pipelines.commands.train import Json, err, out
from pipelines.commands.train import clear as _clear

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__.splitlines()[0]
)
Run = Annotated[Path, typer.Argument(help="A run's folder.")]


def main() -> None:
    leave(app)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe, such as pipelines/recipes/idefics2.yaml.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key: web.warc=pages.warc.gz; may be given again.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--out", help="The run's folder or fsspec URL; runs/NAME if not given.")
    ] = None,
    on: Annotated[
        str, typer.Option(help="local, ray, ray://HOST:PORT, or auto: Ray where RAY_ADDRESS is set.")
    ] = "auto",
    plan: Annotated[bool, typer.Option("--plan", help="Print stages, parts and what is done; start nothing.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="About so many inputs of each kind, always the same ones.")
    ] = None,
    refresh: Annotated[
        list[str] | None, typer.Option(help="A recorded stage to make anew (web.crawl, fetch); may be given again.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Parts at a time; one a core if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Take raw web, image lists and PDFs to shards, as a recipe says."""
    from pipelines.commands.run import execute, tables
    from pipelines.engine.run import RunError, states
    from pipelines.recipe import load as reading
    from pipelines.recipe.schema import RecipeError

    with _clear(RecipeError, RunError):
        read = reading.read(recipe, settings or ())
        root = folder or f"runs/{read.name}"
        if plan:
            from pipelines.plan import job

            made = job(read, root, limit)
            _print_plan(states(made.steps, root, made.buckets), as_json)
            return
        stats = execute(read, root, on=on, limit=limit, refresh=refresh or (), workers=workers)
    if as_json:
        print(json.dumps(stats))
        return
    out.print(*tables(stats), sep="\n")
    base = root.rstrip("/")
    for name in ("shards", "report.html", "manifest.json"):
        out.print(f"{name:14s} {base}/{name}", highlight=False)


def _print_plan(rows: list[Any], as_json: bool) -> None:
    """`rows`: `pipelines.engine.run.State`."""
    if as_json:
        print(json.dumps([dataclasses.asdict(r) for r in rows]))
        return
    t = Table("stage", "reads", "state", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("parts", "done", "MB in", "MB made"):
        t.add_column(name, justify="right")
    for r in rows:
        source = r.stage.partition(".")[0] + "."
        reads = ", ".join(name.removeprefix(source) for name in r.reads)  # what a source reads is mostly its own
        t.add_row(
            r.stage,
            reads,
            r.state,
            str(r.parts or ""),
            str(r.done or ""),
            *(f"{n / 1e6:,.1f}" if n else "" for n in (r.bytes_in, r.bytes)),
        )
    out.print(t)


@app.command()
def extract(
    files: Annotated[list[Path], typer.Argument(help="WARC or HTML files.")],
    output: Annotated[Path, typer.Option("-o", help="JSON lines: url, texts, images; the lists are parallel.")],
) -> None:
    """Interleaved documents of a few files, before any filter."""
    from pipelines.html.interleave import extract_files

    with _clear(FileNotFoundError, ValueError), open(output, "w", encoding="utf-8") as f:
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
    with _clear(FileNotFoundError, ValueError):
        for row in write_pages([str(p) for p in files], str(output)):
            print(json.dumps(row, ensure_ascii=False))
            refused += "reason" in row
    raise typer.Exit(1 if refused else 0)


@app.command()
def stats(run_folder: Run, as_json: Json = False) -> None:
    """A run's mixture, funnel and reasons."""
    from pipelines.commands.run import tables

    read = _read(run_folder, "stats.json")
    if as_json:
        print(json.dumps(read))
    else:
        out.print(*tables(read), sep="\n")


@app.command()
def report(run_folder: Run, output: Annotated[Path, typer.Option("-o", help="Where to put the HTML file.")]) -> None:
    """A run's report: one HTML file that needs nothing else. With the curves of what was trained below RUN/train."""
    from manifests.report import with_training

    _read(run_folder, "stats.json")
    output.write_text(with_training((run_folder / "report.html").read_text("utf-8"), run_folder / "train"), "utf-8")
    err.print(f"{output}", highlight=False)


@app.command()
def samples(
    run_folder: Run,
    config: Annotated[str, typer.Option(help="interleaved, pairs, ocr or conversations.")] = "interleaved",
    number: Annotated[int, typer.Option("-n", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Documents as they stand in the shards, in reading order."""
    from manifests.inspect import InspectError
    from manifests.inspect import samples as look

    with _clear(InspectError, FileNotFoundError):
        for document in look(str(run_folder), config, number):
            print(json.dumps(document, ensure_ascii=False) if as_json else document["rendered"])


@app.command()
def explain(
    run_folder: Run,
    what: Annotated[str, typer.Argument(help="A document's id, a page's or an image's URL.")],
    as_json: Json = False,
) -> None:
    """Why a document, page or image is, or is not, in the data."""
    from manifests.inspect import InspectError
    from manifests.inspect import explain as ask

    with _clear(InspectError, FileNotFoundError):
        found = ask(str(run_folder), what)
    if not found:
        err.print(f"{what}: the run has never met it", highlight=False)
        raise typer.Exit(1)
    for row in found:
        print(json.dumps(row, ensure_ascii=False, default=str) if as_json else row["says"])


@app.command()
def diff(first: Run, second: Run, as_json: Json = False) -> None:
    """What differs between two runs: documents, images, tokens, reasons."""
    from manifests.inspect import diff as compare

    rows = compare(_read(first, "stats.json"), _read(second, "stats.json"))
    if as_json:
        print(json.dumps(rows))
    else:
        t = Table("source", "what", str(first), str(second), "change")
        for r in rows:
            t.add_row(r["source"], r["what"], str(r["first"]), str(r["second"]), f"{r['second'] - r['first']:+}")
        out.print(t)


@app.command()
def sweep(
    run_folder: Run,
    rule: Annotated[
        str,
        typer.Argument(
            help="rule=from..to[:step], such as words=10..50:5, node.words.min=2..8; with level and limit, any score."
        ),
    ],
    source: Annotated[str | None, typer.Option(help="web, pairs or pdf; the run's first if not given.")] = None,
    as_json: Json = False,
) -> None:
    """What other thresholds would keep, from a run's stored scores; nothing is run."""
    from filters.rules import RuleError
    from pipelines.commands.sweep import sweep_run

    with _clear(RuleError, FileNotFoundError):
        name, what, current, rows = sweep_run(str(run_folder), rule, source)
    if as_json:
        print(json.dumps({"source": name, **dataclasses.asdict(what), "current": current, "rows": rows}))
        return
    t = Table(f"{name}: {what.level} {what.score}.{what.limit}", *(c.replace("_", " ") for c in list(rows[0])[1:]))
    for r in rows:
        mark = " (now)" if r["threshold"] == current else ""
        t.add_row(f"{r['threshold']:g}{mark}", *(f"{v:,}" for v in list(r.values())[1:]))
    out.print(t)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A run, a folder of shards, or one shard.")], as_json: Json = False
) -> None:
    """Check shards against their manifest: bytes, counts, indexes."""
    from shards.verify import verify as check

    with _clear(FileNotFoundError, ValueError):
        problems = list(check(str(path)))
    for p in problems:
        print(json.dumps(vars(p), default=str) if as_json else str(p))
    if problems:
        raise typer.Exit(1)
    err.print(f"{path}: every shard is what the manifest says", highlight=False)


@app.command()
def gc(
    run_folder: Annotated[str, typer.Argument(help="A run's folder or fsspec URL.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove stage folders a finished run no longer uses, files that no record names, and half-made ones."""
    from pipelines.engine.gc import collect
    from pipelines.engine.run import RunError

    with _clear(RunError):
        gone = collect(run_folder, dry_run)
    if as_json:
        print(json.dumps(gone))
        return
    for name, size in gone.items():
        print(f"{size:14,d}  {name}")
    err.print(
        f"{len(gone)} of them, {sum(gone.values()):,} bytes" + (", left where they are" if dry_run else " removed"),
        highlight=False,
    )


@app.command()
def forget(
    run_folder: Run,
    items: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of documents, addresses of pages or images, hosts, sha256 of images."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--from", help="A text file of them, one a line.")] = None,
    on: Annotated[
        str, typer.Option(help="local, ray, ray://HOST:PORT, or auto: Ray where RAY_ADDRESS is set.")
    ] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Parts at a time; one a core if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Take documents or images out of a run, now and in all its further runs.

    The last selection and the shards are made again without them, and publishing waits until that is done. `stages/`,
    which is never published, still holds what was fetched; earlier commits on the Hub still hold what was published
    (`panoramix publish --squash`).
    """
    from pipelines.commands.forget import forget as take_down
    from pipelines.engine.run import RunError
    from pipelines.recipe.schema import RecipeError
    from shards.forget import ForgetError, entries

    with _clear(ForgetError, RecipeError, RunError, FileNotFoundError):
        lines = [
            *entries(items or (), "argument"),
            *(entries(file.read_text("utf-8").splitlines(), str(file)) if file else ()),
        ]
        if not lines:
            raise ForgetError("nothing to forget: give ids, addresses, hosts or hashes, or a file of them with --from")
        done = take_down(str(run_folder), _read(run_folder, "manifest.json"), lines, on=on, workers=workers)
    if as_json:
        print(json.dumps(done))
        return
    for line in done["without_effect"]:
        err.print(f"{line}: covers nothing of this run; it is on the list", markup=False, highlight=False)
    said = f"{done['documents']} documents and {done['images']} images are out; {done['rewritten']} of {done['shards']} shards are new"
    out.print(said, highlight=False)


@app.command()
def publish(
    run_folder: Run,
    repo: Annotated[
        str,
        typer.Argument(
            help="namespace/name of a dataset repository on the Hugging Face Hub, or any fsspec URL such as s3://bucket/folder."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print files and bytes; send nothing.")] = False,
    private: Annotated[bool, typer.Option(help="Create the repository as private.")] = False,
    pr: Annotated[bool, typer.Option("--pr", help="As a pull request.")] = False,
    tag: Annotated[str | None, typer.Option(help="Name the published revision, such as v1.")] = None,
    squash: Annotated[
        bool, typer.Option(help="Leave one commit: earlier ones may hold what was since forgotten.")
    ] = False,
    unfinished: Annotated[
        bool, typer.Option("--so-far", help="What a run that goes on, or was cut off, has finished; later the rest.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a run's shards to the Hub or any storage, with a dataset card made from the manifest. Run it again to go
    on.
    """
    from pipelines.engine.run import RunError
    from pipelines.so_far import so_far
    from shards.hub import publish as send

    with (
        _clear(FileNotFoundError, ValueError, RunError),
        so_far(str(run_folder)) if unfinished else contextlib.nullcontext(run_folder) as folder,
    ):
        recipe = _read(folder, "manifest.json")["recipe"]
        result = send(
            folder, repo, dry_run=dry_run, private=private, create_pr=pr, tag=tag, squash=squash, license=recipe["license"],
            title=run_folder.resolve().name, say=err.print,
        )  # fmt: skip
    told = {**dataclasses.asdict(result), "bytes": result.bytes, "commits": result.commits}
    if as_json:
        print(json.dumps(told))
    else:
        for name, size in result.files.items():
            print(f"{size:14,d}  {name}")
        for problem in result.problems:
            err.print(problem, style="red", markup=False)
        if result.url:
            err.print(result.url, highlight=False)
    raise typer.Exit(1 if result.problems else 0)


app.command()(training.train)
app.command()(training.ablate)

classifier = typer.Typer(no_args_is_help=True, help="Quality classifiers of one's own.")
app.add_typer(classifier, name="classifier")


@classifier.callback()
def _classifier() -> None:
    """Keeps `train` a command of its own while it is the only one."""


@classifier.command("train")
def classifier_train(
    positive: Annotated[
        list[Path],
        typer.Option(help="Texts one wants more of: a line each, or .jsonl with `text`; may be given again."),
    ],
    negative: Annotated[list[Path], typer.Option(help="Texts one does not want.")],
    output: Annotated[
        Path, typer.Option("-o", help="Where to put the model; a recipe names it in web.text.quality_model.")
    ],
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the texts held out to measure precision and recall.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="The same texts and seed make the same model.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a fastText classifier and measure it on texts held out."""
    from filters.quality import read_texts, train

    with _clear(ValueError, OSError):
        said = train(
            read_texts([str(p) for p in positive]), read_texts([str(p) for p in negative]), str(output), held_out, seed
        )
    if as_json:
        print(json.dumps(said))
        return
    out.print(
        f"precision {said['precision']:.3f}  recall {said['recall']:.3f}  of {said['held_out']:,} held out, {said['trained']:,} trained on"
    )


@app.command()
def schema() -> None:
    """The recipe's JSON schema, for editors to complete keys with."""
    from pipelines.recipe.schema import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=1))


def _read(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        err.print(
            f"panoramix: {folder} is no finished run: it has no {name}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(2) from None


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
