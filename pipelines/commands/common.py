"""What all commands share: where they print, their common options, and how a known fault ends them."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from manifests.runfiles import root_of
from pipelines.commands.faults import KNOWN, print_line, report

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def folder_of_run(text: str) -> str:
    """The argument RUN of a command."""
    if not text.strip():
        raise typer.BadParameter("it is empty; give a run's folder or fsspec URL")
    return root_of(text)


Run = Annotated[str, typer.Argument(help="A run's folder or fsspec URL.", parser=folder_of_run, metavar="RUN")]
On = Annotated[str, typer.Option(help="local, ray, HOST:PORT, ray://HOST:PORT, or auto: Ray where RAY_ADDRESS is set.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Parts at a time; one a core if not given.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Name of a source; the run's first if not given.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: web.warc=pages.warc.gz; may be given again.")
]


@contextlib.contextmanager
def one_line(*faults: type[BaseException]) -> Iterator[None]:
    """Faults that a command knows, beside those that `faults.line_of` knows: one line on stderr and exit code 2."""
    try:
        yield
    except faults as e:
        raise typer.Exit(report(e, known=str(e))) from None


def fail(line: str) -> None:
    print_line(line)
    raise typer.Exit(KNOWN) from None


def json_line(row: Any) -> str:
    """A row as one line of JSON, with escapes where stdout has another encoding than UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return json.dumps(row, ensure_ascii=not encoding.lower().startswith("utf"), default=str)


def sizes_of_files(sizes: Mapping[str, int]) -> None:
    """Print a line with bytes and name for each file."""
    for name, size in sizes.items():
        print(f"{size:14,d}  {name}")
