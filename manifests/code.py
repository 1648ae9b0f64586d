"""Code that a recipe names by import path, and digests that show when code has changed."""

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import pickle
import site
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from importlib.machinery import ModuleSpec
from typing import Any

#: the packages of this project: the engine digests them with the stages
PROJECT = frozenset({"dedup", "filters", "manifests", "ocr", "pipelines", "shards", "trainer"})
#: folders of the standard library and of installed packages
INSTALLED = tuple({*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), *site.getsitepackages()})
#: types whose values have a module and a name
NAMED = (type, types.FunctionType, types.BuiltinFunctionType)


def resolve_import(path: str) -> Any:
    """What an import path (``module:name`` or ``module.name``) names.

    Modules of the current folder are found too: the Python path of an installed command does not hold that folder.
    What a module prints while it is imported goes to stderr. Raises ValueError, one line, where the module cannot be
    imported or has no such name.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        with redirect_stdout(sys.stderr):
            return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as e:
        raise ValueError(f"`{path}` cannot be imported: {one_line(e)}") from e
    except (Exception, SystemExit) as e:  # a module may raise anything while it is imported
        raise ValueError(f"`{path}` cannot be imported: {type(e).__name__}: {one_line(e)}") from e


def program_digests(path: str) -> dict[str, str]:
    """What the output of the object at an import path depends on: digests of sources and values, and versions.

    Of the user's own code (not installed, not of the standard library) these are all modules that the object's module
    imports, transitively; a module of a package stands for its whole package. Of installed code it is the package and
    its version. A `functools.partial` adds its function and arguments; a callable object adds its class and attributes.
    """
    target = resolve_import(path)
    modules = {path.rpartition(":" if ":" in path else ".")[0], *_modules(target)}
    digests = _own_sources(modules)
    for name in modules:
        package = getattr(sys.modules.get(name), "__package__", None) or name
        loaded = sys.modules.get(package)
        if _is_own(name) or loaded is None:
            continue
        if getattr(loaded, "__file__", None) or hasattr(loaded, "__path__"):  # a built-in module has neither
            digests[package] = source_digest(package)
        distribution = package.partition(".")[0]
        with suppress(importlib.metadata.PackageNotFoundError):
            digests[f"{distribution} version"] = importlib.metadata.version(distribution)
    if not isinstance(target, NAMED):
        digests["value"] = hashlib.blake2b(repr(_plain(target)).encode(), digest_size=8).hexdigest()
    return digests


def _modules(value: Any) -> set[str]:
    """The modules that define a callable: of a partial, those of its function and of callables among its arguments."""
    if isinstance(value, functools.partial):
        return set().union(*(_modules(v) for v in (value.func, *value.args, *value.keywords.values()) if callable(v)))
    module = (value if isinstance(value, NAMED) else type(value)).__module__
    return {module} if module else set()


def _plain(value: Any, depth: int = 8) -> Any:
    """A value as nested tuples whose `repr` is the same in every process; `depth`: levels of nesting that are read."""
    if isinstance(value, NAMED):
        return value.__module__, value.__qualname__
    if value is None or isinstance(value, str | bytes | int | float | complex):
        return value
    name, plain = type(value).__qualname__, functools.partial(_plain, depth=depth - 1)
    if depth == 0:
        return (name,)
    if isinstance(value, functools.partial):
        return name, plain(value.func), plain(value.args), plain(value.keywords)
    if isinstance(value, Mapping):
        return name, *sorted((repr(plain(k)), repr(plain(v))) for k, v in value.items())
    if isinstance(value, list | tuple):
        return name, *map(plain, value)
    if isinstance(value, set | frozenset):
        return name, *sorted(repr(plain(v)) for v in value)
    kind: Any = type(value)
    if kind.__reduce__ is object.__reduce__ and hasattr(value, "__dict__"):
        return name, plain(vars(value))
    try:
        return name, pickle.dumps(value, protocol=4)  # an array, a compiled expression
    except Exception:  # a lock or an open file has no value of its own: its class has to do
        return (name,)


def _is_own(module: str) -> bool:
    """Whether a module is the user's: it has a file, is not installed, and is not of this project."""
    top = module.partition(".")[0]
    spec = _spec(top) if top and top not in PROJECT else None  # of a top-level name: this imports nothing
    places = (*(spec.submodule_search_locations or ()), spec.origin) if spec is not None else ()
    files = [str(place) for place in places if place and os.path.exists(place)]
    return bool(files) and not any(f.startswith(folder + os.sep) for f in files for folder in INSTALLED)


def _own_sources(modules: set[str]) -> dict[str, str]:
    """Digests of the user's modules among these, and of the user's modules that they import, transitively."""
    digests: dict[str, str] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        spec = _spec(name) if _is_own(name) else None
        if spec is None or (unit := spec.parent or name) in digests:
            continue
        root, files = _files(unit)
        digests[unit] = _digest(root, files)
        for file in files:
            package = [*unit.split("."), *file.relative_to(root).parent.parts] if spec.parent else []
            waiting += _imports(file, package) if file.suffix == ".py" else ()
    return digests


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is. None where there is none, or where its parent package cannot be imported."""
    try:
        return importlib.util.find_spec(module)
    except Exception:  # the parent package runs here, and may raise anything; an import statement may be optional
        return None


def _imports(file: pathlib.Path, package: list[str]) -> Iterator[str]:
    """Names that a source file imports, wherever the statement is. Not every name is a module's."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:  # the module itself was imported before: this is another file of its package
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


@functools.cache
def source_digest(package: str) -> str:
    """Digest of every source and data file of a package, by name and content."""
    return _digest(*_files(package))


def _files(package: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder of a package and its files; of a module that is no package, its one file."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"no module {package}")
    if not spec.submodule_search_locations:
        file = pathlib.Path(str(spec.origin))
        return file.parent, [file]
    root = pathlib.Path(next(iter(spec.submodule_search_locations)))
    return root, sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _digest(root: pathlib.Path, files: list[pathlib.Path]) -> str:
    h = hashlib.blake2b(digest_size=8)
    for file in files:
        h.update(str(file.relative_to(root)).encode())
        h.update(file.read_bytes())
    return h.hexdigest()


def frozen_arguments(arguments: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Keyword arguments as pairs that a frozen stage can hold; lists become tuples. Raises ValueError for a table."""
    return tuple((name, _frozen(name, value)) for name, value in arguments.items())


def _frozen(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(name, v) for v in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    expected = "expected a string, a number, true, false or a list of them"
    raise ValueError(f"arguments.{name}: {expected}, not a {type(value).__name__}")


def one_line(error: BaseException) -> str:
    """The text of an exception without line breaks."""
    return " ".join(str(error).split())
