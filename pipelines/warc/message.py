"""HTTP messages as archives store them: header blocks, and bodies with their codings undone up to a size."""

import re
from collections.abc import Mapping

from pipelines.fetch.message import CodingError, decode, header_fields

#: bytes of a payload, as stored and decoded, that are read
MAX_PAYLOAD = 64 << 20

_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


def parse_headers(block: bytes) -> tuple[str, dict[str, str]]:
    """The first line of a header block, and its fields: names in lower case, repeated fields joined by ", "."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    first, _, rest = text.partition("\n")
    fields: dict[str, str] = {}
    for name, value in header_fields(rest):
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return first.strip(), fields


def decode_payload(payload: bytes, headers: Mapping[str, str]) -> bytes | None:
    """The payload without its transfer coding and its content codings; None where not even its start can be decoded.

    Archives often keep the header of a coding that they have undone: data that does not look encoded is left as it is.
    Where the data is damaged or ends too early, what comes before that point is kept.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        payload = _unchunk(payload)
    for coding in reversed([c.strip().lower() for c in headers.get("content-encoding", "").split(",")]):
        if not _looks_encoded(coding, payload):
            continue
        decoded, failed = bytearray(), False
        try:
            for piece in decode(coding, [payload]):
                decoded += piece
                if len(decoded) >= MAX_PAYLOAD:
                    break
        except (CodingError, EOFError):
            failed = True
        if failed and not decoded:
            return None
        payload = bytes(decoded[:MAX_PAYLOAD])
    return payload


def _looks_encoded(coding: str, payload: bytes) -> bool:
    start = payload[:64].lstrip().lower()
    if coding in ("gzip", "x-gzip"):
        return payload.startswith(b"\x1f\x8b")
    if coding == "deflate":
        return payload.startswith((b"\x1f\x8b", b"\x78")) or start[:1] not in b"<{%"
    return coding in ("br", "zstd") and not start.startswith((b"<", b"%pdf"))


def _unchunk(data: bytes) -> bytes:
    """The data without its chunk framing (RFC 9112 7.1); from the first wrong chunk size on, the data as it is."""
    out: list[bytes] = []
    place = 0
    while place < len(data):
        end = data.find(b"\n", place, place + 1024)
        digits = data[place : max(end, place)].split(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(digits):
            return b"".join([*out, data[place:]])
        size = int(digits, 16)
        if size == 0:
            break
        place = end + 1 + size
        out.append(data[end + 1 : place])
        place += 2 if data[place : place + 2] == b"\r\n" else data[place : place + 1] == b"\n"
    return b"".join(out)
