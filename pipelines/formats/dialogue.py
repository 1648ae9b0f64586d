"""Rows of conversation datasets as turns, in the schemas that nearly all of them have.

* `cauldron`: `images` (a list) and `texts`, a list of {user, assistant}: independent questions about the images. All
  images stand before the first question. (The Cauldron, Docmatix.)
* `llava`: `conversations`, a list of {from, value} in turns, and `image` (one or several; none in a dialogue of text
  alone). `<image>` in a text says in which turn an image stands. (LLaVA-Instruct, ShareGPT4V, LLaVA-OneVision.)
* `openai`: `messages`, a list of {role, content}, with images as in `llava`, or as parts of the content.

A turn of `llava` and `openai` may have either pair of keys. Idefics2's template has a turn's images before its text. So
they go there, wherever in the text the mark stands.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.nodes import Node, break_node, image_node, text_node
from pipelines.formats.rows import Row, RowError

MARK = "<image>"
SCHEMAS = {"cauldron": "texts", "llava": "conversations", "openai": "messages"}  # the column that tells the schema
_IMAGES, _OTHER_MEDIA = ("image", "images"), ("video", "videos", "audio", "audios", "sound", "sounds")
COLUMNS = {name: (*_IMAGES, *_OTHER_MEDIA, column) for name, column in SCHEMAS.items()}
_HUMAN, _MODEL = ("human", "user"), ("gpt", "assistant", "model")
_LIKE_MARK = re.compile(r"<ImageHere>|<\|image\|>")  # InternLM-XComposer's mark, and Llama's
#: at an end of a line: within a line it is more likely a question about HTML
_OTHER_MARK = re.compile(r"^\s*<(?:video|audio)>|<(?:video|audio)>\s*$", re.M)
_TEXT_PARTS, _IMAGE_PARTS = ("text", "input_text"), ("image", "image_url", "input_image")


@dataclass(frozen=True)
class Exchange:
    """A question, its images (their numbers among those of the row), and its answer."""

    images: tuple[int, ...]
    question: str
    answer: str

    @property
    def blank(self) -> bool:
        return not (self.question and self.answer)


def schema(columns: Iterable[str]) -> str | None:
    """The one of SCHEMAS that a file with these columns has."""
    names = set(columns)
    return next((name for name, column in SCHEMAS.items() if column in names), None)


def images(row: Row, schema_name: str) -> list[Any]:
    """The images of a row as they stand there: {bytes, path}, bytes, base64, a path, or an address.

    An image that is empty (null, "", or a struct of nulls) is none. Raises RowError `no_medium` where one of a list is
    empty, and where the row has a video or a sound.
    """
    if not all(_empty(row.get(name)) for name in _OTHER_MEDIA):
        raise RowError("no_medium")
    inline = [] if schema_name == "cauldron" else _inline_images(row[SCHEMAS[schema_name]])
    value = inline or row.get("images")
    if _empty(value) and schema_name != "cauldron":
        value = row.get("image")
    if _empty(value):
        return []
    found = value if isinstance(value, list) else [value]
    if any(map(_empty, found)):
        raise RowError("no_medium")
    return found


def exchanges(row: Row, schema_name: str, n_images: int) -> list[Exchange]:
    """The exchanges of a row with `n_images` images; some may be blank, but not all.

    Raises RowError: `bad_turns` where questions and answers do not alternate or one is no text, `bad_images` where the
    number of marks is not the number of images, `no_medium` where there is no image for a mark, or a mark of a video
    or a sound.
    """
    try:
        turns = _cauldron(row, n_images) if schema_name == "cauldron" else _dialogue(row, schema_name, n_images)
    except (TypeError, KeyError, AttributeError):
        raise RowError("bad_turns") from None
    if all(exchange.blank for exchange in turns):
        raise RowError("bad_turns")
    return turns


def complete(turns: Iterable[Exchange]) -> list[Exchange]:
    """The exchanges that are not blank. The images of a blank one go to the next one, which may be about them."""
    out: list[Exchange] = []
    waiting: tuple[int, ...] = ()
    for exchange in turns:
        if exchange.blank:
            waiting += exchange.images
        else:
            out.append(replace(exchange, images=waiting + exchange.images))
            waiting = ()
    return out


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


def _empty(value: Any) -> bool:
    """Null, "", b"", an empty list, or a struct of such values."""
    if isinstance(value, dict):
        return all(map(_empty, value.values()))
    return value is None or (isinstance(value, str | bytes | list) and not value)


def _inline_images(turns: Any) -> list[Any]:
    """The images that are parts of a content, as addresses or base64."""
    found = []
    for turn in turns if isinstance(turns, list) else ():
        content = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
        for part in content if isinstance(content, list) else ():
            value = part.get("image_url") or part.get("image") if isinstance(part, dict) else None
            if value:
                found.append(value.get("url") or value if isinstance(value, dict) else value)
    return found


def _cauldron(row: Row, n_images: int) -> list[Exchange]:
    pairs = [(str.strip(turn["user"]), str.strip(turn["assistant"])) for turn in row["texts"]]
    _check_marks([question for question, _ in pairs], n_images)
    turns = [Exchange((), question.replace(MARK, "").strip(), answer) for question, answer in pairs]
    return [replace(turns[0], images=tuple(range(n_images))), *turns[1:]] if turns else []


def _dialogue(row: Row, schema_name: str, n_images: int) -> list[Exchange]:
    turns = [_turn(turn) for turn in row[SCHEMAS[schema_name]]]
    system = [text for speaker, text in turns if speaker == "system"]  # goes before the first question
    turns = [(speaker, text) for speaker, text in turns if speaker != "system"]
    while turns and turns[0][0] in _MODEL:  # answers whose questions were cut off
        turns.pop(0)
    questions, answers = turns[::2], turns[1::2]
    if not answers or not all(s in _HUMAN for s, _ in questions) or not all(s in _MODEL for s, _ in answers):
        raise RowError("bad_turns")
    questions = questions[: len(answers)]  # a last question without an answer goes
    _check_marks([text for _, text in questions], n_images)
    marks = [text.count(MARK) for _, text in questions]
    if n_images == 1:  # one image stands once: where it is first named, else before the first question
        first = next((i for i, n in enumerate(marks) if n), 0)
        marks = [int(i == first) for i in range(len(marks))]
    elif not any(marks):
        marks[:1] = [n_images]
    if sum(marks) != n_images:
        raise RowError("bad_images")
    out, number = [], 0
    for (_, question), (_, answer), n in zip(questions, answers, marks, strict=True):
        out.append(Exchange(tuple(range(number, number + n)), question.replace(MARK, "").strip(), answer))
        number += n
    if system:
        out[0] = replace(out[0], question="\n\n".join([*system, out[0].question]))
    return out


def _check_marks(questions: Iterable[str], n_images: int) -> None:
    for question in questions:
        if _OTHER_MARK.search(question) or (MARK in question and not n_images):
            raise RowError("no_medium")


def _turn(turn: Row) -> tuple[str, str]:
    """Speaker and text. Parts of a content that are images become marks."""
    speaker, value = (turn["from"], turn["value"]) if "from" in turn else (turn["role"], turn["content"])
    if isinstance(value, list):
        value = "\n".join(_part(part) for part in value)
    return str.lower(speaker), _LIKE_MARK.sub(MARK, str.strip(value))


def _part(part: Row) -> str:
    kind = part["type"]
    if kind in _TEXT_PARTS:
        text: str = part["text"]
        return text
    if kind in _IMAGE_PARTS:
        return MARK
    raise RowError("no_medium" if "video" in kind or "audio" in kind else "bad_turns")
