"""Ray as a newcomer meets it: a cluster started as Ray's own help prints it, with a token and without."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import psutil
import pytest

from tests.pipelines.conftest import PROXIES

from .cluster import ROOT, _port

pytestmark = pytest.mark.slow
TOKEN, WRONG = "0123456789abcdef" * 2, "f" * 32
DRIVER = (
    "import sys\nfrom pipelines.engine.on_ray import OnRay\nfrom tests.pipelines.engine.test_run import go, plan\n"
    "print(go(sys.argv[2], plan(), lambda: OnRay(sys.argv[1])).outputs['score'].rows('scores'))"
)


class Head:
    """A head node: its ports, and drivers with a home folder and a mode of their own."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.gcs, self.client_port = folder, _port(), _port()
        self.addresses = (f"127.0.0.1:{self.gcs}", f"ray://127.0.0.1:{self.client_port}")

    def environ(self, token: str | None, **more: str) -> dict[str, str]:
        home = self.folder / f"home-{token}"
        if token and not home.exists():
            (home / ".ray").mkdir(parents=True)
            (home / ".ray" / "auth_token").write_text(token)
        home.mkdir(exist_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k not in PROXIES}
        return {**env, "HOME": str(home), "PYTHONPATH": str(ROOT), **more}

    def connect(self, address: str, token: str | None, **more: str) -> tuple[int, str]:
        """The exit code of a driver, and the last line of what it printed."""
        with tempfile.TemporaryDirectory(dir=self.folder) as run:
            command = [sys.executable, "-c", DRIVER, address, run]
            env = self.environ(token, **more)
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
        return done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1]


@contextlib.contextmanager
def head(token: str | None) -> Iterator[Head]:
    """`ray start --head` with ports of its own; stopped by the home folder that its processes have in common."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        node = Head(pathlib.Path(folder))
        ray = os.path.join(os.path.dirname(sys.executable), "ray")
        ports = [f"--port={node.gcs}", f"--ray-client-server-port={node.client_port}", f"--temp-dir={folder}"]
        small = ["--num-cpus=2", "--object-store-memory=80000000", "--include-dashboard=false"]
        env = node.environ(token, RAY_USAGE_STATS_ENABLED="0", NODE_OF=folder)
        try:
            command = [ray, "start", "--head", *ports, *small]
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stdout + done.stderr
            yield node
        finally:
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if process.environ().get("NODE_OF") == folder:
                        process.kill()


@pytest.fixture(scope="module")
def with_tokens() -> Iterator[Head]:
    with head(TOKEN) as node:
        yield node


@pytest.fixture(scope="module")
def without_tokens() -> Iterator[Head]:
    with head(None) as node:
        yield node


@pytest.mark.parametrize("address", [0, 1])
def test_the_token_at_hand_is_used(with_tokens: Head, address: int) -> None:
    assert with_tokens.connect(with_tokens.addresses[address], TOKEN) == (0, "1000")


def test_the_token_of_a_variable_is_used(with_tokens: Head) -> None:
    assert with_tokens.connect(with_tokens.addresses[0], None, RAY_AUTH_TOKEN=TOKEN) == (0, "1000")


@pytest.mark.parametrize("address", [0, 1])
@pytest.mark.parametrize(
    ("token", "mode", "cause"),
    [
        (None, {}, "the cluster asks for a token, and this machine has none; `ray get-auth-token`"),
        (None, {"RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE is `token`, but this machine has no token"),
        (WRONG, {}, "the cluster refuses the token of ~/.ray/auth_token"),
        (WRONG, {"RAY_AUTH_MODE": "token"}, "the cluster refuses the token of ~/.ray/auth_token"),
        (TOKEN, {"RAY_AUTH_TOKEN": WRONG}, "the cluster refuses the token of RAY_AUTH_TOKEN"),
        (TOKEN, {"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is `disabled` here; unset it"),
    ],
)
def test_a_token_that_does_not_work_is_one_line(
    with_tokens: Head, address: int, token: str | None, mode: dict[str, str], cause: str
) -> None:
    where = with_tokens.addresses[address]
    code, line = with_tokens.connect(where, token, **mode)
    assert code == 1 and f"RunError: --on {where}: " in line and cause in line


@pytest.mark.parametrize("address", [0, 1])
@pytest.mark.parametrize(("token", "mode"), [(None, {}), (TOKEN, {}), (TOKEN, {"RAY_AUTH_MODE": "token"})])
def test_a_cluster_without_tokens(without_tokens: Head, address: int, token: str | None, mode: dict[str, str]) -> None:
    assert without_tokens.connect(without_tokens.addresses[address], token, **mode) == (0, "1000")


def test_the_other_port_of_a_cluster(without_tokens: Head) -> None:
    swapped = f"127.0.0.1:{without_tokens.client_port}", f"ray://127.0.0.1:{without_tokens.gcs}"
    for address, other in zip(swapped, ("ray://", "6379"), strict=True):
        code, line = without_tokens.connect(address, None)
        assert code == 1 and "not the port" in line and other in line


def test_a_cluster_of_another_python(without_tokens: Head) -> None:
    """The head's own entry about its versions is changed, as if another Python had started it."""
    change = (
        "import json, sys\nfrom ray._raylet import GcsClient\nclient = GcsClient(address=sys.argv[1])\n"
        "old = client.internal_kv_get(b'CLUSTER_METADATA', namespace=b'cluster', timeout=30)\n"
        "new = sys.argv[2].encode() or json.dumps({**json.loads(old), 'python_version': '3.9.1'}).encode()\n"
        "client.internal_kv_put(b'CLUSTER_METADATA', new, True, b'cluster', 30)\nprint(old.decode())"
    )

    def put(value: str) -> str:
        command = [sys.executable, "-c", change, without_tokens.addresses[0], value]
        env = without_tokens.environ(None)
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()

    before = put("")
    try:
        code, line = without_tokens.connect(without_tokens.addresses[0], None)
        assert code == 1 and "the cluster has Ray " in line and "Python 3.9.1" in line and "ray job submit" in line
        code, line = without_tokens.connect(without_tokens.addresses[1], None)
        assert code == 1 and "Version mismatch" in line and "3.9.1" in line
    finally:
        put(json.dumps(json.loads(before)))


def test_the_command_finds_the_cluster_of_this_machine(without_tokens: Head, tmp_path: pathlib.Path) -> None:
    """`--on ray` without RAY_ADDRESS takes the cluster that `ray start` started last, as `ray.init()` does.

    The paths of the recipe and of the run are relative to the driver's folder, which is not that of the nodes.
    """
    (tmp_path / "t.jsonl").write_text('{"text": "one line"}\n')
    (tmp_path / "r.yaml").write_text("name: t\nsources: {t: {kind: text, files: t.jsonl}}\nmixtures: {}\n")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(without_tokens.addresses[0])
    command = [sys.executable, "-m", "pipelines", "run", "r.yaml", "--on", "ray", "--out", "run"]
    code = (
        f"import runpy, sys, ray; start = ray.init\n"
        "def init(address=None, **options):\n    print('connects to', address, file=sys.stderr)\n"
        "    return start(address, **options)\n"
        f"ray.init = init\nsys.argv = {command[2:]!r}\nrunpy.run_module('pipelines', run_name='__main__')"
    )
    env = without_tokens.environ(None, RAY_TMPDIR=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert f"connects to {without_tokens.addresses[0]}" in done.stderr
    assert (tmp_path / "run" / "stats.json").exists(), done.stderr
