import io

import imagehash
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.fetch.image import look, perceptual_hash
from tests.pipelines.crawl.server import bomb, picture

CAP = 100e6


def bits(a: int | None, b: int | None) -> int:
    assert a is not None
    assert b is not None
    return (a ^ b).bit_count()


@pytest.mark.parametrize(
    ("fmt", "kind", "options"),
    [
        ("JPEG", "jpeg", {}),
        ("JPEG", "jpeg", {"progressive": True}),
        ("JPEG", "jpeg", {"mode": "CMYK"}),
        ("JPEG", "jpeg", {"mode": "L"}),
        ("PNG", "png", {}),
        ("PNG", "png", {"mode": "RGBA"}),
        ("PNG", "png", {"mode": "P"}),
        ("PNG", "png", {"mode": "1"}),
        ("PNG", "png", {"mode": "LA"}),
        ("WEBP", "webp", {}),
        ("WEBP", "webp", {"lossless": True}),
        ("GIF", "gif", {}),
        ("BMP", "bmp", {}),
        ("TIFF", "tiff", {}),
        ("AVIF", "avif", {}),
        ("JPEG2000", "jpeg2000", {}),
    ],
)
def test_each_format_is_read(fmt: str, kind: str, options: dict[str, object]) -> None:
    result = look(picture(fmt, **options), CAP)  # type: ignore[arg-type]
    assert (result.status, result.format, result.width, result.height, result.frames) == ("ok", kind, 96, 64, 1)
    if options.get("mode") != "1":  # the dithered picture has another hash
        assert bits(result.phash, look(picture("PNG"), CAP).phash) <= 10


def test_sixteen_bits_are_not_clipped() -> None:
    small = np.asarray(Image.open(io.BytesIO(picture("PNG"))).convert("L"), dtype=np.uint16)
    out = io.BytesIO()
    Image.fromarray(small * 257).save(out, "PNG")
    assert bits(look(out.getvalue(), CAP).phash, look(picture("PNG"), CAP).phash) <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_hash_are_those_of_the_turned_picture(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(picture("PNG")))
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(out.getvalue())))
    upright = io.BytesIO()
    turned.save(upright, "PNG")
    result, expected = look(out.getvalue(), CAP), look(upright.getvalue(), CAP)
    assert (result.width, result.height) == turned.size == (expected.width, expected.height)
    assert bits(result.phash, expected.phash) <= 6


def test_animation_counts_frames() -> None:
    frames = [Image.open(io.BytesIO(picture("PNG", seed=i))) for i in range(3)]
    for fmt in ("GIF", "WEBP", "PNG"):
        out = io.BytesIO()
        frames[0].save(out, fmt, save_all=True, append_images=frames[1:])
        assert look(out.getvalue(), CAP).frames == 3, fmt


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_data_is_detected(fmt: str, share: float) -> None:
    body = picture(fmt, (640, 480))
    status = look(body[: int(len(body) * share)], CAP).status
    assert status in (("truncated",) if fmt in ("JPEG", "PNG", "WEBP") else ("truncated", "undecodable"))


def test_a_truncated_jpeg_is_detected_at_reduced_scale() -> None:
    for options in ({"progressive": True}, {}):
        body = picture("JPEG", (2000, 1500), **options)
        assert look(body, CAP).status == "ok"
        assert look(body[: int(len(body) * 0.8)], CAP).status == "truncated"


def test_a_jpeg_without_its_end_marker_is_truncated() -> None:
    assert look(picture()[:-2], CAP).status == "truncated"


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>no</body></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0 EPSF",
        b"x",
        b"\0" * 100,
    ],
)
def test_data_that_is_not_a_raster_image(body: bytes) -> None:
    assert look(body, CAP).status == "not_image"


def test_broken_images_are_undecodable() -> None:
    body = bytearray(picture("PNG", (64, 64)))
    body[20] ^= 0xFF  # another width, so that the checksum of the header is wrong
    assert look(bytes(body), CAP).status == "undecodable"
    assert look(b"\xff\xd8\xff\xff\xd9", CAP).status == "undecodable"


def test_pixels_are_counted_before_decoding() -> None:
    assert look(bomb(), CAP).status == "too_many_pixels"
    assert look(bomb(10_100), CAP).status == "too_many_pixels"
    result = look(picture("PNG", (64, 64)), 64 * 64 - 1)
    assert (result.status, result.width, result.height) == ("too_many_pixels", 64, 64)
    assert look(picture("PNG", (64, 64)), 64 * 64).status == "ok"


@pytest.mark.parametrize("seed", range(8))
def test_the_hash_equals_imagehash(seed: int) -> None:
    image = Image.open(io.BytesIO(picture("PNG", (320, 200), seed)))
    gray = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    assert f"{perceptual_hash(gray):016x}" == str(imagehash.phash(image))


def test_the_hash_is_close_for_copies_and_far_for_other_pictures() -> None:
    a = look(picture("PNG", (640, 480), 1), CAP).phash
    assert bits(a, look(picture("JPEG", (320, 240), 1, quality=40), CAP).phash) <= 8
    assert bits(a, look(picture("PNG", (640, 480), 2), CAP).phash) > 12


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=20),
)
def test_no_bytes_raise_an_error(fmt: str, edits: list[tuple[int, int]]) -> None:
    body = bytearray(picture(fmt, (40, 30)))
    for place, value in edits:
        body[place % len(body)] = value
    assert look(bytes(body), CAP).status in {"ok", "truncated", "not_image", "too_many_pixels", "undecodable"}
