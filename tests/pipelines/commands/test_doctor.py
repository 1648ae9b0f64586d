"""`panoramix doctor`: the lacks that a machine may have, each simulated, and what the command says that they cost."""

import collections
import json
import pathlib
import re
import socket
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands import doctor
from tests.pipelines.conftest import PROXIES, ROOT

Usage = collections.namedtuple("Usage", "total used free")
SECRET = "hf_0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def bare(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """No credentials, proxies or clusters of the machine that runs the tests."""
    for name in ("HF_TOKEN", "HF_HOME", "HF_TOKEN_PATH", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "RAY_ADDRESS", *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return tmp_path


def rows() -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    checks = {row["name"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == int(any(row["needed"] and row["lack"] for row in checks.values()))
    return checks


def test_each_subject_has_a_row_and_a_lack_its_cost() -> None:
    checks = rows()
    assert {"Python", "Tesseract", "fonts", "GPU", "Ray", "Ray cluster", "disk here", "temporary folder"} < set(checks)
    assert {"/dev/shm", "memory", "cores", "open files", "proxy", "S3", "Hugging Face"} < set(checks)
    table = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert all(name in table.stdout for name in checks)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom pipelines.commands.doctor import checks\nchecks()\n"
        "heavy = {'torch', 'transformers', 'ray', 'pyarrow.dataset', 'cv2', 'pymupdf', 'datatrove', 'onnxruntime'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_extras_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (table,) = re.findall(r"\[project.optional-dependencies\]\n(.*?)\n\[", text, re.S)
    assert set(re.findall(r"^(\w+) = \[", table, re.M)) == {*doctor.EXTRAS, "bench", "test"}
    assert f'requires-python = ">={"{}.{}".format(*doctor.PYTHONS[0])},<{"{}.{}".format(*doctor.PYTHONS[1])}"' in text


def test_a_missing_package_of_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    there = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name in ("torch", "peft") else there(name))
    row = rows()["extra train"]
    assert row["value"] == "without torch, peft" and "`panoramix train`" in row["lack"] and not row["needed"]
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name == "pydantic" else there(name))
    row = rows()["extra pipeline"]  # `rows` checks the exit code 1
    assert row["value"] == "without pydantic" and row["needed"] and "pip install 'panoramix[pipeline]'" in row["lack"]


def test_a_python_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 9), sys.version_info[:2]))
    row = rows()["Python"]
    assert row["needed"] and row["lack"].startswith("panoramix needs Python 3.9 or newer")


def test_tesseract(monkeypatch: pytest.MonkeyPatch, bare: pathlib.Path) -> None:
    from ocr import tesseract

    def fresh() -> dict[str, Any]:
        tesseract.version.cache_clear()
        tesseract.languages.cache_clear()
        try:
            return rows()["Tesseract"]
        finally:
            tesseract.version.cache_clear()
            tesseract.languages.cache_clear()

    monkeypatch.setenv("PATH", str(bare))
    assert "no_text_layer" in fresh()["lack"]
    program = bare / "tesseract"
    program.write_text(
        "#!/bin/sh\ncase $1 in --version) echo tesseract 5.3.0;; *) echo List; echo deu; echo eng;; esac\n"
    )
    program.chmod(0o755)
    assert fresh() == {"name": "Tesseract", "value": "5.3.0, languages deu, eng", "lack": "", "needed": False}


def test_a_cluster_that_is_named_but_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none runs here" in rows()["Ray cluster"]["value"]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    row = rows()["Ray cluster"]
    assert row["value"] == "127.0.0.1:1 does not answer" and "`ray start --head`" in row["lack"]


def test_a_full_disk_and_a_small_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9, 64_000_000))
    checks = rows()
    assert checks["disk here"]["value"].startswith("0.1 GB free in ") and "--out" in checks["disk here"]["lack"]
    assert "--shm-size" in checks["/dev/shm"]["lack"]


def test_a_temporary_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, bare: pathlib.Path) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(bare / "gone"))
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(bare))
    row = rows()["temporary folder"]
    assert row["needed"] and "not writable" in row["lack"]


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({"cpu.max": "150000 100000", "memory.max": "1000000000"}, "limited to 1.5", "limited to 1.0 GB"),
        ({"cpu.max": "max 100000", "memory.max": "max"}, "", "available"),
        ({}, "", "available"),
        (
            {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000", "memory.limit_in_bytes": "2000000000"},
            "limited to 0.5",
            "limited to 2.0 GB",
        ),
        (
            {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000", "memory.limit_in_bytes": str(1 << 62)},
            "",
            "available",
        ),
    ],
)
def test_limits_of_a_container(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: str, memory: str) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)))
    monkeypatch.setattr(doctor, "_cgroup", lambda controller, name: iter([files[name]] if name in files else []))
    checks = rows()
    assert cores in checks["cores"]["value"] and bool(checks["cores"]["lack"]) == bool(cores)
    assert memory in checks["memory"]["value"]
    if "limited" in memory:
        assert "--workers 1" in checks["memory"]["lack"]


def test_the_limit_of_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (256, 1024))
    row = rows()["open files"]
    assert row["value"] == "256" and row["lack"].endswith("ulimit -n 1024")


def test_a_proxy_that_catches_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@proxy.example:3128")
    row = rows()["proxy"]
    assert row["value"] == "http by proxy.example:3128" and "no_proxy=localhost,127.0.0.1" in row["lack"]
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert rows()["proxy"]["lack"] == ""


def test_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch, bare: pathlib.Path) -> None:
    assert "hf auth login" in rows()["Hugging Face"]["lack"]
    for name in ("HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    checks = rows()
    assert (checks["Hugging Face"]["value"], checks["Hugging Face"]["lack"]) == ("HF_TOKEN", "")
    assert checks["Ray token"]["value"] == "RAY_AUTH_TOKEN"
    assert SECRET not in json.dumps(checks)


def test_a_server_that_is_not_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert "does not answer as a Ray cluster does" in rows()["Ray cluster"]["lack"]
