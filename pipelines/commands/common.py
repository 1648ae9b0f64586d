"""What all commands share: where they print, their common options, and how a known fault ends them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.console import Console

from manifests.runfiles import root_of

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Run = Annotated[str, typer.Argument(help="A run's folder or fsspec URL.", parser=root_of, metavar="RUN")]
On = Annotated[str, typer.Option(help="local, ray, ray://HOST:PORT, or auto: Ray where RAY_ADDRESS is set.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Parts at a time; one a core if not given.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Name of a source; the run's first if not given.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: web.warc=pages.warc.gz; may be given again.")
]


@contextlib.contextmanager
def one_line(*faults: type[BaseException]) -> Iterator[None]:
    """Turn known faults into one line on stderr and exit code 2."""
    try:
        yield
    except faults as e:
        fail(str(e))


def fail(line: str) -> None:
    err.print(f"panoramix: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2) from None


def sizes_of_files(sizes: Mapping[str, int]) -> None:
    """Print a line with bytes and name for each file."""
    for name, size in sizes.items():
        print(f"{size:14,d}  {name}")
