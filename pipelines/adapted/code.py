"""Code that a recipe names by import path: found from where one stands, and digested, so that a changed function is
called again.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from typing import Any

from filters.adapters import resolve
from pipelines.engine.stage import source_digest


def found(path: str) -> Any:
    """What ``module:name`` or ``module.name`` names; modules of the current folder too, which a console script's path
    leaves out.

    Raises ValueError, one line, where it leads nowhere or its module cannot be imported.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        return resolve(path)
    except ValueError:
        raise
    except Exception as e:  # a module may raise anything while it is imported
        raise ValueError(f"`{path}` cannot be imported: {type(e).__name__}: {one_line(e)}") from e


def programs(path: str) -> dict[str, str]:
    """What a stage that calls ``path`` depends on: the digest of the package (or single module) it stands in, and its
    version.

    What that package imports from elsewhere is not part of it.
    """
    module = getattr(found(path), "__module__", None) or path.rpartition(":" if ":" in path else ".")[0]
    package = getattr(sys.modules.get(module), "__package__", None) or module
    loaded = sys.modules.get(package)
    known = {}
    # not so for what is built in
    if loaded is not None and (getattr(loaded, "__file__", None) or hasattr(loaded, "__path__")):
        known[package] = source_digest(package)
    top = package.partition(".")[0]
    try:
        known[f"{top} version"] = importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        pass
    return known


def frozen(arguments: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Keyword arguments as pairs; lists become tuples. Raises ValueError for a table, which could not stand in a frozen
    stage.
    """
    return tuple((name, _frozen(name, value)) for name, value in arguments.items())


def _frozen(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(name, v) for v in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(
        f"arguments.{name}: expected a string, a number, true, false or a list of them, not a {type(value).__name__}"
    )


def one_line(e: BaseException) -> str:
    return " ".join(str(e).split())
