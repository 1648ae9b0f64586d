"""YAML, written without a library: the base install, which makes the dataset card, has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def yaml(value: Any, indent: int = 0) -> str:
    """Block YAML of mappings, lists, strings, numbers and booleans. Strings are quoted as JSON, which YAML reads."""
    pad = "  " * indent
    if isinstance(value, Mapping):
        return "".join(f"{pad}{key}:{_nested(child, indent + 1)}" for key, child in value.items())
    out = []
    for child in value:
        text = yaml(child, indent + 1) if isinstance(child, Mapping | list) and child else f"{pad}  {_scalar(child)}\n"
        out.append(f"{pad}- {text[len(pad) + 2 :]}")
    return "".join(out)


def _nested(child: Any, indent: int) -> str:
    if isinstance(child, Mapping | list) and child:
        return "\n" + yaml(child, indent)
    return f" {_scalar(child)}\n"


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
