"""Captions: which texts beside an image describe the image."""

import pytest

from manifests.nodes import image_node
from pipelines.html.captions import clean, is_credit, says_nothing
from pipelines.html.pairs import Pairs
from tests.pipelines.html.pages import images


@pytest.mark.parametrize(
    "text",
    [
        "IMG_1234",
        "DSC_0508",
        "55500023",
        "IMG 1186 2",
        "P2292769.jpg",
        "https://c.net/x.jpg",
        "www.site.org",
        "boat-at-dawn-01",
        "my_boat",
        "image",
        "Image 12",
        "Image for post",
        "Bild",
        "Imagen",
        "Titelbild",
        "Big web 140x140px",
        "Screenshot",
        "изображение",
        "May be an image of 2 people",
        "No photo description available.",
        "Puede ser una imagen de 16 personas",
        "Avatar von Chatfix",
        "Media playback is unsupported on your device",
    ],
)
def test_a_line_that_does_not_describe_an_image_is_not_a_caption(text: str) -> None:
    assert says_nothing(text)
    assert Pairs().text_of(image_node("http://c.net/a.jpg", alt=text).row()) is None


@pytest.mark.parametrize(
    "text",
    [
        "(Image credit: Somebody)",
        "Foto: dpa",
        "© Erzbistum Köln/Jelen",
        "Photo by Ann Onymous",
        "Bild: Stefan Müller",
        "Getty Images",
        "AP Photo/A. Diaz",
        "(c) TV Thermen | M. K.",
        "Crédits photos : Bestimage",
        "Photograph: T. Robberts/Getty Images",
        "Quelle: Kauer/DJV",
        "Image copyright Getty Images",
    ],
)
def test_credits_are_not_captions(text: str) -> None:
    assert is_credit(text)
    assert (
        Pairs().text_of(image_node("http://c.net/a.jpg", caption=text, alt="Two boats at dawn").row())
        == "Two boats at dawn"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Two boats at dawn",
        "Boot im Hafen",
        "Photo of a boat in the harbour",
        "Bild: Eine Drohne näherte sich einem Schiff",
        "2011小巨蛋演唱会",
        "Kal Penn",
        "The 1931 regatta",
        "Picture: the old pier where boats were once built",
        "Viaduct",
        "A boat. Photo: Ann Onymous",
        "Sourdough bread",
        "Fotografin im Boot",
        "Image of the year: a flood in the valley",
        "Reuters building in London at night",
    ],
)
def test_descriptions_are_captions(text: str) -> None:
    assert not says_nothing(text)
    assert not is_credit(text)


def test_markup_and_entities_in_attributes_are_removed() -> None:
    assert clean("Meghan&#39;s  &amp; <b>Harry</b>") == "Meghan's & Harry"
    assert clean("1 < 2 & 3") == "1 < 2 & 3"
    assert clean(" <br> ") is None
    (node,) = images("<img src=a.jpg alt='Tom &amp;amp; &lt;i&gt;Ann&lt;/i&gt;' title='&amp;quot;Boats&amp;quot;'>")
    assert (node.alt, node.title) == ("Tom & Ann", '"Boats"')
