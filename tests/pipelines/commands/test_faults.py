"""How commands end that fail: one line, an exit code, and no traceback unless it is asked for."""

import errno
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from pipelines.commands import faults
from pipelines.engine.run import RunError
from shards.publish.staging import PublishError
from tests.pipelines.conftest import ROOT

POSIX = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
ODD = "größer — 漢字 🦆"


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    line = [sys.executable, "-m", "pipelines", *map(str, arguments)]
    options = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "encoding": "utf-8",
        "errors": "replace",
        **options,
    }
    return subprocess.run(line, env=env, timeout=120, **options)


def fails(code: str, **env: str) -> tuple[int, str]:
    """Exit code and stderr of a command that runs `code`."""
    script = "import typer\nfrom pipelines.commands.exit import leave\nfrom pipelines.commands.faults import Commands\n"
    script += "app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)\n@app.callback()\ndef _(): pass\n"
    script += f"@app.command()\ndef go():\n    {code}\nleave(app)"
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    done = subprocess.run([sys.executable, "-c", script, "go"], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished run of conversations whose text is in no narrow encoding."""
    folder = tmp_path_factory.mktemp("odd")
    turns = [{"from": "human", "value": f"{ODD}?"}, {"from": "gpt", "value": f"It is {ODD}, and nothing else."}]
    rows = [{"id": str(i), "conversations": [turns[0], {**turns[1], "value": f"{i} {ODD}"}]} for i in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    setting = f"conversations.files={folder}/rows.jsonl"
    recipe = ROOT / "pipelines" / "recipes" / "sft.yaml"
    done = command("run", recipe, "--set", setting, "--out", folder / "run", "--on", "local", env=POSIX)
    assert done.returncode == 0, done.stderr
    return folder / "run"


# ---- where the output goes


@pytest.mark.parametrize("env", [POSIX, {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}])
def test_what_an_encoding_lacks_is_replaced(odd_run: pathlib.Path, env: dict[str, str]) -> None:
    for arguments in (["samples", odd_run], ["stats", odd_run], ["explain", odd_run, "a" * 32], ["--help"]):
        done = command(*arguments, env=env)
        assert done.returncode in (0, 1) and "Error" not in done.stderr, (arguments, done.stderr)
    assert "gr" in (text := command("samples", odd_run, env=env).stdout) and "漢" not in text and "?" in text


def test_json_stays_whole_in_every_encoding(odd_run: pathlib.Path) -> None:
    wide, narrow = (command("samples", odd_run, "--json", env=env).stdout for env in ({"PYTHONUTF8": "1"}, POSIX))
    assert ODD in wide and narrow.isascii()
    assert [json.loads(x) for x in wide.splitlines()] == [json.loads(x) for x in narrow.splitlines()]


def test_a_closed_pipe_is_silent(odd_run: pathlib.Path) -> None:
    for arguments in (["samples", odd_run], ["stats", odd_run], ["schema"], ["stats", odd_run, "--json"]):
        read, write = os.pipe()
        os.close(read)  # as `head` has ended before the command prints
        done = command(*arguments, stdout=write)
        os.close(write)
        assert (done.returncode, done.stderr) == (1, "")


def test_an_output_that_cannot_take_it_is_one_line(odd_run: pathlib.Path) -> None:
    with open("/dev/full", "w") as full:
        done = command("stats", odd_run, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "No space left on device; make room" in done.stderr


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("a/b/report.html", None),
        (".", "Is a directory"),
        ("run.txt/report.html", "run.txt: "),
        ("/dev/full", "No space"),
    ],
)
def test_a_report_goes_into_a_new_folder_or_fails_in_one_line(
    odd_run: pathlib.Path, tmp_path: pathlib.Path, place: str, says: str | None
) -> None:
    (tmp_path / "run.txt").write_text("a file")
    done = command("report", odd_run, "-o", place, cwd=tmp_path)
    assert done.returncode == (2 if says else 0) and done.stderr.count("\n") == 1 and (says or "") in done.stderr
    assert says or (tmp_path / place).stat().st_size > 1000


# ---- a run that this user may not write


def test_commands_that_only_look_need_no_permission_to_write(odd_run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sealed = _Sealed(odd_run)
    for arguments in (
        ["stats", odd_run], ["verify", odd_run], ["samples", odd_run], ["gc", odd_run, "--dry-run"],
        ["publish", odd_run, "me/x", "--dry-run"], ["report", odd_run, "-o", tmp_path / "r.html"],
    ):  # fmt: skip
        done = command(*arguments)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (arguments, done.stderr)
    assert sealed.unchanged()


class _Sealed:
    """Whether anything below a folder was written, for users whom permissions do not stop."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.before = folder, self._state(folder)

    @staticmethod
    def _state(folder: pathlib.Path) -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}

    def unchanged(self) -> bool:
        return self._state(self.folder) == self.before


# ---- known and unknown faults


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (RunError("t.read: broken"), "t.read: broken"),
        (PublishError("not published"), "not published"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), "a/b: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied; give this user access"),
        (OSError("a message\nof two lines"), "a message of two lines"),
        (MemoryError(), "not enough memory"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "pip install 'panoramix[train]'"),
        (ModuleNotFoundError("No module named 'ray'", name="ray._private"), "pip install 'panoramix[ray]'"),
        (ImportError("Install s3fs to access S3"), "Install s3fs to access S3"),
        (KeyError("sources"), None),
        (ValueError("a ValueError of Python"), None),
        (ModuleNotFoundError("No module named 'nothing'", name="nothing"), None),
    ],
)
def test_which_faults_are_known(fault: BaseException, line: str | None) -> None:
    known = faults.line_of(fault)
    assert known is None if line is None else line in str(known)


def test_an_error_of_the_network_is_known() -> None:
    from botocore.exceptions import NoCredentialsError
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    for fault in (NoCredentialsError(), HFValidationError("bad name"), OfflineModeIsEnabled("offline")):
        assert "panoramix doctor" in str(faults.line_of(fault)) or isinstance(fault, OSError)


def test_a_fault_of_the_program_names_a_log_with_its_traceback(tmp_path: pathlib.Path) -> None:
    code, errors = fails("{}['sources']", TMPDIR=str(tmp_path))
    (log,) = tmp_path.glob("panoramix-error-*.log")
    assert code == 3 and errors.count("\n") == 1 and "KeyError: 'sources'" in errors
    assert str(log) in errors and "open an issue" in errors
    text = log.read_text("utf-8")
    assert "Traceback (most recent call last)" in text and "in go" in text and "Python 3" in text


@pytest.mark.parametrize("fault", ["{}['sources']", "open('/nowhere/file')"])
def test_the_traceback_is_shown_where_it_is_asked_for(tmp_path: pathlib.Path, fault: str) -> None:
    hidden, shown = (fails(fault, TMPDIR=str(tmp_path), **{faults.TRACEBACK: x})[1] for x in ("0", "1"))
    assert "Traceback" not in hidden and "Traceback (most recent call last)" in shown
    assert hidden[:30] in shown  # the line comes last


def test_a_log_without_a_place_is_printed(tmp_path: pathlib.Path) -> None:
    code, errors = fails("import tempfile; tempfile.tempdir = '/nowhere'; {}['sources']")
    assert code == 3 and "which no file could take" in errors and "Traceback" in errors


def test_passwords_of_addresses_are_not_logged(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["panoramix", "run", "https://me:secret@h.example/x"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert faults.report(KeyError("x")) == faults.UNKNOWN
    (log,) = tmp_path.glob("panoramix-error-*.log")
    assert "secret" not in (text := log.read_text()) and "h.example/x" in text


def test_the_traceback_of_a_part_goes_into_the_log(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    detail = "Traceback (most recent call last):\n  here"
    assert faults.report(RunError(f"t.read, part 3: KeyError: 'x'\n{detail}")) == faults.KNOWN
    (log,) = tmp_path.glob("panoramix-error-*.log")
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and f"t.read, part 3: KeyError: 'x'; the traceback is in {log}" in errors
    assert log.read_text().endswith(detail)


def test_a_function_that_prints_does_not_touch_stdout(tmp_path: pathlib.Path) -> None:
    code = "import os\ndef loud(text):\n    print('noise'); os.write(1, b'noise')\n    return 1\n"
    (tmp_path / "loud.py").write_text(code)
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "The mill stands by the river in the rain. " * 9}) + "\n")
    source = {"kind": "text", "files": "t.jsonl", "scores": [{"name": "loud", "function": "loud:loud"}]}
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "t", "sources": {"t": source}, "mixtures": {}}))
    done = command("run", "r.yaml", "--json", "--on", "local", cwd=tmp_path)
    assert json.loads(done.stdout)["sources"]["t"]["documents"] == 1 and "noise" in done.stderr


def test_an_input_that_vanishes_in_mid_run_is_one_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.jsonl").write_text('{"text": "one line of text"}\n')
    code = (
        "import shutil\nimport pipelines.commands.run as commands\nfrom pipelines.commands.exit import leave\n"
        "from pipelines.recipe.load import parse\nplan = commands.plan\n"
        "def and_remove_inputs(*a):\n    planned = plan(*a)\n    shutil.rmtree('a')\n    return planned\n"
        "commands.plan = and_remove_inputs\n"
        "recipe = parse({'sources': {'t': {'kind': 'text', 'files': 'a'}}, 'mixtures': {}}, 'r')\n"
        "leave(lambda: commands.execute(recipe, 'run', on='local', workers=1))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert line.startswith("panoramix: t.read") and "t.jsonl: No such file or directory" in line


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.sources.files import list_files

    (tmp_path / "locked").mkdir()
    real = os.access
    monkeypatch.setattr("os.access", lambda path, mode: "locked" not in str(path) and real(path, mode))
    for name in (f"{tmp_path}/locked/*.jsonl", f"{tmp_path}/locked/a/b.jsonl", f"{tmp_path}/locked/a*/*.jsonl"):
        with pytest.raises(ValueError, match=r"matches no file: .*/locked may not be listed by this user$"):
            list_files([name])
    with pytest.raises(ValueError, match=r"matches no file$"):
        list_files([f"{tmp_path}/other/*.jsonl"])


def test_the_version() -> None:
    done = command("--version")
    assert done.returncode == 0 and done.stdout.startswith("panoramix ") and "Python 3." in done.stdout
