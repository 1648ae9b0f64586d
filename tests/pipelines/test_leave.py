"""A command's end: its exit code and all it has written, even while a thread of Arrow's is about to call Python."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

AT_WORK = """
import atexit, io, sys, threading
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq
from pipelines.commands.exit import leave

class Stuck(io.BytesIO):
    '''A file whose reader, a thread of Arrow's, is inside Python when the process ends, and would be for ever.'''
    inside = None
    def read(self, n=-1):
        if self.inside:
            self.inside.set()
            threading.Event().wait()
        return super().read(n)

def main():
    made = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), made)
    source = Stuck(made.getvalue())
    fragment = ds.ParquetFileFormat().make_fragment(pa.PythonFile(source, mode="r"))
    fragment.ensure_complete_metadata()
    source.inside = threading.Event()
    reader = fragment.scanner().to_reader()
    source.inside.wait()
    atexit.register(print, "goodbye")
    sys.exit(3)

leave(main)
"""


def _run(code: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_thread_of_arrow_at_work_does_not_hold_the_end_up() -> None:
    assert _run(AT_WORK) == (3, "goodbye\n", "")


@pytest.mark.parametrize(
    ("main", "ended"),
    [
        ("lambda: None", (0, "", "")),
        ("lambda: sys.exit()", (0, "", "")),
        ("lambda: sys.exit('it went wrong')", (1, "", "it went wrong\n")),
        ("lambda: print('said')", (0, "said\n", "")),
    ],
)
def test_exit_codes_are_those_of_python(main: str, ended: tuple[int, str, str]) -> None:
    assert _run(f"import sys\nfrom pipelines.commands.exit import leave\nleave({main})") == ended


def test_a_fault_of_the_program_is_shown_as_ever() -> None:
    code, _, said = _run("from pipelines.commands.exit import leave\nleave(lambda: 1 / 0)")
    assert code == 1
    assert said.endswith("ZeroDivisionError: division by zero\n")
