"""Samples longer than their sequence: the pieces that the plan foresaw, cut from the sample once it is read.

Cuts fall between words (within a word only above 64 characters), never within images. A piece is measured with the
tokenizer of the index, so it never has more tokens than the plan gave it; the tokens that this costs at its end are
counted.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from shards.plan import SLACK
from shards.sample import Part
from shards.tokens import Tokenizer

_WORDS = re.compile(r"\s*\S{1,64}\s*")
#: the image of a window is in its first three quarters, so that text follows it (the "image-biased" window of m4)
_EARLY = 0.75


class Piece(NamedTuple):
    parts: list[Part]
    lost: int  #: tokens left out at its end to stay within its length


class Limits(NamedTuple):
    """The most that a piece may have."""

    tokens: int  #: without marks
    image: int  #: tokens of an image
    patches: int = 0  #: of all its images
    each: Sequence[int] = ()  #: patches of each image of the sample; empty if the mixture has no budget


class _Unit(NamedTuple):
    """A word or an image."""

    slot: int
    content: Part
    middle: float  #: tokens before its middle


def chunk(parts: Sequence[Part], piece: int, pieces: int, limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """Piece `piece` of `pieces` of about equal length. repeat: every piece has all images; only the text is cut."""
    units, total = _units(parts, limits.image, tokenizer, repeat)
    low, high = total * piece / pieces, total * (piece + 1) / pieces
    if piece + 1 == pieces:  # rounding must not lose the last word
        high = float("inf")
    return _joined(parts, [unit for unit in units if low <= unit.middle < high], limits, repeat, tokenizer)


def window(parts: Sequence[Part], chance: float, limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """At most `limits.tokens` tokens, around an image if any. chance: in [0, 1), decides image and place."""
    units, total = _units(parts, limits.image, tokenizer, repeat)
    width = limits.tokens * (1 - SLACK) - (limits.image * sum(isinstance(p, int) for p in parts) if repeat else 0)
    images = [unit.middle for unit in units if isinstance(unit.content, int)]
    if images:
        which = int(chance * len(images))
        start = images[which] - _EARLY * width * (chance * len(images) - which)
    else:
        start = chance * (total - width)
    start = min(max(start, 0.0), max(total - width, 0.0))
    return _joined(parts, [u for u in units if start <= u.middle < start + width], limits, repeat, tokenizer)


def _units(parts: Sequence[Part], image: int, tokenizer: Tokenizer, repeat: bool) -> tuple[list[_Unit], float]:
    """Words and images at their places in tokens, and the total. A slot's words share its tokens. repeat: no images."""
    units: list[_Unit] = []
    place = 0.0
    for slot, part in enumerate(parts):
        if isinstance(part, str):
            each = len(tokenizer.encode(part)) / max(len(part), 1)
            contents: list[tuple[Part, float]] = [(word[0], each * len(word[0])) for word in _WORDS.finditer(part)]
        else:
            contents = [] if repeat else [(part, image)]
        for content, tokens in contents:
            units.append(_Unit(slot, content, place + tokens / 2))
            place += tokens
    return units, place


def _joined(parts: Sequence[Part], units: Sequence[_Unit], limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """Parts from units, shortened from the end until they fit. Leaves out an image for which no patches are left."""
    out: list[Part] = [part for part in parts if isinstance(part, int)] if repeat else []
    left, left_patches, lost = limits.tokens - limits.image * len(out), limits.patches, 0
    for _, slot in groupby(units, lambda unit: unit.slot):
        contents = [unit.content for unit in slot]
        image = contents[0]
        if isinstance(image, int):
            cost = limits.each[image] if limits.each else 0
            if left >= limits.image and cost <= left_patches:
                out.append(image)
                left, left_patches = left - limits.image, left_patches - cost
            else:
                lost += limits.image
            continue
        words = [str(word) for word in contents]
        needed = len(tokenizer.encode("".join(words).strip()))
        count = len(words) if needed <= left else _most(words, left, tokenizer)
        text = "".join(words[:count]).strip()
        used = len(tokenizer.encode(text)) if text else 0
        out += [text] if text else []
        left, lost = left - used, lost + needed - used
        if count < len(words):
            left = 0  # nothing follows a cut
    return Piece(out, lost)


def _most(words: Sequence[str], budget: int, tokenizer: Tokenizer) -> int:
    """The largest number of first words that fit `budget` tokens."""
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer.encode("".join(words[:middle]).strip())) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
