"""YAML as people write it in recipes. What has two readings is refused, in one line that names the line and the key.

PyYAML reads YAML 1.1, and silently: the second of two equal keys replaces the first, `no` is false, `12:30` is 750,
`010` is 8, and `1e-3` is a string. Here a key stands once and is text, a number has one reading, `1e-3` is a number
(as in YAML 1.2), and a value keeps how it was written, for a message to its user (`Document.at`).
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

#: values of a file with its aliases replaced. Ten lines with ten aliases each make 10^10
MOST_VALUES = 1_000_000
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_READ = {f"{_TAG}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge")}
#: `010`, `12:30` and `1:30.5`: numbers to base 8 and 60
_TWO_READINGS = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_.:]*:[0-9_.:]+")

Place = Sequence[str | int]


class YamlError(ValueError):
    """YAML that is not read. The message is one line: the number of the line, where there is one, and `fault`."""

    def __init__(self, fault: str, line: int | None = None) -> None:
        self.fault = printable(fault)
        super().__init__(self.fault if line is None else f"line {line}: {self.fault}")


class YamlSyntaxError(YamlError):
    """Text that is no YAML."""


class Written(NamedTuple):
    """A value as it was written: the number of its line, from 1, and its text; empty for a table or a list."""

    line: int
    text: str


class Document(NamedTuple):
    """The value of a YAML text, and where its parts stand."""

    value: Any
    node: Node | None

    def at(self, place: Place) -> Written | None:
        """What was written at a place (keys and indexes). Of a place that is not there, the line of its deepest part;
        None where no part of it is there.
        """
        node, line, text = self.node, None, ""
        if node is not None and not place:
            return Written(_line(node), node.value if isinstance(node, ScalarNode) else "")
        for i, part in enumerate(place):
            key, node = _child(node, part)
            if node is None:
                break
            line = _line(key or node)
            text = node.value if isinstance(node, ScalarNode) and i == len(place) - 1 else ""
        return None if line is None else Written(line, text)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the numbers of YAML 1.2: `1e-3` and `1.5e3`. (YAML 1.1 asks for `1.0e-3` and `1.5e+3`.)"""


_SCIENTIFIC = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+\Z")
_Loader.add_implicit_resolver(f"{_TAG}float", _SCIENTIFIC, list("-+.0123456789"))


def read(path: str | Path) -> Document:
    """The document of a UTF-8 file, with or without a byte-order mark. Raises YamlError, OSError."""
    data = Path(path).read_bytes()
    try:
        return parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        fault = f"not UTF-8 (byte 0x{data[e.start]:02x}); convert it to UTF-8"
        raise YamlError(fault, data.count(b"\n", 0, e.start) + 1) from None


def parse(text: str) -> Document:
    """The document of a text; its value is None if the text is empty. Raises YamlError."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None, None)
        _check(loader, node)
        return Document(loader.construct_document(node), node)
    except yaml.MarkedYAMLError as e:
        tab = "'\\t'" in (e.problem or "")
        fault = "a tab; indent with spaces" if tab else f"not YAML: {_joined(e.context, e.problem)}"
        raise YamlSyntaxError(fault, None if e.problem_mark is None else e.problem_mark.line + 1) from None
    except yaml.YAMLError as e:
        raise YamlSyntaxError(f"not YAML: {_joined(str(e))}") from None
    except RecursionError:
        raise YamlError("tables or lists stand too deep in each other") from None


def printable(text: str) -> str:
    """The text in one line: characters that break it, or that no terminal shows, are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _joined(*texts: str | None) -> str:
    return " ".join(" ".join(text for text in texts if text).split())


# --- what is refused --------------------------------------------------------------------------------------------------


def _check(loader: _Loader, root: Node) -> None:
    """Raise YamlError for the first part of a document that has two readings, or none."""
    sizes: dict[int, int] = {}  # values below a node, for nodes that aliases repeat
    above: set[int] = set()

    def size(node: Node, place: tuple[str, ...]) -> int:
        if id(node) in above:
            raise _fault(node, place, "a table or list that holds itself")
        if id(node) in sizes:
            return sizes[id(node)]
        if node.tag not in _READ:
            remedy = "; put it in quotes if it is text" if isinstance(node, ScalarNode) else ""
            raise _fault(node, place, f"the tag {node.tag.replace(_TAG, '!!')} is not read{remedy}")
        above.add(id(node))
        below = sum(size(inner, (*place, name)) for name, inner in _parts(loader, node, place))
        above.discard(id(node))
        if isinstance(node, ScalarNode):
            _scalar(loader, node, place)
        if below > MOST_VALUES:
            raise _fault(node, place, f"more than {MOST_VALUES:,} values, with the aliases replaced")
        sizes[id(node)] = 1 + below
        return 1 + below

    size(root, ())


def _parts(loader: _Loader, node: Node, place: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
    """The values of a table or a list with their keys. Raises YamlError for a key that stands twice or is no text."""
    if isinstance(node, SequenceNode):
        yield from ((str(i), inner) for i, inner in enumerate(node.value))
    if not isinstance(node, MappingNode):
        return
    lines: dict[str, int] = {}
    for key, inner in node.value:
        if not isinstance(key, ScalarNode):
            raise _fault(key, place, "a key is text, not a list or a table")
        if key.tag != _MERGE and not isinstance(value := _scalar(loader, key, (*place, key.value)), str):
            raise _fault(key, (*place, key.value), reading(key.value, value))
        if key.value in lines:
            raise _fault(key, (*place, key.value), f"the key stands twice, first on line {lines[key.value]}")
        lines[key.value] = _line(key)
        yield key.value, inner


def _scalar(loader: _Loader, node: ScalarNode, place: tuple[str, ...]) -> Any:
    """The value of a scalar. Raises YamlError for one that has two readings, or none."""
    try:
        value = loader.construct_object(node)
    except (ValueError, TypeError, AttributeError, KeyError):  # 2024-13-45, !!int x
        raise _fault(node, place, f"`{node.value}` has no value; put it in quotes if it is text") from None
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _fault(node, (), f"{value!r} holds half of a surrogate pair, which is no character")
    if type(value) in (int, float) and _TWO_READINGS.fullmatch(node.value):
        remedy = f"write {value} if it is a number, or quotes if it is text: '{node.value}'"
        raise _fault(node, place, f"YAML 1.1 reads `{node.value}` as {value}; {remedy}")
    if isinstance(value, float) and not math.isfinite(value):
        raise _fault(node, place, f"`{node.value}` is no number; a limit that is not wanted is null")
    return value


def reading(text: str, value: Any) -> str:
    """What YAML makes of a word that looks like text, and what to do."""
    names = {int: "a number", float: "a number", type(None): "nothing"}
    kind = str(value).lower() if isinstance(value, bool) else names.get(type(value), "a time")
    return f"YAML reads `{text}` as {kind}; put it in quotes: '{text}'"


def _fault(node: Node, place: tuple[str, ...], fault: str) -> YamlError:
    return YamlError(f"{'.'.join(place)}: {fault}" if place else fault, _line(node))


def _child(node: Node | None, part: str | int) -> tuple[Node | None, Node | None]:
    """The key and the value of a part of a table; of a list, no key and the item."""
    if isinstance(node, MappingNode):
        # a table holds merged keys before its own, and the last one counts
        return next(((key, inner) for key, inner in reversed(node.value) if key.value == part), (None, None))
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
