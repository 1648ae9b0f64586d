"""The charset of a page, by the rules of browsers."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.html.charset import codec, to_utf8

GERMAN = "<p>Über größere Äpfel, schöne Straße</p>"


@pytest.mark.parametrize(
    ("html", "header", "text"),
    [
        (GERMAN.encode(), None, GERMAN),
        (GERMAN.encode("latin-1"), "text/html; charset=ISO-8859-1", GERMAN),
        # the byte-order mark has priority over the header
        (codecs.BOM_UTF8 + GERMAN.encode(), "text/html; charset=latin1", GERMAN),
        (codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"), None, GERMAN),
        (codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), None, GERMAN),
        (b'<meta charset="windows-1251">' + "Привет".encode("cp1251"), None, "Привет"),
        (
            b'<meta http-equiv=content-type content="text/html; charset=koi8-r">' + "Привет".encode("koi8-r"),
            None,
            "Привет",
        ),
        # the header has priority over the meta element
        (b'<meta charset="windows-1251">' + "Привет".encode("koi8-r"), "text/html; charset=koi8-r", "Привет"),
        (b'<!-- <meta charset="koi8-r"> --><meta charset=shift_jis>' + "日本語①".encode("cp932"), None, "日本語①"),
        (b'<?xml version="1.0" encoding="iso-8859-15"?>' + "10 €".encode("iso-8859-15"), None, "10 €"),
        (GERMAN.encode("cp1252"), None, GERMAN),  # nothing is declared: the bytes decide
        # ISO-8859-1 means windows-1252
        ("<p>“smart”</p>".encode("cp1252"), "text/html; charset=iso-8859-1", "“smart”"),
        # a declaration that can be read as ASCII is not UTF-16
        (b'<meta charset="utf-16">' + GERMAN.encode(), None, GERMAN),
        (b'<meta charset="nonsense">' + GERMAN.encode(), None, GERMAN),
        (b'<meta charset="utf-8">' + GERMAN.encode("cp1252") * 3, None, GERMAN),  # the declared UTF-8 is wrong
    ],
)
def test_a_page_is_decoded_by_its_charset(html: bytes, header: str | None, text: str) -> None:
    assert text in to_utf8(html, header).decode()


def test_a_wrong_byte_in_utf8_does_not_change_the_charset() -> None:
    html = b'<meta charset="utf-8">' + GERMAN.encode() * 50 + b"\xff" + GERMAN.encode()
    assert to_utf8(html) == html


def test_labels_have_the_codecs_of_browsers() -> None:
    assert [codec(label) for label in ("UTF8", "latin1", "gb2312", "x-sjis", "no such")] == [
        "utf-8",
        "cp1252",
        "gb18030",
        "cp932",
        None,
    ]


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "text/html", "text/html; charset=utf-8", "text/html; charset=gbk", "charset=;"]),
)
def test_any_bytes_and_header_give_bytes(html: bytes, header: str | None) -> None:
    assert isinstance(to_utf8(html, header), bytes)
