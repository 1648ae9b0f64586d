"""What is recorded of a stage that depends on the world: `stages/NAME.json`, the folders of its generations, and what
they hold together.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.engine.parts import Counts, Parts, merge_counts, read_manifest
from pipelines.engine.plan import StepOutput
from pipelines.engine.retry import RunError
from pipelines.engine.stage import Step
from pipelines.engine.storage import Store


class Record:
    """The generations of a step, oldest first, how often it was refreshed, and what it had then; of a step that is not
    recorded, none.

    A refresh begins with a new epoch, whose folders are others, and no generations: one that is interrupted goes on
    where it was.
    """

    def __init__(self, store: Store, step: Step):
        self.store, self.name, self.file = store, step.name, f"stages/{step.name}.json"
        said = json.loads(store.read(self.file)) if step.recorded and store.exists(self.file) else {}
        self.generations: list[str] = said.get("generations", [])
        self.earlier: list[str] = said.get("earlier", [])
        self.epoch: int = said.get("epoch", 0)

    def refresh(self) -> None:
        if self.generations:
            self.generations, self.earlier, self.epoch = [], self.generations, self.epoch + 1
            self._write()

    def add(self, folder: str) -> None:
        if folder not in self.generations:
            self.generations.append(folder)
            self._write()

    def _write(self) -> None:
        said: dict[str, Any] = {"generations": self.generations}
        said |= {"epoch": self.epoch, "earlier": self.earlier} if self.epoch else {}
        self.store.replace(self.file, json.dumps(said, indent=1).encode())

    def before(self) -> Parts | None:
        """What was recorded before the last refresh, as far as it is still there."""
        found = [finished[0] for folder in self.earlier if (finished := read_manifest(self.store, folder)) is not None]
        return Parts.join(found) if found else None

    def made(self) -> StepOutput | None:
        """What is recorded. A later generation that found all it was asked for in the earlier ones adds no parts:
        nothing is redone.
        """
        several: list[Parts] = []
        counts: list[Counts] = []
        for folder in self.generations:
            finished = read_manifest(self.store, folder)
            if finished is None:
                raise RunError(
                    f"{folder}/manifest.json is gone, though {self.file} names it; restore it, or run with --refresh {self.name}"
                )
            if not several or _brought_something(finished[0]):
                several.append(finished[0])
            counts.append(finished[1])
        return StepOutput(self.name, Parts.join(several), merge_counts(counts), self.generations) if several else None


def _brought_something(parts: Parts) -> bool:
    return bool(parts.quarantined) or any(f.rows or f.name.endswith(".bin") for s in parts for f in s.files.values())
