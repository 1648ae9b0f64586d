"""Samples longer than their sequence: the pieces that the plan foresaw, cut from the sample once it is read.

Cuts fall between words (within a word only where it is longer than a line), and images are never cut. A piece is
measured with the tokenizer the index was counted with, so it never has more tokens than the plan gave it; what that
costs at its end is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from shards.plan import SLACK
from shards.sample import Part
from shards.tokens import Tokenizer

_WORDS = re.compile(r"\s*\S{1,64}\s*")
#: the image a window is about lies in its first three quarters, so that text follows it (m4's "image-biased" window)
_EARLY = 0.75


class Piece(NamedTuple):
    parts: list[Part]
    lost: int  #: tokens left out at its end to keep within its length


class Limits(NamedTuple):
    """The most that a piece may have."""

    tokens: int  #: marks not counted
    image: int  #: tokens an image takes
    patches: int = 0  #: of all its images
    each: Sequence[int] = ()  #: patches of each image of the sample; none where nobody counts them


class _Unit(NamedTuple):
    slot: int
    content: Part
    middle: float  #: tokens before its middle


def chunk(parts: Sequence[Part], piece: int, pieces: int, limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """Piece `piece` of `pieces` of about equal length.

    ``repeat``: the images are in every piece, and only the text is cut.
    """
    units, total = _units(parts, limits.image, tokenizer, repeat)
    low, high = total * piece / pieces, total * (piece + 1) / pieces
    return _joined(
        parts,
        [u for u in units if low <= u.middle < high or (piece + 1 == pieces and u.middle >= high)],
        limits,
        repeat,
        tokenizer,
    )


def window(parts: Sequence[Part], chance: float, limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """One stretch of at most `limits.tokens` tokens; around one of its images where it has any. chance: in [0, 1),
    decides which.
    """
    units, total = _units(parts, limits.image, tokenizer, repeat)
    width = limits.tokens * (1 - SLACK) - (limits.image * sum(isinstance(p, int) for p in parts) if repeat else 0)
    seen = [unit.middle for unit in units if isinstance(unit.content, int)]
    if seen:
        which = int(chance * len(seen))
        start = seen[which] - _EARLY * width * (chance * len(seen) - which)
    else:
        start = chance * (total - width)
    start = min(max(start, 0.0), max(total - width, 0.0))
    return _joined(parts, [u for u in units if start <= u.middle < start + width], limits, repeat, tokenizer)


def _units(parts: Sequence[Part], image: int, tokenizer: Tokenizer, repeat: bool) -> tuple[list[_Unit], float]:
    """Words and images with their place in the stream of tokens; a word's share of its slot's tokens goes by its
    characters.
    """
    units: list[_Unit] = []
    at = 0.0
    for slot, part in enumerate(parts):
        if isinstance(part, int):
            if not repeat:
                units.append(_Unit(slot, part, at + image / 2))
                at += image
            continue
        each = len(tokenizer.encode(part)) / max(len(part), 1)
        for match in _WORDS.finditer(part):
            units.append(_Unit(slot, match[0], at + each * len(match[0]) / 2))
            at += each * len(match[0])
    return units, at


def _joined(parts: Sequence[Part], units: Sequence[_Unit], limits: Limits, repeat: bool, tokenizer: Tokenizer) -> Piece:
    """Parts from units, shortened from the end until they fit. Leaves out an image for which no patches are left."""
    image, left_patches = limits.image, limits.patches
    slots: list[tuple[int, list[Part]]] = []
    for unit in units:
        if not slots or slots[-1][0] != unit.slot:
            slots.append((unit.slot, []))
        slots[-1][1].append(unit.content)
    out: list[Part] = []
    left, lost = limits.tokens, 0
    if repeat:
        out = [part for part in parts if isinstance(part, int)]
        left -= image * len(out)
    for _, run in slots:
        if isinstance(run[0], int):
            cost = limits.each[run[0]] if limits.each else 0
            if left >= image and cost <= left_patches:
                out.append(run[0])
                left, left_patches = left - image, left_patches - cost
            else:
                lost += image
            continue
        words = [str(word) for word in run]
        whole = len(tokenizer.encode("".join(words).strip()))
        kept = len(words) if whole <= left else _most(words, left, tokenizer)
        text = "".join(words[:kept]).strip()
        used = len(tokenizer.encode(text)) if text else 0
        if text:
            out.append(text)
        left, lost = left - used, lost + whole - used
        if kept < len(words):
            left = 0  # nothing behind a cut
    return Piece(out, lost)


def _most(words: Sequence[str], budget: int, tokenizer: Tokenizer) -> int:
    """How many of the first words fit `budget` tokens."""
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer.encode("".join(words[:middle]).strip())) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
