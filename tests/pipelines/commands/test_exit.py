"""How a command ends: with its exit code and all its output, even while a thread of Arrow is about to call Python."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]

RUNNING_READER = """
import atexit, io, sys, threading
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq
from pipelines.commands.exit import leave

class Stuck(io.BytesIO):
    '''A file whose reader, a thread of Arrow, is inside Python when the process ends, and would stay there.'''
    inside = None
    def read(self, n=-1):
        if self.inside:
            self.inside.set()
            threading.Event().wait()
        return super().read(n)

def main():
    data = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), data)
    source = Stuck(data.getvalue())
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
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return process.returncode, process.stdout, process.stderr


def test_a_running_thread_of_arrow_does_not_delay_the_end() -> None:
    assert _run(RUNNING_READER) == (3, "goodbye\n", "")


@pytest.mark.parametrize(
    ("main", "result"),
    [
        ("lambda: None", (0, "", "")),
        ("lambda: sys.exit()", (0, "", "")),
        ("lambda: sys.exit('it went wrong')", (1, "", "it went wrong\n")),
        ("lambda: print('output')", (0, "output\n", "")),
    ],
)
def test_exit_codes_are_those_of_python(main: str, result: tuple[int, str, str]) -> None:
    assert _run(f"import sys\nfrom pipelines.commands.exit import leave\nleave({main})") == result


def test_an_error_of_the_program_is_one_line_that_names_its_log(tmp_path: pathlib.Path) -> None:
    code, _, errors = _run(
        f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}\n"
        "from pipelines.commands.exit import leave\nleave(lambda: 1 / 0)"
    )
    (log,) = tmp_path.iterdir()
    assert code == 3 and errors.count("\n") == 1 and "ZeroDivisionError: division by zero" in errors
    assert str(log) in errors and log.read_text("utf-8").endswith("ZeroDivisionError: division by zero\n")
