"""HTTP messages as archives keep them: header blocks, and bodies with their encodings undone, within MAX_PAYLOAD."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

#: bytes of a payload, stored or decoded, that are taken
MAX_PAYLOAD = 64 << 20
CHUNK = 1 << 20


def headers(block: bytes) -> tuple[str, dict[str, str]]:
    """First line and fields of a header block; folded lines joined, names in lower case, repeated fields joined by a
    comma.
    """
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    lines = text.split("\n")
    fields: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name:
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return lines[0].strip(), fields


def decoded(payload: bytes, http: Mapping[str, str]) -> bytes | None:
    """Undo chunks and content encodings. Archives often keep the headers of an encoding they have undone: data that is
    not encoded
    as stated is taken as it is. None where it is encoded, and broken from its start."""
    if "chunked" in http.get("transfer-encoding", "").lower():
        payload = _unchunked(payload)
    for coding in reversed([c.strip().lower() for c in http.get("content-encoding", "").split(",")]):
        if coding in ("gzip", "x-gzip", "deflate"):
            if payload[:2] == b"\x1f\x8b":
                out = _inflated(payload, 31)
            elif coding == "deflate" and (payload[:1] == b"\x78" or payload[:64].lstrip()[:1] not in b"<{%"):
                out = _inflated(payload, 15) or _inflated(payload, -15)
            else:
                continue
            if not out and payload:
                return None
            payload = out
        elif coding in ("br", "zstd"):
            if payload[:64].lstrip().lower().startswith((b"<", b"%pdf")):
                continue
            plain = _brotli(payload) if coding == "br" else _zstd(payload)
            if plain is None:
                return None
            payload = plain
    return payload


def _unchunked(data: bytes) -> bytes:
    """RFC 9112 §7.1. Data that is not in chunks, or stops being so, is taken as it is from there on."""
    out: list[bytes] = []
    i = 0
    while i < len(data):
        end = data.find(b"\n", i, i + 1024)
        text = data[i : end if end >= 0 else i].split(b";")[0].strip()
        if not text or not re.fullmatch(rb"[0-9a-fA-F]{1,8}", text):
            return b"".join([*out, data[i:]])
        size = int(text, 16)
        if size == 0:
            break
        out.append(data[end + 1 : end + 1 + size])
        i = end + 1 + size
        i += 2 if data[i : i + 2] == b"\r\n" else data[i : i + 1] == b"\n"
    return b"".join(out)


def _inflated(data: bytes, wbits: int) -> bytes:
    """What inflates of ``data``, to MAX_PAYLOAD: a broken end costs the end."""
    inflate = zlib.decompressobj(wbits)
    out = bytearray()
    try:
        while data and not inflate.eof and len(out) < MAX_PAYLOAD:
            out += inflate.decompress(data, min(CHUNK, MAX_PAYLOAD - len(out)))
            data = inflate.unconsumed_tail
    except zlib.error:
        return bytes(out)
    return bytes(out)


def _brotli(data: bytes) -> bytes | None:
    import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]

    inflate = brotli.Decompressor()
    try:
        out: bytes = inflate.process(data, output_buffer_limit=MAX_PAYLOAD)
        while len(out) < MAX_PAYLOAD and not inflate.is_finished() and not inflate.can_accept_more_data():
            out += inflate.process(b"", output_buffer_limit=MAX_PAYLOAD)
    except brotli.error:
        return None
    return out[:MAX_PAYLOAD]


def _zstd(data: bytes) -> bytes | None:
    import zstandard  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            out: bytes = reader.read(MAX_PAYLOAD)
    except zstandard.ZstdError:
        return None
    return out
