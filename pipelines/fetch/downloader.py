"""img2dataset's `Downloader` with our own request in place of its own.

Its `download_shard` is the work loop: threads, a bound on images in memory, hashing, and a writer that gets every row.
For each row the loop calls the module's function `download_image_with_retry`, which has no total deadline and no limit
of bytes, reads file:// URLs, follows redirects to any address and misreads X-Robots-Tag (measured on 1.47.0). So that
function is replaced while the loop runs. The check of the image takes the place of the resizer and leaves the bytes
unchanged; it runs in the caller's thread, so that a decoder that crashes is at one known row.

Not used: its distributors, its reader and its writers.
"""

import functools
import io
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO
from unittest.mock import patch

import pyarrow as pa

#: -> (row, body or None, the status where there is no body); ``row`` is an index of the URLs given to `download`
RequestNext = Callable[[], tuple[int, bytes | None, str | None]]
#: (row, body) -> None, or the status that refuses the image
Check = Callable[[int, bytes], str | None]
#: (row, sha256, body); None, None for a row without an image
Save = Callable[[int, str | None, bytes | None], None]

# the replacement is seen by the whole process, so one loop runs at a time; an engine's worker runs one stage at a time
_LOCK = threading.Lock()


@functools.lru_cache(maxsize=1)
def _module() -> Any:
    """img2dataset.downloader. It is imported at first use because that takes seconds: it imports wandb and
    albumentations, which look for updates."""
    for name, value in (("NO_ALBUMENTATIONS_UPDATE", "1"), ("WANDB_MODE", "disabled"), ("WANDB_SILENT", "true")):
        os.environ.setdefault(name, value)
    import img2dataset.downloader as module

    return module


class _Body(io.BytesIO):
    """A body, and the row that it belongs to."""

    def __init__(self, body: bytes, row: int) -> None:
        super().__init__(body)
        self.row = row


def download(urls: Sequence[str], request_next: RequestNext, check: Check, save: Save, *, threads: int) -> None:
    """Run img2dataset's loop over the URLs.

    request_next: called once for each URL, from ``threads`` threads; it chooses the row itself. check and save: called
    from the caller's thread, save for every row. The first error that one of them raises is raised here, at the end.
    """
    if not urls:
        return
    errors: list[BaseException] = []

    # the loop would wait without end for a thread that raised. So an error is kept, and the other rows only counted
    def call(function: Callable[..., Any], *arguments: object) -> Any:
        if not errors:
            try:
                return function(*arguments)
            except BaseException as error:
                errors.append(error)
        return None

    def request(ticket: tuple[int, str], **_: Any) -> tuple[int, _Body | None, str | None]:
        row, body, status = call(request_next) or (ticket[0], None, "internal")
        return row, None if body is None else _Body(body, row), status

    def resize(body: _Body, boxes: object = None) -> tuple[bytes | None, int, int, int, int, str | None]:
        status = call(check, body.row, body.getvalue())
        return None if status else body.getvalue(), 0, 0, 0, 0, status

    def write(image: bytes | None, key: str, caption: str | None, meta: dict[str, Any]) -> None:
        call(save, int(key), meta["sha256"], image)

    module = _module()
    # without `download_image` and `urllib`, no other function of the module can reach the network
    with (
        _LOCK,
        patch.multiple(module, download_image_with_retry=request, download_image=None, urllib=None),
        tempfile.TemporaryDirectory(prefix="fetch-") as folder,
    ):
        shard = Path(folder, "0.feather")
        table = pa.table({"url": pa.array(urls, pa.string())})
        with pa.OSFile(str(shard), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        unused = ("timeout", "verify_hash_type", "user_agent_token", "disallowed_header_directives")
        downloader = module.Downloader(
            sample_writer_class=lambda *_: SimpleNamespace(write=write, close=lambda: None),
            resizer=resize,
            thread_count=min(threads, len(urls)),
            output_folder=folder,
            column_list=["url"],
            number_sample_per_shard=max(10, len(urls)),
            oom_shard_count=1,
            compute_hash="sha256",
            encode_format="",
            retries=0,
            **dict.fromkeys(("save_caption", "extract_exif"), False),
            **dict.fromkeys(unused),
        )
        downloader.download_shard((0, str(shard)))
    if errors:
        raise errors[0]


class Spool:
    """Bodies in a temporary file until their order is known, each once by its sha256."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.end = file, 0
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, sha256: str, body: bytes) -> None:
        if sha256 not in self._places:
            self.file.seek(self.end)
            self.file.write(body)
            self._places[sha256] = (self.end, len(body))
            self.end += len(body)

    def read(self, sha256: str) -> bytes:
        offset, length = self._places[sha256]
        self.file.seek(offset)
        body = self.file.read(length)
        if len(body) != length:
            raise OSError(f"{length - len(body)} bytes of an image are missing from the temporary file")
        return body
