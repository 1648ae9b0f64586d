"""Answers as WARC 1.1 records (ISO 28500:2017), a gzip member each.

The payload is kept decoded. As Common Crawl does it, Content-Length is made true, and the headers that told of the
encoding on the wire go on as X-Crawl-Content-Encoding and X-Crawl-Transfer-Encoding. What a proxy was told (its login,
the absolute form of the request line) is left out.
"""

from __future__ import annotations

import io
from typing import BinaryIO
from urllib.parse import urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.fetch.http import Response

_MOVED = ("content-encoding", "transfer-encoding")


class Records:
    """Appends records to a binary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")

    def info(self, name: str, software: str) -> None:
        fields = {
            "software": software,
            "format": "WARC File Format 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
            "robots": "RFC 9309",
        }
        self._writer.write_record(self._writer.create_warcinfo_record(name, fields))

    @property
    def end(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def copy(self, members: bytes) -> None:
        """Records of another file, as they stand there."""
        self._file.write(members)

    def exchange(self, url: str, answer: Response) -> None:
        """The response, with its payload's digest, and the request that led to it."""
        headers = [
            (f"X-Crawl-{k}" if k.lower() in _MOVED else k, v)
            for k, v in answer.headers
            if k.lower() != "content-length"
        ]
        headers.append(("Content-Length", str(len(answer.body))))
        line = answer.head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        response = self._writer.create_warc_record(
            url,
            "response",
            payload=io.BytesIO(answer.body),
            http_headers=StatusAndHeaders(line[2], headers, protocol=line[0]),
            warc_headers_dict={"WARC-IP-Address": answer.address} if answer.address else {},
        )
        first, *rest = answer.sent.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        if "://" in target:
            parts = urlsplit(target)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
        pairs = [
            (k, v.strip()) for k, _, v in (row.partition(":") for row in rest) if k.lower() != "proxy-authorization"
        ]
        request = self._writer.create_warc_record(
            url, "request", http_headers=StatusAndHeaders(f"{method} {target} HTTP/1.1", pairs, is_http_request=True)
        )
        self._writer.write_request_response_pair(request, response)
