"""HTTP answers as WARC 1.1 records (ISO 28500:2017), each compressed as a gzip member.

The payload is stored decoded. As in Common Crawl's files, Content-Length is that of the decoded payload, and the
headers that describe the transfer are renamed to X-Crawl-Content-Encoding and X-Crawl-Transfer-Encoding. What only the
proxy needs (its login, the absolute form of the request line) is left out.
"""

import io
from typing import BinaryIO
from urllib.parse import urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.fetch.http import Response

_RENAMED = ("content-encoding", "transfer-encoding")


class WarcFile:
    """Appends records to a binary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")

    @property
    def end(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def write_info(self, name: str, software: str) -> None:
        standard = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
        fields = {"software": software, "format": "WARC File Format 1.1", "conformsTo": standard, "robots": "RFC 9309"}
        self._writer.write_record(self._writer.create_warcinfo_record(name, fields))

    def copy(self, members: bytes) -> None:
        """Append the gzip members of another WARC file unchanged."""
        self._file.write(members)

    def write_exchange(self, url: str, answer: Response) -> None:
        """Append the response, with the digest of its payload, and the request that it answers."""
        headers = [
            (f"X-Crawl-{name}" if name.lower() in _RENAMED else name, value)
            for name, value in answer.headers
            if name.lower() != "content-length"
        ]
        headers.append(("Content-Length", str(len(answer.body))))
        protocol, _, status = answer.head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        response = self._writer.create_warc_record(
            url,
            "response",
            payload=io.BytesIO(answer.body),
            http_headers=StatusAndHeaders(status, headers, protocol=protocol),
            warc_headers_dict={"WARC-IP-Address": answer.address} if answer.address else {},
        )
        first, *rest = answer.sent.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        if "://" in target:
            parts = urlsplit(target)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
        pairs = [(name, value.strip()) for name, _, value in (row.partition(":") for row in rest)]
        pairs = [pair for pair in pairs if pair[0].lower() != "proxy-authorization"]
        request = self._writer.create_warc_record(
            url, "request", http_headers=StatusAndHeaders(f"{method} {target} HTTP/1.1", pairs, is_http_request=True)
        )
        self._writer.write_request_response_pair(request, response)
