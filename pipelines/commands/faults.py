"""The end of a command that failed: one line on stderr and an exit code, whatever was raised. The only such place.

Known faults are what a user can cause: the exceptions of this project, whose messages are for users; errors of disks,
stores and the network; a package that is not installed. All else is a fault of the program: its traceback goes into a
log file in the temporary folder, and the line names that file. PANORAMIX_TRACEBACK=1 prints each traceback as well.
"""

import errno
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
import traceback
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

KNOWN, UNKNOWN = 2, 3  # exit codes
TRACEBACK = "PANORAMIX_TRACEBACK"
OURS = {"pipelines", "filters", "ocr", "dedup", "manifests", "shards", "trainer", "bench"}
# libraries of the network and of object stores, whose errors are not all OSErrors
NETWORK = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "huggingface_hub", "aiohttp"}
NETWORK |= {"botocore", "aiobotocore", "s3fs", "gcsfs", "adlfs", "azure", "google"}
#: package -> the extra that installs it (pyproject.toml)
EXTRA_OF = {
    **dict.fromkeys(("torch", "transformers", "peft", "safetensors", "tensorboardX"), "train"),
    **dict.fromkeys(("typer", "rich", "pydantic", "yaml", "datatrove", "tokenizers", "selectolax", "cv2"), "pipeline"),
    **{"ray": "ray", "pymupdf": "pdf", "onnxruntime": "models", "wordfreq": "words", "nltk": "datatrove"},
}
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room, then run the same command again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give this user access, then run the same command again"),
    errno.EMFILE: "raise the limit of open files (`ulimit -n 65536`)",
}


class Commands(TyperGroup):
    """A group of commands, of which each ends as this module says."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of the output has ended, as with `| head`
            raise
        except Exception as e:
            if type(e).__module__.partition(".")[0] in ("click", "typer"):  # wrong usage, and exit codes
                raise
            raise typer.Exit(report(e)) from None


def report(e: BaseException, known: str | None = None) -> int:
    """Print the line of an exception and return the exit code. known: the line where the caller knows the fault."""
    known = line_of(e) or known
    details = "".join(traceback.format_exception(e))
    line, _, rest = (known or "").partition("\n")
    if known is None:
        line = f"{type(e).__name__}: {joined(e)}; a fault of panoramix: please open an issue with {_log(details)}"
    elif "Traceback (most recent call last)" in rest:  # of a process that ran a part
        line = f"{line}; the traceback is in {_log(rest)}"
    elif rest:
        line = known
    if os.environ.get(TRACEBACK, "0") not in ("", "0"):
        print(details, end="", file=sys.stderr)
    print_line(line)
    return UNKNOWN if known is None else KNOWN


def print_line(line: str) -> None:
    Console(stderr=True).print(f"panoramix: {line}", style="red", markup=False, highlight=False, soft_wrap=True)


def line_of(e: BaseException) -> str | None:
    """What a user reads about an exception; None if a fault of the program raised it."""
    package = type(e).__module__.partition(".")[0]
    if package in OURS:
        return str(e)
    if isinstance(e, ModuleNotFoundError) and (name := (e.name or "").partition(".")[0]) in EXTRA_OF:
        return f"this needs the package {name}: pip install 'panoramix[{EXTRA_OF[name]}]'"
    if isinstance(e, ImportError) and re.search(r"\b[Ii]nstall\b", str(e)):  # fsspec, for a kind of address
        return joined(e)
    if package in NETWORK:
        return f"{joined(e)} ({type(e).__name__}); `panoramix doctor` shows proxies and credentials"
    if isinstance(e, MemoryError):
        return "not enough memory; use fewer --workers, or a machine with more"
    if isinstance(e, OSError):
        line = f"{e.filename}: {e.strerror}" if e.filename is not None else e.strerror or joined(e)
        remedy = _REMEDIES.get(e.errno or 0)
        return f"{line}; {remedy}" if remedy else line
    return None


def joined(e: BaseException, most: int = 400) -> str:
    text = " ".join(str(e).split())
    return text if len(text) <= most else f"{text[:most]}…"


def _log(details: str) -> str:
    """Write a log file and return its path; the details themselves where it cannot be written."""
    arguments = [re.sub(r"://[^/\s@]+@", "://***@", argument) for argument in sys.argv]
    about = f"panoramix {version()}, Python {platform.python_version()}, {platform.platform()}\n{arguments}\n\n"
    try:
        number, path = tempfile.mkstemp(prefix="panoramix-error-", suffix=".log")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(about + details)
    except OSError as e:
        return f"this text, which no file could take ({e}):\n{about}{details}"
    return path


def version() -> str:
    try:
        return importlib.metadata.version("panoramix")
    except importlib.metadata.PackageNotFoundError:  # the folder of the code is on the path, but not installed
        return "(not installed)"
