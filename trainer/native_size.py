"""Idefics2's image processor of transformers, with the sizes that images have in training.

This file is copied to the folder of an exported model and imports nothing of this project. transformers runs it if
``trust_remote_code=True`` is given to ``AutoProcessor.from_pretrained``, else it takes its own class, which makes an
image whose shorter side is below the minimum square.
"""

from typing import Any

from transformers.image_utils import SizeDict
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil


class NativeSizeImageProcessor(Idefics2ImageProcessorPil):  # type: ignore[misc]
    """Keeps the aspect ratio of every image; both sides are multiples of `patch_size`, as in training."""

    patch_size = 14

    def resize(self, image: Any, size: Any, resample: Any = None, **kwargs: Any) -> Any:
        """The image, [channels, height, width], at ``shards.image.size_for``'s size for the mode ``native``."""
        height, width = image.shape[-2:]
        scale = max(1.0, size.shortest_edge / min(height, width))
        scale = min(scale, size.longest_edge / max(height, width))
        sides = (max(round(side * scale) // self.patch_size, 1) * self.patch_size for side in (height, width))
        new = dict(zip(("height", "width"), sides, strict=True))
        return super().resize(image, SizeDict(**new), resample, **kwargs)
