"""MosaicML's streaming on the samples of tars, for bench/loader.py: `python -m bench._streaming FOLDER SAMPLES TAR...`.

It runs in the environment of streaming, which may be without this project's packages, so it imports nothing else.
"""

import json
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

from streaming import MDSWriter, StreamingDataset

from bench._timed import timed


def convert(tars: list[str], folder: str) -> None:
    """The members of each sample, as bytes, in MDS shards of the usual size (64 MB)."""
    with MDSWriter(out=folder, columns={"json": "bytes", "jpg": "bytes", "txt": "bytes"}) as out:
        for path in tars:
            with tarfile.open(path) as archive:
                sample: dict[str, bytes] = {}
                for member in archive:
                    file = archive.extractfile(member)
                    assert file is not None
                    sample[member.name.partition(".")[2]] = file.read()
                    if len(sample) == 3:
                        out.write(sample)
                        sample = {}


def read(folder: str) -> Iterator[Any]:
    # the size of a batch decides how far it reads ahead: with one sample it is ten times slower
    yield from StreamingDataset(local=folder, shuffle=True, batch_size=50)


def main() -> None:
    folder, samples, *tars = sys.argv[1:]
    convert(tars, folder)
    print(json.dumps(timed({"streaming": lambda: read(folder)}, int(samples))["streaming"]))


if __name__ == "__main__":
    main()
