r"""Conversations as text: their turns, the template, and the number of tokens that it makes.

A sample of layout ``conversations`` has breaks between its turns (``shards.tokens.END_OF_TOPIC`` between two slots),
and its texts begin with the speaker: ``User: ...`` or ``Assistant: ...``. The template is Idefics2's (its model card),
with a blank between an image and the text after it, which the processor of transformers inserts too::

    <s>User:<image> What is it?<end_of_utterance>\nAssistant: A mill.<end_of_utterance>\nUser: ...</s>

The text between two special tokens is encoded as one string, because a tokenizer that puts a mark before each string
(SentencePiece) gives other tokens for its pieces. The trainer, the index of a shard and the chat template of an
exported model all follow these functions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from shards.tokens import ASSISTANT, END_OF_TOPIC, USER, Tokenizer

#: the text after which the model answers
ANSWER = f"\n{ASSISTANT}"


@dataclass(frozen=True)
class Exchange:
    """One question with its images, and its answer; None where the model is to answer."""

    images: tuple[int, ...]
    question: str
    answer: str | None


def conversation(parts: Sequence[str | int]) -> list[Exchange]:
    """The exchanges of a sample's parts, none for a page. A turn without its partner is left out."""
    runs = groupby(parts, lambda part: part == END_OF_TOPIC)
    turns = [list(run) for is_break, run in runs if not is_break]
    out: list[Exchange] = []
    question: tuple[tuple[int, ...], str] | None = None
    for turn in turns:
        text = "\n\n".join(part for part in turn if isinstance(part, str))
        if text.startswith(USER):
            question = tuple(part for part in turn if isinstance(part, int)), text.removeprefix(USER).strip()
            continue
        if text.startswith(ASSISTANT) and question is not None:
            out.append(Exchange(*question, text.removeprefix(ASSISTANT).strip()))
        question = None
    return out


def question_texts(question: str, first: bool, images: bool) -> tuple[str, str]:
    """The strings of a user's turn before and after its images; all of it before them if there are none."""
    before, after = f"{'' if first else chr(10)}{USER}", f" {question}" if question else ""
    return (before, after) if images else (before + after, "")


def answer_text(answer: str) -> str:
    return f"{ANSWER} {answer}"


def count(texts: Sequence[str], images: bool, tokenizer: Tokenizer) -> int:
    """The most tokens of a conversation in any order of its turns, without its images and without <s> and </s>.

    texts: the slots, with breaks. images: whether the conversation has any. The first question has no line break before
    it, and the images of a conversation move to the first question, so the number depends on the order by a few tokens.
    For texts that are no conversation it is the number of their tokens.
    """
    exchanges = conversation(texts)
    if not exchanges:
        return int(tokenizer.count(texts).sum())
    return sum(max(_questions(exchange.question, images, tokenizer)) for exchange in exchanges) + sum(
        len(tokenizer.encode(answer_text(exchange.answer or ""))) + 2 for exchange in exchanges
    )


def _questions(question: str, images: bool, tokenizer: Tokenizer) -> Iterator[int]:
    """The tokens of a question in each of its forms."""
    for first in (True, False):
        for own in (False, True) if images else (False,):
            yield sum(len(tokenizer.encode(text)) for text in question_texts(question, first, own) if text)
