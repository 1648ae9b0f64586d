"""The record of a recorded step, `stages/NAME.json`: the folders of its generations."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.engine.commit import Counts
from pipelines.engine.parts import Parts, merge_counts, read_manifest
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
        files = [f"stages/{name}" for name in self.store.names("stages") if name.endswith(".json")]
        for file in [self.file] if self.file in files else files:
            data: dict[str, Any] = json.loads(self.store.read(file))
            generations = {folder.rpartition("-")[2] for folder in data["generations"]}
            if file == self.file or self.fingerprint(data.get("epoch", 0)) in generations:
                return data
        return {}

    def is_of(self, fingerprint: Callable[[int], str]) -> bool:
        """Whether a generation has the fingerprint of a step."""
        return fingerprint(self.epoch) in {folder.rpartition("-")[2] for folder in self.generations}

    def move(self, name: str) -> None:
        """Give the record to the step `name`, unless that has one. A crash leaves both records, and the next run ends
        the move.
        """
        old, self.file = self.file, f"stages/{name}.json"
        if not self.store.exists(self.file):
            self._write()
        self.store.remove(old)

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

    def before(self) -> Parts:
        """The parts from before the last refresh, as far as they are still there."""
        return Parts.join([f[0] for folder in self.earlier if (f := read_manifest(self.store, folder)) is not None])

    def read(self) -> tuple[Parts, Counts]:
        """The parts of all generations; a later generation without rows adds none, because earlier ones had all."""
        return read_folders(self.store, self.generations, f"{self.file} names it", f"run with --refresh {self.name}")


def read_folders(store: Store, folders: Sequence[str], named_by: str, remedy: str) -> tuple[Parts, Counts]:
    """The parts of finished folders, one after the other. Raises RunError where one is gone.

    named_by, remedy: for its message, who names the folder, and what to do.
    """
    parts: list[Parts] = []
    counts: list[Counts] = []
    for folder in folders:
        finished = read_manifest(store, folder)
        if finished is None:
            raise RunError(f"{folder}/manifest.json is gone, though {named_by}; restore it, or {remedy}")
        if not parts or finished[0].has_content():
            parts.append(finished[0])
        counts.append(finished[1])
    return Parts.join(parts), merge_counts(counts)
