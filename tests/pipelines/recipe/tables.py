"""The tables of recipes as a tree of pydantic models, for tests that walk all of it."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe.schema import Recipe


def options(annotation: Any) -> list[Any]:
    """The types of an annotation: of a union its members, without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        return options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [o for member in get_args(annotation) for o in options(member)]
    return [annotation]


def inner(kind: Any) -> list[Any]:
    """The types within a list, a tuple or a table."""
    return [o for arg in get_args(kind) for o in options(arg)] if get_origin(kind) in (list, tuple, dict) else []


def models(kind: Any = Recipe) -> Iterator[type[BaseModel]]:
    """A model and all models within it, each once."""
    seen: dict[type[BaseModel], None] = {}

    def visit(kind: Any) -> None:
        for option in options(kind):
            for arg in inner(option):
                visit(arg)
            if isinstance(option, type) and issubclass(option, BaseModel) and option not in seen:
                seen[option] = None
                for field in option.model_fields.values():
                    visit(field.annotation)

    visit(kind)
    yield from seen


def owner(model: type[BaseModel], name: str) -> str:
    """The class that declares a field: the kinds of sources inherit most of theirs."""
    return next(base.__name__ for base in reversed(model.__mro__) if name in getattr(base, "__annotations__", {}))


def is_mapping(field: FieldInfo) -> bool:
    return any(get_origin(option) is dict for option in options(field.annotation))


def literals(kind: Any) -> list[Any]:
    return list(get_args(kind)) if get_origin(kind) is Literal else []
