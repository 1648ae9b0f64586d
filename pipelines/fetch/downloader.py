"""img2dataset's `Downloader` behind our guard.

Its `download_shard` is the work loop: threads, the bound on images in flight, hashing, and a writer that is told of
every row. What it calls for one address, `download_image_with_retry`, has no total deadline, no size cap, reads file://
addresses, follows redirects anywhere and misreads X-Robots-Tag (measured on 1.47.0); so ours stands in its place. The
resizer's place is taken by the check of the image, which leaves the bytes alone; it runs in one thread, the caller's,
so that a crash of a decoder has one row to name.

Not used: its distributors, its reader, its writers.
"""

from __future__ import annotations

import functools
import io
import os
import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

#: -> (row, its body or None, the status that says why there is none); ``row`` indexes the URLs given to `download`
Fetch = Callable[[], tuple[int, bytes | None, str | None]]
#: (row, body) -> None, or the status that refuses the image
Check = Callable[[int, bytes], str | None]
#: (row, sha256, body); None, None for a row without an image
Store = Callable[[int, str | None, bytes | None], None]


@functools.lru_cache(maxsize=1)
def _module() -> Any:
    """img2dataset.downloader, imported when first needed (seconds: it drags in wandb and albumentations, which look for
    updates).
    """
    for name, value in (("NO_ALBUMENTATIONS_UPDATE", "1"), ("WANDB_MODE", "disabled"), ("WANDB_SILENT", "true")):
        os.environ.setdefault(name, value)
    import img2dataset.downloader as module

    return module


def _calls(code: types.CodeType, name: str) -> bool:
    return name in code.co_names or any(_calls(c, name) for c in code.co_consts if isinstance(c, types.CodeType))


class _Body(io.BytesIO):
    """What was fetched, and for which row."""

    def __init__(self, body: bytes, row: int) -> None:
        super().__init__(body)
        self.row = row


def download(urls: Sequence[str], fetch: Fetch, check: Check, store: Store, *, threads: int) -> None:
    """Run img2dataset's loop over the URLs: ``fetch`` is called once a row, from ``threads`` threads, and says itself
    which row it did;
    ``check`` and ``store`` from the caller's thread, ``store`` for every row. What one of them raises ends the loop and
    is raised here."""
    if not urls:
        return
    module = _module()
    loop = module.Downloader.download_shard
    if not _calls(loop.__code__, "download_image_with_retry"):
        raise RuntimeError("this img2dataset's Downloader does not call download_image_with_retry: use 1.47.0")
    faults: list[BaseException] = []

    def guarded(ticket: tuple[int, str], **_: Any) -> tuple[int, _Body | None, str | None]:
        # the loop would wait for ever for a thread that raised: a fault of ours is kept, the rest only counted down,
        # and it is raised at the end
        if not faults:
            try:
                row, body, status = fetch()
                return row, None if body is None else _Body(body, row), status
            except BaseException as fault:
                faults.append(fault)
        return ticket[0], None, "internal"

    class Resizer:
        def __call__(self, stream: _Body, boxes: object = None) -> tuple[bytes | None, int, int, int, int, str | None]:
            try:
                status = check(stream.row, stream.getvalue())
            except BaseException as fault:
                faults.append(fault)
                status = "internal"
            return (None if status else stream.getvalue()), 0, 0, 0, 0, status

    class Writer:
        def __init__(self, *_: object) -> None:
            pass

        def write(self, image: bytes | None, key: str, caption: str | None, meta: dict[str, Any]) -> None:
            if faults:
                return
            try:
                store(int(key), meta["sha256"], image)
            except BaseException as fault:
                faults.append(fault)

        def close(self) -> None:
            pass

    # the loop with our function under the name it calls, and nothing of its own that could reach the network
    ours = {**vars(module), "download_image_with_retry": guarded, "download_image": None, "urllib": None}
    loop = types.FunctionType(loop.__code__, ours, loop.__name__, loop.__defaults__, loop.__closure__)
    with tempfile.TemporaryDirectory(prefix="fetch-") as folder:
        shard = Path(folder, "0.feather")
        table = pa.table({"url": pa.array(urls, pa.string())})
        with pa.OSFile(str(shard), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        downloader = module.Downloader(
            sample_writer_class=Writer,
            resizer=Resizer(),
            thread_count=min(threads, len(urls)),
            save_caption=False,
            extract_exif=False,
            output_folder=folder,
            column_list=["url"],
            timeout=None,
            number_sample_per_shard=max(10, len(urls)),
            oom_shard_count=1,
            compute_hash="sha256",
            verify_hash_type=None,
            encode_format="",
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,
        )
        loop(downloader, (0, str(shard)))
    if faults:
        raise faults[0]


class Spool:
    """Bodies on disk until their order is known: each once, by sha256."""

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
