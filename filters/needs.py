"""What the models and lists of the user need: a package that is installed, a file that can be read."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def package(name: str, purpose: str, install: str | None = None) -> Any:
    """An optional package, imported. Raises ValueError, one line: ``purpose``, and how the package is installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"{purpose} the package {name}: pip install {install or name}") from error


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turns an error of opening or decoding a file into a ValueError of one line, which begins with ``what``."""
    try:
        yield
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ValueError(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}") from error
