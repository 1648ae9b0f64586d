"""The record of a recorded step, `stages/NAME.json`: the folders of its generations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipelines.engine.parts import Counts, Parts, merge_counts, read_manifest
from pipelines.engine.retry import RunError
from pipelines.engine.storage import Store


class Record:
    """The generations of a recorded step, oldest first.

    Changed inputs add a generation. A refresh begins a new `epoch` (number of refreshes) without generations, and keeps
    the folders from before in `earlier`. The folders of an epoch have their own fingerprints, so that an interrupted
    refresh resumes. `fingerprint` gives the fingerprint of the step in an epoch.

    A step without a record of its own was renamed if another record holds a generation with the fingerprint of the
    step. The step adopts that record.
    """

    def __init__(self, store: Store, name: str, fingerprint: Callable[[int], str]):
        self.store, self.name, self.file, self.fingerprint = store, name, f"stages/{name}.json", fingerprint
        data = self._load()
        self.generations: list[str] = data.get("generations", [])
        self.earlier: list[str] = data.get("earlier", [])
        self.epoch: int = data.get("epoch", 0)

    def _load(self) -> dict[str, Any]:
        if self.store.exists(self.file):
            return dict(json.loads(self.store.read(self.file)))
        for name in (n for n in self.store.names("stages") if n.endswith(".json")):
            data: dict[str, Any] = json.loads(self.store.read(f"stages/{name}"))
            if self.fingerprint(data.get("epoch", 0)) in {g.rpartition("-")[2] for g in data["generations"]}:
                return data
        return {}

    def refresh(self) -> None:
        if self.generations:
            self.generations, self.earlier, self.epoch = [], self.generations, self.epoch + 1
            self._write()

    def add(self, folder: str) -> None:
        """Add a finished generation, if it is new, and write the record, which may be an adopted one."""
        if folder not in self.generations:
            self.generations.append(folder)
        self._write()

    def _write(self) -> None:
        data: dict[str, Any] = {"generations": self.generations}
        data |= {"epoch": self.epoch, "earlier": self.earlier} if self.epoch else {}
        self.store.replace(self.file, json.dumps(data, indent=1).encode())

    def before(self) -> Parts | None:
        """The parts from before the last refresh, as far as they are still there."""
        finished = [f[0] for folder in self.earlier if (f := read_manifest(self.store, folder)) is not None]
        return Parts.join(finished) if finished else None

    def read(self) -> tuple[Parts, Counts]:
        """The parts of all generations; a later generation without rows adds none, because earlier ones had all."""
        parts: list[Parts] = []
        counts: list[Counts] = []
        for folder in self.generations:
            finished = read_manifest(self.store, folder)
            if finished is None:
                fault = f"{folder}/manifest.json is gone, though {self.file} names it"
                raise RunError(f"{fault}; restore it, or run with --refresh {self.name}")
            if not parts or _has_content(finished[0]):
                parts.append(finished[0])
            counts.append(finished[1])
        return Parts.join(parts), merge_counts(counts)


def _has_content(parts: Parts) -> bool:
    return bool(parts.quarantined) or any(f.rows or f.name.endswith(".bin") for s in parts for f in s.files.values())
