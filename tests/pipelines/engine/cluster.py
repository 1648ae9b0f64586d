"""A Ray cluster of `ray start` nodes on this machine, with a token of its own, stopped process by process."""

import contextlib
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import psutil

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Cluster:
    def __init__(self, folder: str, dashboard: bool):
        self.folder, self.dashboard = folder, dashboard
        # Ray replaces 127.0.0.1 by the machine's own address, so the head must get that address too
        ip = subprocess.run(
            [sys.executable, "-c", "import ray; print(ray.util.get_node_ip_address())"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.ip = ip.stdout.strip()
        self.address = f"{self.ip}:{_port()}"
        self.client = f"ray://{self.ip}:{_port()}"
        self.jobs = f"http://{self.ip}:{_port()}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, cpus: int) -> None:
        """Start one more node; the first is the head."""
        ray = os.path.join(os.path.dirname(sys.executable), "ray")
        own = [
            f"--num-cpus={cpus}",
            "--object-store-memory=80000000",
            f"--node-ip-address={self.ip}",
            "--disable-usage-stats",
            "--block",
        ]
        own += [
            f"--{name}-port={_port()}" for name in ("dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export")
        ]
        if not self.processes:
            head = [
                f"--port={self.address.rpartition(':')[2]}",
                f"--temp-dir={self.folder}",
                f"--include-dashboard={self.dashboard}",
            ]
            if self.dashboard:  # with ray[default] and ray[client] alone
                head += [
                    f"--ray-client-server-port={self.client.rpartition(':')[2]}",
                    f"--dashboard-port={self.jobs.rpartition(':')[2]}",
                ]
                head += [f"--dashboard-host={self.ip}"]
            command = [ray, "start", "--head", *head, *own]
        else:
            command = [ray, "start", f"--address={self.address}", *own]
        with open(os.path.join(self.folder, f"node-{len(self.processes)}.log"), "wb") as log:
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True))

    def kill(self, node: int) -> None:
        """Kill all processes of a node at once, as a power cut does."""
        try:
            top = psutil.Process(self.processes[node].pid)
            family = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for p in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                p.kill()
        self.processes[node].wait()


@contextlib.contextmanager
def cluster(nodes: int, cpus: int = 1, dashboard: bool = False) -> Iterator[Cluster]:
    """A running cluster. Meanwhile this process and its children have the cluster's token in their environment."""
    before = dict(os.environ)
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short, because it holds sockets
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(own)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    ray_cluster = Cluster(folder, dashboard)
    try:
        for n in range(nodes):
            ray_cluster.start(cpus)
            _wait(ray_cluster, n + 1)
        yield ray_cluster
    finally:
        for n in reversed(range(len(ray_cluster.processes))):
            ray_cluster.kill(n)
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(ray_cluster: Cluster, nodes: int) -> None:
    """Wait until `nodes` nodes have joined. Another process asks, because Ray of this process belongs to the test."""
    code = (
        "import ray, sys, time, logging\n"
        "ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)\n"
        "while sum(n['Alive'] for n in ray.nodes()) < int(sys.argv[2]): time.sleep(0.2)\n"
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if ray_cluster.processes[-1].poll() is not None:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (
                subprocess.run(
                    [sys.executable, "-c", code, ray_cluster.address, str(nodes)], capture_output=True, timeout=40
                ).returncode
                == 0
            ):
                return
        time.sleep(0.5)
    logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in pathlib.Path(ray_cluster.folder).glob("node-*.log"))
    raise RuntimeError(f"the cluster did not come up\n{logs}")


_used_ports: set[int] = set()


def _port() -> int:
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = int(s.getsockname()[1])
        if port not in _used_ports:
            _used_ports.add(port)
            return port
