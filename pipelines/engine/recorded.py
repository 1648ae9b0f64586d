"""The record of a recorded step, `stages/NAME.json`: the folders of its generations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipelines.engine.parts import Counts, Parts, merge_counts, read_manifest
from pipelines.engine.plan import StepOutput
from pipelines.engine.retry import RunError
from pipelines.engine.stage import Step, tables_of
from pipelines.engine.storage import Store


class Record:
    """The generations of a recorded step, oldest first; without generations for any other step.

    Changed inputs add a generation. A refresh begins a new `epoch` (number of refreshes) without generations, and keeps
    the folders from before in `earlier`. The folders of an epoch have their own fingerprints, so that an interrupted
    refresh resumes.

    A step without a record of its own adopts a record that holds a generation with the fingerprint that this step has:
    the step was renamed. `fingerprint` gives the fingerprint for an epoch.
    """

    def __init__(self, store: Store, step: Step, fingerprint: Callable[[int], str]):
        self.store, self.step, self.file = store, step, f"stages/{step.name}.json"
        data = self._read(fingerprint) if step.recorded else {}
        self.generations: list[str] = data.get("generations", [])
        self.earlier: list[str] = data.get("earlier", [])
        self.epoch: int = data.get("epoch", 0)

    def _read(self, fingerprint: Callable[[int], str]) -> dict[str, Any]:
        if self.store.exists(self.file):
            return dict(json.loads(self.store.read(self.file)))
        for name in (n for n in self.store.names("stages") if n.endswith(".json")):
            data = json.loads(self.store.read(f"stages/{name}"))
            if fingerprint(data.get("epoch", 0)) in {folder.rpartition("-")[2] for folder in data["generations"]}:
                return dict(data)
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

    def output(self) -> StepOutput | None:
        """Everything that is recorded. A later generation without rows, because earlier ones had all, adds no parts."""
        parts: list[Parts] = []
        counts: list[Counts] = []
        for folder in self.generations:
            finished = read_manifest(self.store, folder)
            if finished is None:
                raise RunError(
                    f"{folder}/manifest.json is gone, though {self.file} names it; "
                    f"restore it, or run with --refresh {self.step.name}"
                )
            if not parts or _has_content(finished[0]):
                parts.append(finished[0])
            counts.append(finished[1])
        if not parts:
            return None
        schemas = tables_of(self.step.stage)
        return StepOutput(self.step.name, Parts.join(parts), merge_counts(counts), self.generations, schemas)


def _has_content(parts: Parts) -> bool:
    return bool(parts.quarantined) or any(f.rows or f.name.endswith(".bin") for s in parts for f in s.files.values())
