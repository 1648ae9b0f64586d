"""A packed batch of documents as tensors: rows of several documents that do not see each other."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from shards.source import VIEWS
from shards.tokens import Tokenizer
from trainer import chat
from trainer.images import Eye, Pixels, dummy_pixels, to_pixels
from trainer.layout import IGNORED, Laid, LayoutError, Specials, lay_out


class Document(Protocol):
    """What a sample of ``shards.loader`` gives; its ``config`` too, and ``views`` (1 or VIEWS) and ``epoch`` where the
    mixture splits images.
    """

    @property
    def key(self) -> str: ...

    @property
    def images(self) -> list[bytes]: ...

    def parts(self) -> list[str | int]: ...


@dataclass(frozen=True)
class Tensors:
    """A batch for the model; T is the longest row.

    ids, labels, positions, documents: int64 [rows, T]. documents numbers the documents of a row from 1; 0 is padding.
    labels are not
    shifted: ``labels[r, t]`` is what ``logits[r, t - 1]`` should predict.
    text: bool [rows, T], tokens of texts and ``</s>``. pixels: the images of all rows in order.
    images: how many of them are real (0: pixels holds a dummy that no token points to).
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    documents: torch.Tensor
    text: torch.Tensor
    pixels: Pixels
    images: int

    @property
    def targets(self) -> int:
        """Tokens the loss is taken over."""
        return int((self.labels != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Tokens that are not padding."""
        return int((self.documents != 0).sum())

    def to(self, device: torch.device) -> Tensors:
        moved = {name: getattr(self, name).to(device) for name in ("ids", "labels", "positions", "documents", "text")}
        return replace(self, **moved, pixels=Pixels(*(tensor.to(device) for tensor in self.pixels)))


@dataclass(frozen=True)
class Collator:
    """Lays documents out, packs the rows, decodes the images.

    latents: tokens an image takes in the text. features: what it is to the decoder (more, where cross-attention looks
    at it).
    patch: the vision tower's, in pixels. isolation: ``documents`` (each document sees itself alone and counts its
    positions from 0) or
    ``none`` (neighbours in a row attend to each other, as in Idefics2's training code). Conversations are laid out by
    ``chat``, their turns shuffled or not.
    """

    tokenizer: Tokenizer
    eye: Eye
    latents: int
    patch: int
    isolation: str = "documents"
    features: int = 0
    shuffle_turns: bool = True

    def __call__(
        self, sequences: Sequence[Sequence[Document]], mode: str, longest: int, shortest: int, length: int | None = None
    ) -> Tensors:
        """length: tokens a row may have; a document that alone is longer is cut to it.

        Raises ValueError, naming the documents, where several together pass the length: whoever packed them counted
        otherwise.
        """
        specials = Specials.of(self.tokenizer)
        rows: list[list[Laid]] = []
        pictures: list[np.ndarray] = []
        for sequence in sequences:
            laid_out = [self.laid(document, specials, length) for document in sequence]
            row, tokens = [laid for laid, _ in laid_out], sum(counted for _, counted in laid_out)
            if length is not None and tokens > length:
                keys = ", ".join(document.key for document in sequence)
                raise ValueError(
                    f"documents {keys} are {tokens} tokens in a row of {length}: packed for another layout"
                )
            for document, laid in zip(sequence, row, strict=True):
                pictures += self.look(document, laid.images, mode, longest, shortest)
            rows.append(row)
        pixels = to_pixels(pictures, self.patch) if pictures else dummy_pixels(self.patch)
        return pack(rows, specials.pad, pixels, len(pictures), self.isolation)

    def laid(self, document: Document, specials: Specials, length: int | None) -> tuple[Laid, int]:
        """A document's tokens, and as how many they were packed."""
        if getattr(document, "config", "") != chat.CONFIG:
            plain = lay_out(split(document), self.tokenizer, specials, self.latents, length)
            return plain, len(plain.ids)
        parts = document.parts()
        exchanges = chat.conversation(parts)
        if exchanges is None:
            raise LayoutError(
                f"{document.key} is no conversation: its turns must be parted by breaks and begin with User: or Assistant:"
            )
        coin = random.Random(f"{self.eye.seed} {getattr(document, 'epoch', 0)} {document.key} turns")
        ordered, views = (
            chat.shuffled(exchanges, coin) if self.shuffle_turns else exchanges,
            getattr(document, "views", 1),
        )
        laid = chat.lay_out_turns(ordered, self.tokenizer, specials, self.latents, views)
        return laid, chat.counted(parts, self.tokenizer, self.latents, views)

    def nothing(self) -> Tensors:
        """A batch without a token to predict."""
        specials = Specials.of(self.tokenizer)
        empty = Laid(np.array([specials.bos]), np.array([IGNORED]), np.array([False]), ())
        return pack([[empty]], specials.pad, dummy_pixels(self.patch), 0, self.isolation)

    def look(
        self, document: Document, numbers: Sequence[int], mode: str, longest: int, shortest: int
    ) -> list[np.ndarray]:
        """The images the layout names; of one that is split, the views that are still there after a cut."""
        views, epoch = getattr(document, "views", 1), getattr(document, "epoch", 0)
        if views == 1:
            return [
                self.eye.whole(document.images[n], mode, longest, shortest, document.key, epoch, n) for n in numbers
            ]
        shown = {
            n: self.eye.views(document.images[n], mode, longest, shortest, document.key, epoch, n)
            for n in {n // VIEWS for n in numbers}
        }
        return [shown[number // VIEWS][number % VIEWS] for number in numbers]


def split(document: Document) -> list[str | int]:
    """The document's parts; where its images are split, image n as the adjacent images 5n to 5n + 4."""
    if getattr(document, "views", 1) == 1:
        return document.parts()
    return [
        view
        for part in document.parts()
        for view in ([part] if isinstance(part, str) else range(VIEWS * part, VIEWS * (part + 1)))
    ]


def pack(
    rows: Sequence[Sequence[Laid]], pad: int, pixels: Pixels, images: int, isolation: str = "documents"
) -> Tensors:
    """Rows of laid-out documents side by side, padded at the end to the longest row."""
    width = max(sum(len(laid.ids) for laid in row) for row in rows)

    def fill(pieces: Iterable[Iterable[np.ndarray]], value: int) -> torch.Tensor:
        out = np.full((len(rows), width), value, dtype=np.int64)
        for slot, row in zip(out, pieces, strict=True):
            joined = np.concatenate(list(row))
            slot[: len(joined)] = joined
        return torch.from_numpy(out)

    if isolation == "documents":
        positions = fill(([np.arange(len(laid.ids)) for laid in row] for row in rows), 0)
    else:
        positions = torch.arange(width).expand(len(rows), width).contiguous()
    return Tensors(
        ids=fill(([laid.ids for laid in row] for row in rows), pad),
        labels=fill(([laid.labels for laid in row] for row in rows), IGNORED),
        positions=positions,
        documents=fill(
            (
                [np.full(len(laid.ids), n if isolation == "documents" else 1) for n, laid in enumerate(row, 1)]
                for row in rows
            ),
            0,
        ),
        text=fill(([laid.text for laid in row] for row in rows), 0).bool(),
        pixels=pixels,
        images=images,
    )


def attention_mask(documents: torch.Tensor) -> torch.Tensor:
    """bool [rows, 1, T, T], True where query t may see key s: s <= t, in the same document.

    Given explicitly: transformers infers it from restarting positions only without a mask and without a cache, and
    packs wrongly, in silence, with either. Padding is a document of its own, so that no softmax is taken over nothing.
    """
    same = documents[:, :, None] == documents[:, None, :]
    causal = torch.ones(same.shape[1:], dtype=torch.bool, device=documents.device).tril()
    return (same & causal)[:, None]
