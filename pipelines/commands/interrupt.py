"""A run that is interrupted: what is committed is kept, and one line says how to go on."""

import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import typer

from pipelines.commands.common import err


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it."""


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Ends an interrupted command with one line: exit code 130 after Ctrl-C, 143 after SIGTERM."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as e:
        command = shlex.join(["panoramix", *sys.argv[1:]])
        line = f"panoramix: interrupted; committed parts are kept. Run it again to go on: {command}"
        err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(143 if isinstance(e, Terminated) else 130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
