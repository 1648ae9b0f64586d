"""Which cluster and which token a driver takes; tests/pipelines/engine/test_ray_tokens.py connects to real clusters."""

import pathlib
import socket
import sys
import threading

import pytest

from manifests import ray_cluster


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_token_comes_from_where_ray_looks_in_rays_order(home: pathlib.Path) -> None:
    assert ray_cluster.token_source({}) is None
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("a")
    assert ray_cluster.token_source({}) == "~/.ray/auth_token"
    other = str(home / ".ray" / "auth_token")
    assert ray_cluster.token_source({"RAY_AUTH_TOKEN_PATH": other}) == other
    assert ray_cluster.token_source({"RAY_AUTH_TOKEN_PATH": other, "RAY_AUTH_TOKEN": "b"}) == "RAY_AUTH_TOKEN"
    assert ray_cluster.token_source({"RAY_AUTH_TOKEN_PATH": "/nowhere"}) is None


def test_the_usual_address(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ray_cluster.usual_address() is None
    file = home / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        file.write_text(f"127.0.0.1:{server.getsockname()[1]}\n")
        assert ray_cluster.usual_address() == file.read_text().strip()
    assert ray_cluster.usual_address() is None  # the cluster has ended
    for named, address in {"h:1": "h:1", "auto": None, "": None, "local": None}.items():
        monkeypatch.setenv("RAY_ADDRESS", named)
        assert ray_cluster.usual_address() == address


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("127.0.0.1:1", "no Ray cluster answers there .*refused.* `ray start --head`"),
        ("ray://127.0.0.1:1", "no Ray cluster answers there .*refused"),
        ("127.0.0.1:99999", "no Ray cluster answers there"),
        ("cluster", r"not HOST:PORT"),
        ("http://127.0.0.1:8265", "an address of `ray job submit`; a driver needs HOST:6379 .* or ray://HOST:10001"),
    ],
)
def test_no_cluster_is_one_line(address: str, cause: str) -> None:
    with pytest.raises(ray_cluster.ClusterError, match=rf"^{address}: .*{cause}"):
        ray_cluster.auth_mode(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_server_that_is_not_ray_is_one_line(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(ray_cluster, "ASK_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        with pytest.raises(ray_cluster.ClusterError, match="something listens there, but it does not answer as a Ray"):
            ray_cluster.auth_mode(f"{scheme}127.0.0.1:{server.getsockname()[1]}")


def _accept(server: socket.socket) -> None:
    held = []
    while True:
        try:
            held.append(server.accept())
        except OSError:
            return


def test_ray_is_not_imported_here() -> None:
    import subprocess

    code = "import sys, manifests.ray_cluster; assert 'ray' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
