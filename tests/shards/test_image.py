from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards import jpeg
from shards.fit import fit
from shards.image import ImageError, decode
from tests.shards import made

PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "realweb" / "photos"
GOOD = [made.picture(3, 40, 30), *(made.picture(3, 40, 30, format) for format in ("PNG", "WEBP", "GIF"))]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=5),
    st.integers(0, 4000),
)
def test_damaged_images_give_an_image_error_or_an_image(good: bytes, damage: list[tuple[int, int]], end: int) -> None:
    data = bytearray(good)
    for at, value in damage:
        data[at % len(data)] = value
    broken = bytes(data[: end if end < len(data) else None])
    with suppress(ImageError):
        fitted = fit(broken, 20)
        assert max(fitted.width, fitted.height) <= 20
    with suppress(ImageError):
        assert decode(broken, "square", 16, 16).shape == (16, 16, 3)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xd8\xff\xe0", made.picture(1, format="PNG")[:60]])
def test_bytes_of_another_format_are_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        fit(data, 20)


@pytest.mark.real
def test_real_photos_fit_and_decode() -> None:
    if not PHOTOS.is_dir():
        pytest.skip("needs the photos of ../shared/realweb")
    for path in sorted(PHOTOS.iterdir()):
        data = path.read_bytes()
        fitted = fit(data, 980)
        assert max(fitted.width, fitted.height) == min(max(fitted.original), 980)
        assert (fitted.data == jpeg.bare(data)) == (max(fitted.original) <= 980), path.name
        assert 378 <= max(decode(fitted.data, "native", 384, 378).shape) <= 384
