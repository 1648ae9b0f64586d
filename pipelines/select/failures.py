"""Where the user's code failed: scores, datatrove filters and duplicate keys that a recipe names by import path."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from filters.adapters import DatatroveScore, raised
from filters.own import OwnScore
from pipelines.engine.storage import Store
from pipelines.select.duplicate_key import DuplicateKeys


@dataclass(frozen=True)
class Failure:
    """``failed``: rows of ``rows`` for which the code at ``path`` raised or gave no value, quarantined ones included.

    ``error``: the last error, empty where rows failed by quarantine alone.
    """

    step: str
    kind: str  # function or filter
    path: str
    failed: int
    rows: int
    error: str

    def __str__(self) -> str:
        of = f"all {self.rows:,} rows" if self.failed == self.rows else f"{self.failed:,} of {self.rows:,} rows"
        last = f"the last error: {self.error}" if self.error else "ledger/quarantine.parquet has the causes"
        return f"{self.step.partition('.')[0]}: the {self.kind} {self.path} failed on {of}; {last}"


def failures(steps: Iterable[Any], outputs: Mapping[str, Any], store: Store) -> Iterator[Failure]:
    """The failures of a plan's steps (`Step`) with these outputs (`StepOutput`), where there are any."""
    for step in steps:
        stage, output = getattr(step.stage, "stage", step.stage), outputs[step.name]
        counts, failed = output.counts.get("scores", {}), len(output.quarantined)
        if isinstance(stage, OwnScore):
            kind, path, table = "function", stage.path, "scores"
            failed += int(counts.get(f"{stage.name}_failed", {}).get("sum", 0))
        elif isinstance(stage, DatatroveScore):
            kind, path, table = "filter", stage.filter, "scores"
            failed += raised(counts.get(f"{stage.name}_reason", {}))
        elif isinstance(stage, DuplicateKeys):
            kind, path, table = "function", stage.path, "keys"
        else:
            continue
        if failed:
            errors = output.read(store, "failures")["error"].to_pylist() if output.rows("failures") else []
            yield Failure(step.name, kind, path, failed, output.rows(table), errors[-1] if errors else "")
