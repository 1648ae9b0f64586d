"""What the pixels of an image say: entropy, sharpness, and how much of it is one tone. And relevance, from similarities that a model gave."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from manifests.at import At, anywhere

Output = tuple[str, pa.RecordBatch | bytes]

SIDE = 512  # pixels of the longer side: larger images are scaled down first, so that sharpness is measured at one scale
TONE = 8  # grey levels of 256 around the median that count as one tone

SCORES = pa.schema([("entropy", pa.float32()), ("blur", pa.float32()), ("solid", pa.float32())])


@dataclass(frozen=True)
class PixelScores:
    """Map: a batch with the column ``image`` (encoded bytes) -> ("scores", SCORES), one row an image; null where it cannot be decoded.

    ``entropy``: Shannon's, of the grey levels, in bits (0 to 8). ``blur``: variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of
    the grey levels (0 to 255), low for blurred images. ``solid``: share of pixels within eight grey levels of the median.
    """

    def __call__(self, batch: pa.RecordBatch, at: At = anywhere) -> Iterator[Output]:
        rows = []
        for row, data in enumerate(batch["image"].to_pylist()):
            grey = decoded(data, "L", SIDE) if data is not None and at(row) else None
            rows.append({} if grey is None else measured(grey))
        yield "scores", pa.RecordBatch.from_pylist(rows, schema=SCORES)


def measured(grey: NDArray[np.uint8]) -> dict[str, float]:
    """The scores of grey levels, height x width."""
    share = np.bincount(grey.ravel(), minlength=256) / max(grey.size, 1)
    some = share[share > 0]
    g = grey.astype(np.float32)
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    return {
        "entropy": float(-(some * np.log2(some)).sum()),
        "blur": float(laplacian.var()) if laplacian.size else 0.0,
        "solid": float((np.abs(g - np.median(g)) <= TONE).mean()),
    }


def decoded(data: bytes, mode: str, side: int) -> NDArray[np.uint8] | None:
    """Pixels in a Pillow mode, scaled down until the longer side is at most ``side``; None where Pillow cannot read them."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft(mode, (side, side))  # JPEG: decodes at a fraction of its size
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            plain = image.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's ways to say that this is no image
        return None
    plain.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(plain)


def ranks(own: NDArray, negatives: NDArray) -> NDArray[np.int64]:
    """Rank of each image's similarity to its own text among those to texts of other documents: 0 where its own is nearest.

    ``own``: n similarities; ``negatives``: n x k. A tie counts against it. mOSCAR (arXiv 2406.08707) keeps ranks below 8 of 63 negatives:
    a rank needs no threshold that would have to be found anew for each model and language.
    """
    found: NDArray[np.int64] = (np.asarray(negatives) >= np.asarray(own)[:, None]).sum(axis=1, dtype=np.int64)
    return found
