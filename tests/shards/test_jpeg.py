"""JPEGs without metadata have the same pixels in every decoder. Hostile bytes are refused."""

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shards import jpeg
from shards.fit import fit
from shards.image import ImageError, decode, decoders
from tests.shards import made

PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "realweb" / "photos"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def place() -> bytes:
    """EXIF with the owner of the camera and a location, as a phone writes it."""
    exif = Image.Exif()
    exif[0x013B] = "Jo Doe"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif.tobytes()


def photo(**options: object) -> bytes:
    """A JPEG with every kind of metadata, and another picture after it."""
    plain = made.picture(7, 61, 45, **options)
    metadata = [
        segment(0xE1, place()),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>home</x:xmpmeta>"),
        segment(0xE0, b"JFXX\0\x10" + made.picture(8, 16, 16)),
        segment(0xED, b"Photoshop 3.0\x008BIM byline"),
        segment(0xE2, b"MPF\0II*\0"),
        segment(0xFE, b"a comment"),
    ]
    first = plain.index(b"\xff\xe0")
    at = first + 2 + int.from_bytes(plain[first + 2 : first + 4], "big")
    return plain[:at] + b"".join(metadata) + plain[at:] + made.picture(9, 32, 32, exif=place())


KINDS = [
    {},
    {"progressive": True},
    {"mode": "L"},
    {"quality": 30, "subsampling": 2},
    {"icc_profile": b"a profile" * 40},
]


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")
@pytest.mark.parametrize("options", KINDS)
def test_metadata_is_removed_and_the_pixels_stay_bit_for_bit(options: dict[str, object]) -> None:
    data = photo(**options)
    out = jpeg.bare(data)
    for mark in (b"Exif", b"Jo Doe", b"xmpmeta", b"JFXX", b"8BIM", b"MPF", b"a comment"):
        assert mark in data
        assert mark not in out
    assert data.endswith(made.picture(9, 32, 32, exif=place()))
    assert (b"ICC_PROFILE" in out) == ("icc_profile" in options)
    plain = made.picture(7, 61, 45, **options)
    assert out == plain
    assert jpeg.bare(plain) is plain
    for before, after in zip(pixels_by_decoder(data), pixels_by_decoder(out), strict=True):
        assert np.array_equal(before, after)


def pixels_by_decoder(data: bytes) -> list[np.ndarray]:
    """The pixels by each installed decoder."""
    out = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))]
    with suppress(ImportError):
        import simplejpeg

        out.append(simplejpeg.decode_jpeg(data))
    with suppress(ImportError):
        import cv2

        out.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return out


def test_a_jpeg_that_fits_is_stored_bit_for_bit_but_for_its_metadata() -> None:
    plain = made.picture(3, 60, 40)
    photo = made.picture(3, 60, 40, exif=place(), comment=b"taken at home")
    fitted = fit(photo, 980)
    assert photo != fitted.data == plain == fit(plain, 980).data
    assert fitted.exif == '{"Artist":"Jo Doe"}'


def test_a_picture_that_is_encoded_again_has_no_metadata() -> None:
    out = fit(made.picture(3, 600, 400, exif=place(), comment=b"taken at home"), 100).data
    image = Image.open(io.BytesIO(out))
    assert not image.getexif()
    assert "comment" not in image.info
    gif = io.BytesIO()
    Image.new("P", (40, 40)).save(gif, "GIF", comment=b"a place")
    assert b"a place" not in fit(gif.getvalue(), 980).data


def test_the_thumbnail_of_jfif_is_removed_and_the_colours_of_adobe_stay() -> None:
    plain = made.picture(1)
    at = 4 + int.from_bytes(plain[4:6], "big")
    thumbnail = segment(0xE0, plain[6:18] + b"\x02\x01" + b"\1\2\3\4\5\6")
    assert jpeg.bare(plain[:2] + thumbnail + plain[at:]) == plain
    adobe = plain[:at] + segment(0xEE, b"Adobe\0d\0\0\0\0\1") + plain[at:]
    assert jpeg.bare(adobe) is adobe


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("by", decoders())
def test_every_decoder_turns_a_photo_upright(orientation: int, by: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = made.picture(5, 64, 48, exif=exif, quality=98)
    assert jpeg.frame(data) == (64, 48, 3, orientation)
    expected = np.asarray(Image.open(io.BytesIO(fit(data, 980).data)).convert("RGB"), np.int16)
    pixels = decode(data, "native", 64, 0, by)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 3


@pytest.mark.parametrize("by", decoders())
@pytest.mark.parametrize(
    "picture", [made.picture(1, 400, 300), made.picture(1, 400, 300, mode="L"), made.picture(1, 400, 300, mode="CMYK")]
)
@pytest.mark.parametrize("size", [(400, 0), (320, 0), (150, 0), (40, 0), (800, 500)])
def test_the_decoders_agree(by: str, picture: bytes, size: tuple[int, int]) -> None:
    pixels = decode(picture, "native", *size, by)
    expected = decode(picture, "native", *size, "pillow")
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert pixels.flags.writeable  # torch.from_numpy needs this
    assert np.abs(pixels.astype(np.int16) - expected).mean() < 2
    if size == (400, 0):  # no resizing is needed
        assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("by", decoders())
def test_a_truncated_jpeg_is_an_error_in_every_decoder(by: str) -> None:
    data = made.picture(1, 400, 300)
    with pytest.raises(ImageError, match="truncated"):
        decode(data[: len(data) // 2], "native", 400, 0, by)


def test_the_header_is_read_without_the_pixels() -> None:
    data = made.picture(1, 400, 300)
    assert jpeg.frame(data[: data.index(b"\xff\xda") + 20]) == (400, 300, 3, 1)


def test_a_decoder_that_is_not_installed_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"decoder 'nvjpeg': there are .*pillow"):
        decode(made.picture(1), by="nvjpeg")


GOOD = [photo(), made.picture(2, progressive=True), made.picture(3, mode="L")]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4),
    st.integers(0, 6000),
)
def test_damaged_jpegs_keep_their_pixels_or_are_refused(good: bytes, damage: list[tuple[int, int]], end: int) -> None:
    data = bytearray(good)
    for at, value in damage:
        data[at % len(data)] = value
    broken = bytes(data[: end if end < len(data) else None])
    for read in (jpeg.frame, jpeg.bare):
        with suppress(jpeg.JpegError):
            out = read(broken)
            assert len(out) <= len(broken)
    for by in decoders():
        with suppress(ImageError):
            assert decode(broken, "square", 16, 16, by).shape == (16, 16, 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xda\0\2"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    read: Callable[[bytes], object]
    for read in (jpeg.frame, jpeg.bare):
        with suppress(jpeg.JpegError):
            read(head + data)


@pytest.mark.real
def test_real_photos_keep_their_pixels() -> None:
    if not PHOTOS.is_dir():
        pytest.skip("needs the photos of ../shared/realweb")
    for path in sorted(PHOTOS.iterdir()):
        data = path.read_bytes()
        with suppress(jpeg.JpegError):
            for before, after in zip(pixels_by_decoder(data), pixels_by_decoder(jpeg.bare(data)), strict=True):
                assert np.array_equal(before, after), path.name


@pytest.mark.real
@pytest.mark.parametrize("shrunk", [1.1, 1.3, 1.6, 1.8, 1.95, 2.6, 3.2])
def test_real_photos_made_smaller_are_nearer_to_the_picture_than_by_pillows_draft(shrunk: float) -> None:
    if not PHOTOS.is_dir():
        pytest.skip("needs the photos of ../shared/realweb")
    ours, pillows = [], []
    for path in sorted(PHOTOS.iterdir()):
        image = Image.open(path)
        if (
            image.format != "JPEG"
            or image.mode != "RGB"
            or max(image.size) < 900
            or jpeg.frame(path.read_bytes()).orientation != 1
        ):
            continue
        longest = round(max(image.size) / shrunk)
        pixels = decode(path.read_bytes(), "native", longest, 0, "simplejpeg")
        expected = np.asarray(image.resize(pixels.shape[1::-1], Image.Resampling.LANCZOS), np.float64)
        ours.append(_decibels(pixels, expected))
        pillows.append(_decibels(decode(path.read_bytes(), "native", longest, 0, "pillow"), expected))
    print(f"1/{shrunk}: {np.mean(ours):.1f} dB, Pillow {np.mean(pillows):.1f} dB, {len(ours)} photos")
    assert len(ours) > 30
    assert np.mean(ours) > np.mean(pillows)


def _decibels(pixels: np.ndarray, expected: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((pixels - expected) ** 2)))
