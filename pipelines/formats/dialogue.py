"""Rows of conversation datasets as turns, in the two schemas that nearly all of them have.

* `cauldron`: `images` (a list) and `texts`, a list of {user, assistant}: independent questions about the images. All
  images stand before the first question. (The Cauldron, Docmatix.)
* `llava`: `conversations`, a list of {from, value} in turns, and `image` (one or several; none in a dialogue of text
  alone). `<image>` in a text says in which turn an image stands. (LLaVA-Instruct, ShareGPT4V, LLaVA-OneVision.)

Idefics2's template has a turn's images before its text. So they go there, wherever in the text the mark stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.nodes import Node, break_node, image_node, text_node
from pipelines.formats.rows import Row, RowError

MARK = "<image>"
SCHEMAS = {"cauldron": "texts", "llava": "conversations"}  # the column that tells the schema
COLUMNS = {"cauldron": ("images", "texts"), "llava": ("image", "images", "conversations")}
_HUMAN, _MODEL = ("human", "user"), ("gpt", "assistant", "model")


@dataclass(frozen=True)
class Exchange:
    """A question, its images (their numbers among those of the row), and its answer."""

    images: tuple[int, ...]
    question: str
    answer: str


def schema(columns: Iterable[str]) -> str | None:
    """The one of SCHEMAS that a file with these columns has."""
    names = set(columns)
    return next((name for name, column in SCHEMAS.items() if column in names), None)


def images(row: Row, schema_name: str) -> list[Any]:
    """The images of a row as they stand there: {bytes, path}, a path, or an address. Nulls are left out."""
    value = row.get("images")
    value = row.get("image") if value is None and schema_name == "llava" else value
    return [image for image in (value if isinstance(value, list) else [value]) if image is not None]


def exchanges(row: Row, schema_name: str, n_images: int) -> list[Exchange]:
    """The exchanges of a row with `n_images` images.

    Raises RowError: `bad_turns` where questions and answers do not alternate or one is no text, `bad_images` where the
    number of marks is not the number of images.
    """
    try:
        turns = _cauldron(row, n_images) if schema_name == "cauldron" else _llava(row, n_images)
    except (TypeError, KeyError, AttributeError):
        raise RowError("bad_turns") from None
    if not turns or not all(e.question and e.answer for e in turns):
        raise RowError("bad_turns")
    return turns


def groups(turns: Sequence[Exchange], schema_name: str, most: int) -> list[list[Exchange]]:
    """Independent questions in groups of at most `most`, each with the images before it; a dialogue is one group."""
    if schema_name != "cauldron":
        return [list(turns)]
    parts = [list(turns[i : i + most]) for i in range(0, len(turns), most)]
    return [[replace(part[0], images=turns[0].images), *part[1:]] for part in parts]


def nodes(turns: Sequence[Exchange], addresses: Sequence[str]) -> list[Node]:
    """Turns with a break between two. addresses: of the images of the row."""
    out: list[Node] = []
    for exchange in turns:
        out += [break_node()] if out else []
        out += [image_node(addresses[n]) for n in exchange.images]
        out += [text_node(exchange.question, "user"), break_node(), text_node(exchange.answer, "assistant")]
    return out


def _cauldron(row: Row, n_images: int) -> list[Exchange]:
    turns = [Exchange((), str.strip(turn["user"]), str.strip(turn["assistant"])) for turn in row["texts"]]
    return [replace(turns[0], images=tuple(range(n_images))), *turns[1:]] if turns else []


def _llava(row: Row, n_images: int) -> list[Exchange]:
    turns = [(turn["from"], str.strip(turn["value"])) for turn in row["conversations"]]
    system = [text for speaker, text in turns if speaker == "system"]  # goes before the first question
    turns = [(speaker, text) for speaker, text in turns if speaker != "system"]
    while turns and turns[0][0] in _MODEL:  # answers whose questions were cut off
        turns.pop(0)
    questions, answers = turns[::2], turns[1::2]
    if not answers or not all(s in _HUMAN for s, _ in questions) or not all(s in _MODEL for s, _ in answers):
        raise RowError("bad_turns")
    marks = [text.count(MARK) for _, text in questions[: len(answers)]]  # a last question without an answer goes
    if n_images == 1:  # one image stands once: where it is first named, else before the first question
        first = next((i for i, n in enumerate(marks) if n), 0)
        marks = [int(i == first) for i in range(len(marks))]
    elif not any(marks):
        marks[:1] = [n_images]
    if sum(marks) != n_images:
        raise RowError("bad_images")
    out, number = [], 0
    for (_, question), (_, answer), n in zip(questions, answers, marks, strict=False):
        out.append(Exchange(tuple(range(number, number + n)), question.replace(MARK, "").strip(), answer))
        number += n
    if system:
        out[0] = replace(out[0], question="\n\n".join([*system, out[0].question]))
    return out
