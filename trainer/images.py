"""Images as the vision tower wants them: float, about [-1, 1], padded to one size, with a mask of the real pixels."""

from __future__ import annotations

import hashlib
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from shards.image import size_for
from trainer.schema import Upscale

#: decode(bytes, mode, longest, shortest) -> uint8 [height, width, 3]
Decoder = Callable[[bytes, str, int, int], np.ndarray]


class Pixels(NamedTuple):
    """values: float32 [1, images, 3, height, width]; mask: bool [1, images, height, width], True on real pixels.

    The first axis is 1 whatever the number of rows: Idefics2 flattens images in row order, so rows need no padding
    images.
    """

    values: torch.Tensor
    mask: torch.Tensor


class Cache:
    """Decoded images by the hash of their bytes, the least recently used leaving first. Small runs see each image many
    times.
    """

    def __init__(self, decode: Decoder, megabytes: float) -> None:
        self.decode, self.room = decode, int(megabytes * 2**20)
        self.held: OrderedDict[tuple[bytes, str, int, int], np.ndarray] = OrderedDict()

    def __call__(self, data: bytes, mode: str, longest: int, shortest: int) -> np.ndarray:
        if not self.room:
            return self.decode(data, mode, longest, shortest)
        key = (hashlib.blake2b(data, digest_size=16).digest(), mode, longest, shortest)
        found = self.held.get(key)
        if found is not None:
            self.held.move_to_end(key)
            return found
        image = self.decode(data, mode, longest, shortest)
        self.held[key] = image
        self.room -= image.nbytes
        while self.room < 0 and self.held:
            self.room += self.held.popitem(last=False)[1].nbytes
        return image


@dataclass(frozen=True)
class Eye:
    """How the images of a sample are looked at. All of it is a function of seed, epoch and the sample's id.

    upscale: see ``schema.Upscale``; the paper names it without numbers, the triangle is that of Hugging Face's training
    code.
    """

    decode: Decoder
    seed: int = 0
    upscale: Upscale = field(default_factory=Upscale)

    def whole(
        self, data: bytes, mode: str, longest: int, shortest: int, sample: str = "", epoch: int = 0, number: int = 0
    ) -> np.ndarray:
        """One image at the size a model sees it. number: of the image in its sample."""
        plain = self.decode(data, mode, longest, shortest)
        if mode != "native" or not self.upscale.chance:
            return plain
        coin = random.Random(f"{self.seed} {epoch} {sample} {number}")
        if coin.random() >= self.upscale.chance:
            return plain
        factor = coin.triangular(1.5, self.upscale.most, self.upscale.most)
        size = min(round(min(plain.shape[:2]) * factor), longest)
        return self.decode(data, mode, longest, max(shortest, size))

    def views(
        self, data: bytes, mode: str, longest: int, shortest: int, sample: str = "", epoch: int = 0, number: int = 0
    ) -> list[np.ndarray]:
        """Four equal crops, row by row, then the whole, each scaled as an image of its own (the paper, section 3.4,
        splits before it
        scales; so does transformers). The crops are taken of the image as it is stored."""
        stored = self.decode(data, "native", 1 << 16, 1)
        height, width = (max(side, 2) for side in stored.shape[:2])
        stored = np.pad(stored, ((0, height - stored.shape[0]), (0, width - stored.shape[1]), (0, 0)), mode="edge")
        rows, columns = (
            (slice(0, height // 2), slice(height // 2, height)),
            (slice(0, width // 2), slice(width // 2, width)),
        )
        crops = [scaled(stored[row, column], mode, longest, shortest) for row in rows for column in columns]
        return [*crops, self.whole(data, mode, longest, shortest, sample, epoch, number)]


def scaled(image: np.ndarray, mode: str, longest: int, shortest: int) -> np.ndarray:
    size = size_for(image.shape[1], image.shape[0], mode, longest, shortest)
    return (
        image
        if size == image.shape[1::-1]
        else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    )


def to_pixels(images: Sequence[np.ndarray], patch: int) -> Pixels:
    """Images uint8 [height, width, 3] to one tensor, mean and deviation 0.5 (Idefics2's and SigLIP's).

    Each is widened to whole patches by repeating its edge (at most patch - 1 pixels): Idefics2 in transformers drops a
    patch that is not wholly covered by the mask. Padding to the common size is 0 and masked; a real pixel is never
    exactly 0, since 127.5 is not a byte, so no real image is taken for a padding image.
    """
    whole = [np.pad(i, ((0, -i.shape[0] % patch), (0, -i.shape[1] % patch), (0, 0)), mode="edge") for i in images]
    height, width = max(i.shape[0] for i in whole), max(i.shape[1] for i in whole)
    values = np.zeros((len(whole), height, width, 3), dtype=np.float32)
    mask = np.zeros((len(whole), height, width), dtype=bool)
    for slot, shown, image in zip(values, mask, whole, strict=True):
        h, w = image.shape[:2]
        slot[:h, :w] = image.astype(np.float32) / 127.5 - 1.0
        shown[:h, :w] = True
    return Pixels(torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()[None], torch.from_numpy(mask)[None])


def dummy_pixels(patch: int) -> Pixels:
    """An image of one patch for a batch without any, so that every rank runs the vision tower (FSDP's collectives must
    match).

    White: transformers takes an image that is all zeros for padding, drops it and then fails on zero images.
    """
    return to_pixels([np.full((patch, patch, 3), 255, dtype=np.uint8)], patch)
