"""Scores from the pixels of an image."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from filters.pixels import PixelScores, decoded
from filters.scores import IMAGE_PIXELS
from manifests.stage import DirectContext


def encoded(pixels: Any, format_: str = "PNG") -> bytes:
    out = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, format_, quality=90)
    return out.getvalue()


def images(*data: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(data, pa.binary())], names=["image"])


NOISE = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
FLAT = np.full((64, 64, 3), 200, np.uint8)
HALF = np.concatenate([np.zeros((50, 100), np.uint8), np.full((50, 100), 255, np.uint8)])


def test_scores_equal_those_by_hand() -> None:
    clear = Image.fromarray(np.zeros((10, 10, 4), np.uint8))
    batch = images(encoded(FLAT), encoded(HALF), encoded(clear), b"no image", None, encoded(FLAT))
    ((table, scores),) = PixelScores()(batch, DirectContext(skip=frozenset({(5, 0)})))
    assert table == "scores"
    assert scores.schema.names == list(IMAGE_PIXELS)
    flat, half, transparent, *missing = scores.to_pylist()
    assert flat == {"entropy": 0, "blur": 0, "solid": 1, "qr": 0}
    assert (half["entropy"], half["solid"]) == (1, 0)  # the median lies between the two tones
    assert transparent == {"entropy": 0, "blur": 0, "solid": 1, "qr": 0}
    assert missing == [dict.fromkeys(IMAGE_PIXELS)] * 3


def test_a_blurred_photo_is_less_sharp_at_any_size() -> None:
    big = Image.fromarray(NOISE).resize((1200, 800), Image.Resampling.BICUBIC)
    ((_, scores),) = PixelScores()(
        images(encoded(big, "JPEG"), encoded(big.filter(ImageFilter.GaussianBlur(12)), "JPEG"), encoded(NOISE))
    )
    sharp, blurred, noise = scores.to_pylist()
    assert blurred["blur"] < sharp["blur"] / 4
    assert noise["entropy"] > 7
    assert noise["solid"] < 0.2


def test_truncated_images_and_bombs_have_no_scores() -> None:
    jpeg = encoded(NOISE, "JPEG")
    bomb = encoded(Image.new("1", (20_000, 20_000)))  # 400 million pixels in a few kB
    ((_, scores),) = PixelScores()(images(jpeg[: len(jpeg) // 2], bomb, b"", jpeg[:20]))
    assert scores["entropy"].to_pylist() == [None] * 4


def test_the_qr_score_is_the_share_of_the_code_in_the_image() -> None:
    cv2 = pytest.importorskip("cv2", reason="needs the package opencv-python-headless")
    code = cv2.QRCodeEncoder.create().encode("http://a.example/a-page-with-a-code")
    page = np.full((400, 400), 255, np.uint8)
    page[50 : 50 + code.shape[0] * 5, 60 : 60 + code.shape[0] * 5] = np.kron(code, np.ones((5, 5), np.uint8))
    side = np.ptp(np.flatnonzero((page < 128).any(0))) + 1  # without the white edge
    ((_, scores),) = PixelScores()(images(encoded(page), encoded(NOISE), encoded(page)))
    first, noise, again = scores["qr"].to_pylist()
    assert first == pytest.approx(side**2 / page.size, rel=0.05)
    assert (noise, again) == (0, first)


def test_pixels_are_decoded_as_a_viewer_shows_them() -> None:
    """EXIF's orientation is applied, 16 bits become 8, and data of another format gives None."""
    top = np.zeros((40, 80, 3), np.uint8)
    top[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it right by 90 degrees
    out = io.BytesIO()
    Image.fromarray(top).save(out, "JPEG", exif=exif)
    pixels = decoded(out.getvalue(), "L", 512)
    assert pixels is not None and pixels.shape == (80, 40)
    assert pixels[:, 30:].mean() > 250 > 5 > pixels[:, :10].mean()
    from_16_bits = decoded(encoded(Image.fromarray(np.full((8, 8), 40_000, np.uint16))), "L", 512)
    assert from_16_bits is not None and from_16_bits.tolist() == [[156] * 8] * 8
    assert decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "L", 512) is None
