"""A PDF with a password, written by hand: the file identifier that PyMuPDF draws at random would change the bytes.

The standard security handler, revision 2 (40-bit RC4), as PDF 32000-1:2008, 7.6.3, algorithms 1 to 4, describes it.
"""

import hashlib
import textwrap

_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_PERMISSIONS = 0xFFFFFFC0  # nothing allowed, as an unsigned 32-bit number


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    j = 0
    for number, byte in enumerate(data, 1):
        i = number % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def _md5(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).digest()


def locked_pdf(title: str, paragraphs: list[str], user: str, owner: str) -> bytes:
    """One page of Times, which opens with either password. Text beyond the page is left out."""
    padded = [(word.encode("latin-1") + _PAD)[:32] for word in (user, owner)]
    name = _md5(title.encode())
    owner_entry = _rc4(_md5(padded[1])[:5], padded[0])
    key = _md5(padded[0], owner_entry, _PERMISSIONS.to_bytes(4, "little"), name)[:5]
    user_entry = _rc4(key, _PAD)

    lines = [title, "", *(line for p in paragraphs for line in [*textwrap.wrap(p, 88), ""])][:48]
    text = "".join(f"({line.translate({40: None, 41: None, 92: None})}) Tj T*\n" for line in lines)
    plain = f"BT /F1 11 Tf 15 TL 60 780 Td\n{text}ET".encode("latin-1", "replace")
    content = _rc4(_md5(key, (4).to_bytes(3, "little"), b"\0\0")[:10], plain)

    entries = (_PERMISSIONS - (1 << 32), owner_entry.hex().encode(), user_entry.hex().encode())
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman>>",
        b"<</Filter/Standard/V 1/R 2/P %d/O<%s>/U<%s>>>" % entries,
    ]
    out = bytearray(b"%PDF-1.4\n")
    table = b"0000000000 65535 f \n"
    for number, body in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size, ident = len(out), len(objects) + 1, name.hex().encode()
    out += b"xref\n0 %d\n%s" % (size, table)
    out += b"trailer\n<</Size %d/Root 1 0 R/Encrypt 6 0 R/ID[<%s><%s>]>>\n" % (size, ident, ident)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)
