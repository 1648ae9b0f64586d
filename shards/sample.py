"""A sample as a model reads it: the JSON and the images of one document, pair or page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shards import tar
from shards.fields import SLOTTED
from shards.layout import PARAGRAPH

Part = str | int
#: the field a model reads, where a sample is one image and its text
TEXT_OF = {"pairs": "caption", "ocr": "text"}


class SampleError(ValueError):
    """Bytes that are an archive member but not the sample the index promises; the message names the file and the place."""


@dataclass(slots=True)
class Sample:
    key: str
    config: str
    json: dict[str, Any]
    images: list[bytes]
    #: (which piece, of how many) where the sample was longer than its sequence; the texts and images are the piece's
    piece: tuple[int, int] | None = None
    #: `images` decoded, (height, width, 3) uint8 each, where the loader was asked for it
    pixels: list[np.ndarray] | None = field(default=None, compare=False)
    #: of its source, and images to show for each image: more than 1 where the mixture splits this sample's in this
    #: epoch
    epoch: int = 0
    views: int = 1

    def parts(self) -> list[Part]:
        """Texts, and numbers of images in `images`, in the document's order. A break is the text
        `shards.tokens.END_OF_TOPIC`.
        """
        if self.config not in SLOTTED:
            return [0, self.json[TEXT_OF[self.config]]]
        out: list[Part] = []
        number = 0
        for text in self.json["texts"]:
            out.append(number if text is None else text)
            number += text is None
        return out

    def with_parts(self, parts: list[Part], piece: tuple[int, int]) -> Sample:
        """The sample with some of its parts only (images by their numbers, which are given anew)."""
        numbers = [part for part in parts if isinstance(part, int)]
        images = [self.images[number] for number in numbers]
        if self.config not in SLOTTED:
            text = PARAGRAPH.join(part for part in parts if isinstance(part, str))
            return Sample(self.key, self.config, {**self.json, TEXT_OF[self.config]: text}, images, piece)
        names = iter(f"{i}.jpg" for i in range(len(numbers)))
        fields = {
            **self.json,
            "texts": [part if isinstance(part, str) else None for part in parts],
            "images": [None if isinstance(part, str) else next(names) for part in parts],
            "image_meta": [self.json["image_meta"][number] for number in numbers],
            "n_images": len(numbers),
        }
        return Sample(self.key, self.config, fields, images, piece)


def parse(config: str, buffer: bytes, n_images: int, where: str) -> Sample:
    """The sample whose members `buffer` holds. n_images: as the index says. Raises TarError, SampleError."""
    key, parts = tar.parse(buffer, where)
    names = [f"{i}.jpg" for i in range(n_images)] if config in SLOTTED else ["jpg"] * n_images
    try:
        fields: dict[str, Any] = json.loads(parts["json"])
        sample = Sample(key, config, fields, [parts[name] for name in names])
        named = _images(config, fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SampleError(f"{where}: sample {key} is damaged ({type(error).__name__}: {error})") from error
    if named != names:
        raise SampleError(f"{where}: sample {key} has {len(named)} images, the index says {n_images}")
    return sample


def _images(config: str, fields: Mapping[str, Any]) -> list[str]:
    return (
        [name for name in fields["images"] if name is not None] if config in SLOTTED else ["jpg"] * fields["n_images"]
    )
