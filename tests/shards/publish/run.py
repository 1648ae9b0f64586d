"""Adds the files for readers to a run's folder, as a finished run has them."""

from pathlib import Path

from manifests.runfiles import RunFiles
from shards import manifest
from shards.publish import readers


def with_readers(folder: Path, name: str = "me/demo") -> Path:
    """Writes the card, its picture and `.nv-meta` into the folder, and returns it."""
    files = RunFiles(folder)
    for path, content in readers.files(files, manifest.read(files), name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
