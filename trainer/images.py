"""Images as input of the vision tower: floats in about [-1, 1], padded to one size, with a mask of the real pixels."""

import hashlib
import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image

from shards.image import size_for
from trainer.schema import Upscale

Size = tuple[str, int, int]  # mode, longest and shortest side: see ``shards.image.size_for``


class Decoder(Protocol):
    """``shards.image.decode``: bytes of an image -> uint8 [height, width, 3]."""

    def __call__(self, data: bytes, mode: str, longest: int, shortest: int, *, multiple: int = 1) -> np.ndarray: ...


class Pixels(NamedTuple):
    """values: float32 [1, images, 3, height, width]; mask: bool [1, images, height, width], True on real pixels.

    The first axis is 1 for any number of rows: Idefics2 flattens images in row order, so rows need no padding images.
    """

    values: torch.Tensor
    mask: torch.Tensor


class Cache:
    """Decoded images by the hash of their bytes; the least recently used is dropped first."""

    def __init__(self, decode: Decoder, megabytes: float) -> None:
        self.decode, self.free = decode, int(megabytes * 2**20)
        self.images: OrderedDict[tuple[bytes, str, int, int, int], np.ndarray] = OrderedDict()

    def __call__(self, data: bytes, mode: str, longest: int, shortest: int, *, multiple: int = 1) -> np.ndarray:
        key = (hashlib.blake2b(data, digest_size=16).digest(), mode, longest, shortest, multiple)
        if key in self.images:
            self.images.move_to_end(key)
            return self.images[key]
        image = self.images[key] = self.decode(data, mode, longest, shortest, multiple=multiple)
        self.free -= image.nbytes
        while self.free < 0 and self.images:
            self.free += self.images.popitem(last=False)[1].nbytes
        return image


@dataclass(frozen=True)
class ImageReader:
    """Decodes and augments the images of a sample. The result depends only on the seed, the epoch and the sample's key.

    patch: of the vision tower, pixels; the sides of images are multiples of it, see ``shards.image.size_for``.
    upscale: see ``schema.Upscale``. The paper gives no numbers; the distribution is Hugging Face's training code's.
    """

    decode: Decoder
    patch: int = 14
    seed: int = 0
    upscale: Upscale = field(default_factory=Upscale)

    def plain(self, data: bytes, mode: str, longest: int, shortest: int) -> np.ndarray:
        """One image at the size for the model, never enlarged at random."""
        return self.decode(data, mode, longest, shortest, multiple=self.patch)

    def image(self, data: bytes, size: Size, sample: str = "", epoch: int = 0, number: int = 0) -> np.ndarray:
        """One image at the size for the model, uint8 [height, width, 3]. number: of the image in its sample."""
        mode, longest, shortest = size
        plain = self.plain(data, *size)
        if mode != "native" or not self.upscale.chance:
            return plain
        rng = random.Random(f"{self.seed} {epoch} {sample} {number}")
        if rng.random() >= self.upscale.chance:
            return plain
        factor = rng.triangular(1.5, self.upscale.most, self.upscale.most)
        enlarged = min(round(min(plain.shape[:2]) * factor), longest)
        return self.plain(data, mode, longest, max(shortest, enlarged))

    def views(self, data: bytes, size: Size, sample: str = "", epoch: int = 0, number: int = 0) -> list[np.ndarray]:
        """Four equal crops, row by row, then the full image, each scaled as an image of its own.

        The crops are made before scaling, from the stored image (the paper, section 3.4; transformers does the same).
        """
        stored = self.decode(data, "native", 1 << 16, 1)
        height, width = (max(side, 2) for side in stored.shape[:2])
        stored = np.pad(stored, ((0, height - stored.shape[0]), (0, width - stored.shape[1]), (0, 0)), mode="edge")
        rows = slice(0, height // 2), slice(height // 2, height)
        columns = slice(0, width // 2), slice(width // 2, width)
        crops = [scaled(stored[row, column], *size, self.patch) for row in rows for column in columns]
        return [*crops, self.image(data, size, sample, epoch, number)]


def scaled(image: np.ndarray, mode: str, longest: int, shortest: int, multiple: int) -> np.ndarray:
    """The image at the size that ``shards.image.decode`` would give it."""
    size = size_for(image.shape[1], image.shape[0], mode, longest, shortest, multiple)
    if size == image.shape[1::-1]:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def to_pixels(images: Sequence[np.ndarray], patch: int) -> Pixels:
    """Images, uint8 [height, width, 3] each, as one tensor with mean and deviation 0.5 (Idefics2's and SigLIP's).

    Each image is extended to full patches by repeating its edge (at most patch - 1 pixels), because Idefics2 in
    transformers drops a patch that the mask covers only in part. Padding is 0 and masked. A real pixel is never exactly
    0, because 127.5 is not a byte, so no real image is mistaken for padding.
    """
    images = [np.pad(i, ((0, -i.shape[0] % patch), (0, -i.shape[1] % patch), (0, 0)), mode="edge") for i in images]
    height, width = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    values = np.zeros((len(images), height, width, 3), dtype=np.float32)
    mask = np.zeros((len(images), height, width), dtype=bool)
    for slot, real, image in zip(values, mask, images, strict=True):
        h, w = image.shape[:2]
        slot[:h, :w] = image.astype(np.float32) / 127.5 - 1.0
        real[:h, :w] = True
    return Pixels(torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()[None], torch.from_numpy(mask)[None])


def dummy_pixels(patch: int) -> Pixels:
    """A white image of one patch for a batch without images, so that every rank runs the vision tower.

    FSDP's collectives must match between ranks. The image is white because transformers takes an image of zeros for
    padding, drops it, and then fails on zero images.
    """
    return to_pixels([np.full((patch, patch, 3), 255, dtype=np.uint8)], patch)
