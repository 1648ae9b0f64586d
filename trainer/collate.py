"""A packed batch of documents as tensors: rows of several documents that do not attend to each other."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from shards.image import ImageError
from shards.sample import Sample
from shards.source import VIEWS
from shards.tokens import Tokenizer
from shards.turns import conversation
from trainer import chat
from trainer.images import ImageReader, Pixels, Size, dummy_pixels, to_pixels
from trainer.layout import IGNORED, DocumentTokens, LayoutError, Specials, lay_out
from trainer.schema import Upscale

Rows = Sequence[Sequence[Sample]]


@dataclass(frozen=True)
class Tensors:
    """A batch for the model; T is the length of the longest row.

    ids, labels, positions, documents: int64 [rows, T]. documents numbers the documents of a row from 1; 0 is padding.
    labels are not shifted: ``labels[r, t]`` is the target of ``logits[r, t - 1]``. text: bool [rows, T], tokens of
    texts and ``</s>``. pixels: the images of all rows in order. images: the number of real images; at 0, pixels holds a
    dummy.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    documents: torch.Tensor
    text: torch.Tensor
    pixels: Pixels
    images: int
    skipped: int = 0  #: documents that were left out because an image of theirs cannot be decoded

    @property
    def targets(self) -> int:
        """The number of predicted tokens."""
        return int((self.labels != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """The number of tokens that are not padding."""
        return int((self.documents != 0).sum())

    def to(self, device: torch.device) -> Tensors:
        moved = {name: getattr(self, name).to(device) for name in ("ids", "labels", "positions", "documents", "text")}
        return replace(self, **moved, pixels=Pixels(*(tensor.to(device) for tensor in self.pixels)))


@dataclass(frozen=True)
class Collator:
    """Lays out documents, packs the rows and decodes the images.

    latents: tokens of an image in the text. patch: of the vision tower, in pixels. isolation: ``documents`` (a document
    attends to itself alone and counts its positions from 0) or ``none`` (neighbours in a row attend to each other, as
    in Idefics2's training code). features: vectors of an image for the decoder, more than `latents` under
    cross-attention. shuffle_turns: of conversations. skip: leave out a document with an image that cannot be decoded,
    with a line on stderr.
    """

    tokenizer: Tokenizer
    reader: ImageReader
    latents: int
    patch: int
    isolation: str = "documents"
    features: int = 0
    shuffle_turns: bool = True
    skip: bool = False

    def for_evaluation(self) -> Collator:
        """The same without chance in the size of images, and with an error for an image that cannot be decoded."""
        return replace(self, reader=replace(self.reader, upscale=Upscale()), skip=False)

    def __call__(self, sequences: Rows, mode: str, longest: int, shortest: int, length: int | None = None) -> Tensors:
        """Rows of documents as a batch. mode, longest, shortest: of images, see ``shards.image.decode``.

        length: tokens of a row; a single document that is longer is cut. Raises ValueError, naming the documents, if
        several together are longer: they were packed for other settings. Raises ImageError unless `skip`.
        """
        specials = Specials.of(self.tokenizer)
        rows: list[list[DocumentTokens]] = []
        pictures: list[np.ndarray] = []
        skipped = 0
        for sequence in sequences:
            row, counts = list[DocumentTokens](), 0
            for document in sequence:
                laid_out, count = self._lay_out(document, specials, length)
                try:
                    pictures += self._decode(document, laid_out.images, (mode, longest, shortest))
                except ImageError as error:
                    if not self.skip:
                        raise ImageError(f"{document.source} {document.key}: {error}") from error
                    print(f"{document.source} {document.key}: left out: {error}", file=sys.stderr)
                    skipped += 1
                    continue
                row.append(laid_out)
                counts += count
            if length is not None and counts > length:
                keys = ", ".join(document.key for document in sequence)
                size = f"{counts} tokens in a row of {length}"
                remedy = "packed for another layout, or by an older version: make the shards again"
                raise ValueError(f"documents {keys} are {size}: {remedy}")
            rows += [row] if row else []
        pixels = to_pixels(pictures, self.patch) if pictures else dummy_pixels(self.patch)
        batch = pack(rows, specials.pad, pixels, len(pictures), self.isolation) if rows else self.empty()
        return replace(batch, skipped=skipped)

    def _lay_out(self, document: Sample, specials: Specials, length: int | None) -> tuple[DocumentTokens, int]:
        """A document's tokens, and the number of tokens that packing counted. Its layout decides, never its source."""
        if document.layout != "conversations":
            tokens = lay_out(split(document), self.tokenizer, specials, self.latents, length)
            return tokens, len(tokens.ids)
        parts = document.parts()
        exchanges = conversation(parts)
        if not exchanges:
            needed = "turns that begin with User: or Assistant:, and a break between them"
            raise LayoutError(f"{document.key} is no conversation: it needs {needed}")
        if self.shuffle_turns:
            rng = random.Random(f"{self.reader.seed} {document.epoch} {document.key} turns")
            exchanges = chat.shuffled(exchanges, rng)
        tokens = chat.lay_out_turns(exchanges, self.tokenizer, specials, self.latents, document.views)
        # a piece of a conversation was cut by its texts, so its template may exceed the row by a few tokens
        return tokens, len(tokens.ids) if document.piece is None else 0

    def empty(self) -> Tensors:
        """A batch without a predicted token."""
        specials = Specials.of(self.tokenizer)
        row = [DocumentTokens(np.array([specials.bos]), np.array([IGNORED]), np.array([False]), ())]
        return pack([row], specials.pad, dummy_pixels(self.patch), 0, self.isolation)

    def _decode(self, document: Sample, numbers: Sequence[int], size: Size) -> list[np.ndarray]:
        """The images of a document by number. If images are split, a number is that of a view; see `split`."""
        images, settings = document.images, (size, document.key, document.epoch)
        if document.views == 1:
            return [self.reader.image(images[n], *settings, n) for n in numbers]
        views = {n: self.reader.views(images[n], *settings, n) for n in {number // VIEWS for number in numbers}}
        return [views[number // VIEWS][number % VIEWS] for number in numbers]


def split(document: Sample) -> list[str | int]:
    """The document's parts. If its images are split, image n becomes the adjacent images 5n to 5n + 4."""
    if document.views == 1:
        return document.parts()
    return [
        view
        for part in document.parts()
        for view in ([part] if isinstance(part, str) else range(VIEWS * part, VIEWS * (part + 1)))
    ]


def pack(
    rows: Sequence[Sequence[DocumentTokens]], pad: int, pixels: Pixels, images: int, isolation: str = "documents"
) -> Tensors:
    """Rows of documents side by side, padded at the end to the longest row."""
    width = max(sum(len(document.ids) for document in row) for row in rows)
    isolated = isolation == "documents"

    def fill(arrays: Iterable[Iterable[np.ndarray]], value: int) -> torch.Tensor:
        out = np.full((len(rows), width), value, dtype=np.int64)
        for slot, row in zip(out, arrays, strict=True):
            joined = np.concatenate(list(row))
            slot[: len(joined)] = joined
        return torch.from_numpy(out)

    if isolated:
        positions = fill(([np.arange(len(document.ids)) for document in row] for row in rows), 0)
    else:
        positions = torch.arange(width).expand(len(rows), width).contiguous()
    numbers = ([np.full(len(d.ids), n if isolated else 1) for n, d in enumerate(row, 1)] for row in rows)
    ids = fill(([document.ids for document in row] for row in rows), pad)
    labels = fill(([document.labels for document in row] for row in rows), IGNORED)
    text = fill(([document.text for document in row] for row in rows), 0).bool()
    return Tensors(ids, labels, positions, fill(numbers, 0), text, pixels, images)


def attention_mask(documents: torch.Tensor) -> torch.Tensor:
    """bool [rows, 1, T, T]: True if query t may attend to key s, that is s <= t in the same document.

    The mask is explicit because transformers infers it from positions that restart only without a mask and without a
    cache; with either, it packs wrongly in silence. Padding counts as a document, so that no softmax is over nothing.
    """
    same = documents[:, :, None] == documents[:, None, :]
    causal = torch.ones(same.shape[1:], dtype=torch.bool, device=documents.device).tril()
    return (same & causal)[:, None]
