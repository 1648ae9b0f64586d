"""`pip install panoramix` alone: numpy, pyarrow, pillow and fsspec suffice to load and check a run."""

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.shards import made

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"numpy": "numpy", "pyarrow": "pyarrow", "pillow": "PIL", "fsspec": "fsspec"}

ONLY = """
import sys
from importlib.abc import MetaPathFinder

class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in allowed:
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)

allowed = [*sys.argv[1].split(","), "shards", "manifests", "pipelines"]
sys.meta_path.insert(0, Only())
"""

USE = """
(run,) = sys.argv[2:]
from shards import image
from shards.loader import Loader
from shards.publish.verify import verify
assert image.decoders() == ("pillow",)
sources = {name: {"weight": 1, "sequence_length": 512, "long": "chunk"} for name in ("interleaved", "pairs", "ocr")}
loader = Loader(run, {"sources": sources, "batch_sequences": 2}, epochs=1, decoded=True, threads=2)
samples = [s for batch in loader for sequence in batch.sequences for s in sequence]
assert all(p.shape[2] == 3 for s in samples for p in s.pixels)
assert not list(verify(run))
print(len({(s.source, s.key) for s in samples}))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with only the packages that pyproject.toml declares for everyone."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    allowed = ",".join(MODULES[name] for name in declared)
    return subprocess.run(
        [sys.executable, "-c", ONLY + code, allowed, *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_four_packages_are_enough(tmp_path: Path) -> None:
    process = python(USE, str(made.run(tmp_path / "run")))
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.split() == ["21"]


def test_the_command_names_the_extra_that_it_needs() -> None:
    process = python("from pipelines.__main__ import main; main()")
    assert process.returncode == 1
    assert process.stderr.startswith("panoramix: the command needs the extra `pipeline`")
    assert len(process.stderr.splitlines()) == 1
