"""A sample as a model reads it: the JSON and the images of one document."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from shards import tar
from shards.layout import LAYOUTS, PARAGRAPH

Part = str | int


class SampleError(ValueError):
    """Bytes that are an archive member but not the sample that the index promises; the message names file and place."""


@dataclass(slots=True)
class Sample:
    key: str
    source: str  #: the user's name of the source
    layout: str  #: a row of shards.layout.LAYOUTS
    json: dict[str, Any]
    images: list[bytes]
    #: (number of the piece, number of pieces) of a sample longer than its sequence; texts and images are the piece's
    piece: tuple[int, int] | None = None
    #: `images` decoded, uint8 (height, width, 3) each, if the loader was asked for it
    pixels: list[np.ndarray] | None = field(default=None, compare=False)
    epoch: int = 0  #: of its source
    views: int = 1  #: images to show for each image: more than 1 if the mixture splits them in this epoch

    def parts(self) -> list[Part]:
        """Texts, and numbers of images in `images`, in reading order; a break is `shards.tokens.END_OF_TOPIC`."""
        if text := LAYOUTS[self.layout].text:
            return [0, self.json[text]]
        numbers = count()
        return [next(numbers) if slot is None else slot for slot in self.json["texts"]]

    def with_parts(self, parts: list[Part], piece: tuple[int, int]) -> Sample:
        """The sample with only some of its parts. The images, named by their numbers, get new numbers."""
        numbers = [part for part in parts if isinstance(part, int)]
        images = [self.images[number] for number in numbers]
        if text := LAYOUTS[self.layout].text:
            fields = {**self.json, text: PARAGRAPH.join(part for part in parts if isinstance(part, str))}
        else:
            names = iter(f"{i}.jpg" for i in range(len(numbers)))
            fields = {
                **self.json,
                "texts": [part if isinstance(part, str) else None for part in parts],
                "images": [None if isinstance(part, str) else next(names) for part in parts],
                "image_meta": [self.json["image_meta"][number] for number in numbers],
                "n_images": len(numbers),
            }
        return Sample(self.key, self.source, self.layout, fields, images, piece)


def parse(source: str, layout: str, buffer: bytes, n_images: int, where: str) -> Sample:
    """The sample whose members `buffer` holds. n_images: as the index says. Raises TarError, SampleError."""
    key, members = tar.parse(buffer, where)
    slots = LAYOUTS[layout].slots
    names = [f"{i}.jpg" for i in range(n_images)] if slots else ["jpg"] * n_images
    try:
        fields: dict[str, Any] = json.loads(members["json"])
        sample = Sample(key, source, layout, fields, [members[name] for name in names])
        listed = [name for name in fields["images"] if name is not None] if slots else ["jpg"] * fields["n_images"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SampleError(f"{where}: sample {key} is damaged ({type(error).__name__}: {error})") from error
    if listed != names:
        raise SampleError(f"{where}: sample {key} has {len(listed)} images, the index says {n_images}")
    return sample
