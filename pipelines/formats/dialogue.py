"""Rows of conversation datasets as turns, in the two schemas that nearly all of them have.

* ``cauldron``: `images` (a list) and `texts`, a list of {user, assistant}: questions about the images, each for itself.
  All images stand before the first question. (The Cauldron, Docmatix.)
* ``llava``: `conversations`, a list of {from, value} that take turns, and `image` (one or several; none in a dialogue
  of text alone).
  ``<image>`` in a text says in which turn an image stands. (LLaVA-Instruct, ShareGPT4V, LLaVA-OneVision.)

Idefics2's template has a turn's images before its text, so that is where they go, wherever in the text their mark
stood.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.nodes import Node, break_node, image_node, text_node

Row = dict[str, Any]

MARK = "<image>"
#: the column that tells the schema
SCHEMAS = {"cauldron": "texts", "llava": "conversations"}
COLUMNS = {"cauldron": ("images", "texts"), "llava": ("image", "images", "conversations")}
_HUMAN, _MODEL = ("human", "user"), ("gpt", "assistant", "model")


@dataclass(frozen=True)
class Exchange:
    """A question, its images by their numbers among the row's, and its answer."""

    images: tuple[int, ...]
    question: str
    answer: str


class TurnsError(ValueError):
    """A row that is no conversation: its reason."""


def schema(columns: Iterable[str]) -> str | None:
    """Which of `SCHEMAS` a file with these columns has."""
    names = set(columns)
    return next((name for name, column in SCHEMAS.items() if column in names), None)


def images(row: Row, which: str) -> list[Any]:
    """The images of a row as they are given: {bytes, path}, or a path or address. None among them is left out."""
    given = row.get("images")
    given = row.get("image") if given is None and which == "llava" else given
    listed = given if isinstance(given, list) else [given]
    return [image for image in listed if image is not None]


def exchanges(row: Row, which: str, n_images: int) -> list[Exchange]:
    """Raises TurnsError: ``bad_turns`` where question and answer do not take turns or one is no text, ``bad_images``
    where the marks are
    not as many as the images."""
    try:
        found = _cauldron(row, n_images) if which == "cauldron" else _llava(row, n_images)
    except (TypeError, KeyError, AttributeError):
        raise TurnsError("bad_turns") from None
    if not found or not all(e.question and e.answer for e in found):
        raise TurnsError("bad_turns")
    return found


def cut(found: Sequence[Exchange], which: str, most: int) -> list[list[Exchange]]:
    """Questions that stand each for themselves, at most so many together, with the images before each lot; a dialogue
    stays whole.
    """
    if which != "cauldron":
        return [list(found)]
    lots = [list(found[i : i + most]) for i in range(0, len(found), most)]
    return [[replace(lot[0], images=found[0].images), *lot[1:]] for lot in lots]


def nodes(found: Sequence[Exchange], addresses: Sequence[str]) -> list[Node]:
    """Turns parted by breaks. addresses: of the row's images."""
    out: list[Node] = []
    for exchange in found:
        out += [break_node()] if out else []
        out += [image_node(addresses[n]) for n in exchange.images]
        out += [text_node(exchange.question, "user"), break_node(), text_node(exchange.answer, "assistant")]
    return out


def _cauldron(row: Row, n_images: int) -> list[Exchange]:
    turns = [Exchange((), _text(turn["user"]), _text(turn["assistant"])) for turn in row["texts"]]
    return [replace(turns[0], images=tuple(range(n_images))), *turns[1:]] if turns else []


def _llava(row: Row, n_images: int) -> list[Exchange]:
    said = [(turn["from"], _text(turn["value"])) for turn in row["conversations"]]
    before = [text for speaker, text in said if speaker == "system"]  # stands before the first question
    said = [(speaker, text) for speaker, text in said if speaker != "system"]
    while said and said[0][0] in _MODEL:  # answers to what was cut off
        said.pop(0)
    asked, answered = said[::2], said[1::2]
    if not all(s in _HUMAN for s, _ in asked) or not all(s in _MODEL for s, _ in answered):
        raise TurnsError("bad_turns")
    if not answered:
        raise TurnsError("bad_turns")
    marks = [text.count(MARK) for _, text in asked[: len(answered)]]  # a last question without an answer goes
    if n_images == 1:  # one image stands once, where it is first named; by itself before the first question
        first = next((i for i, n in enumerate(marks) if n), 0)
        marks = [int(i == first) for i in range(len(marks))]
    elif not any(marks):
        marks[:1] = [n_images]
    if sum(marks) != n_images:
        raise TurnsError("bad_images")
    out, number = [], 0
    for (_, question), (_, answer), n in zip(asked, answered, marks, strict=False):
        out.append(Exchange(tuple(range(number, number + n)), _text(question.replace(MARK, "")), answer))
        number += n
    if before:
        out[0] = replace(out[0], question="\n\n".join([*before, out[0].question]))
    return out


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode().strip()
