"""Whether a Ray cluster lets a driver connect, and if not, the cause and the command in one line.

Ray's own client retries for 20 to 40 s and then says "Failed to connect", whatever the cause. In token mode without a
token, it aborts its process. So a child process asks the cluster first. This process imports no Ray here.

Since version 2.60, `ray start --head` asks drivers for a token where ~/.ray/auth_token exists (the first `ray.init()`
of a machine makes that file), but a driver that names an address does not send the token by itself.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASK_S = 8  # time for the answer of the cluster, once the child has imported Ray
CONNECT_S = 5.0
MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

# Prints {"fault": ...} or {"ray": version, "python": version, "own": ..., "node": whether this machine is a node}.
_ASK = """
import json, signal, sys
address, seconds = sys.argv[1], int(sys.argv[2])
def answer(**facts):
    print(json.dumps(facts), flush=True)
    sys.exit()
import ray
signal.alarm(seconds)  # the calls below may block without end; the signal ends the process
if address.startswith("ray://"):
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import ray_client_pb2 as messages, ray_client_pb2_grpc as services
    stub = services.RayletDriverStub(init_grpc_channel(address[6:], options=[], asynchronous=False))
    try:
        stub.ClusterInfo(messages.ClusterInfoRequest(type=messages.ClusterInfoType.PING), wait_for_ready=True)
    except grpc.RpcError as e:
        faults = {"UNAUTHENTICATED": "token", "UNIMPLEMENTED": "port"}
        answer(fault=faults.get(e.code().name, e.code().name.lower() + ": " + str(e.details())))
    answer(node=True)
from ray._private import services
from ray._raylet import GcsClient
try:
    client = GcsClient(address=address)
    versions = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=seconds) or b"{}")
    nodes = {node.hex() for node in client.get_all_node_info(timeout=seconds)}
except ray.exceptions.AuthenticationError:
    answer(fault="token")
except ray.exceptions.RpcError as e:
    answer(fault="port" if e.rpc_code == 12 else str(e))  # gRPC's UNIMPLEMENTED
here = {str(node) for node in services.find_node_ids()}
answer(
    ray=versions.get("ray_version", ray.__version__),
    python=versions.get("python_version", sys.version.split()[0]),
    own=[ray.__version__, sys.version.split()[0]],
    node=not nodes or bool(nodes & here),
)
"""


class ClusterError(Exception):
    """A driver cannot connect. The message is one line with the address, the cause and what to do."""


def auth_mode(address: str, seconds: int | None = None) -> str | None:
    """The value of RAY_AUTH_MODE with which a driver can connect to `address`; None if the environment is right.

    address: HOST:PORT or ray://HOST:PORT. The token at hand is sent only to a cluster that asks for one, and only where
    RAY_AUTH_MODE is not set. seconds: for the cluster's answer, ASK_S if None. Raises ClusterError within that time.
    """
    _check_port(address)
    mode, source = os.environ.get(MODE), token_source(os.environ)
    if mode == "token" and source is None:
        raise ClusterError(f"{address}: {MODE} is `token`, but this machine has no token; {_TOKEN_REMEDY}")
    sent_mode = None
    reply = _ask(address, os.environ, seconds or ASK_S)
    if reply.get("fault") == "token" and mode is None and source is not None:
        sent_mode = "token"
        reply = _ask(address, {**os.environ, MODE: sent_mode}, seconds or ASK_S)
    if line := _fault(reply, address, mode, source):
        raise ClusterError(f"{address}: {line}")
    return sent_mode


def token_source(environ: Mapping[str, str]) -> str | None:
    """Where Ray finds a token: the name of a variable or a file; None if there is no token."""
    if environ.get(TOKEN):
        return TOKEN
    if path := environ.get(TOKEN_PATH):
        return path if os.path.isfile(path) else None
    file = Path("~/.ray/auth_token").expanduser()
    return "~/.ray/auth_token" if file.is_file() else None


def usual_address() -> str | None:
    """The cluster for a driver that names none: RAY_ADDRESS, else the cluster that `ray start` started last here.

    This is Ray's own rule for `ray.init()`. None if there is no such cluster, so that a driver has to start one.
    """
    named = os.environ.get("RAY_ADDRESS") or "auto"
    if named != "auto":
        return None if named == "local" else named
    try:
        address = Path(temporary_folder(), "ray_current_cluster").read_text().strip()
        _check_port(address)
    except (OSError, ClusterError):  # no cluster was started here, or it has ended
        return None
    return address


def temporary_folder() -> str:
    """Ray's folder on this machine, by Ray's rule: logs, sockets, and objects that memory cannot hold."""
    parent = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR")
    return os.path.join(parent or ("/tmp" if os.name == "posix" else tempfile.gettempdir()), "ray")


_TOKEN_REMEDY = (
    "`ray get-auth-token` prints it on the head node: put it into ~/.ray/auth_token here, or into RAY_AUTH_TOKEN"
)


_HOSTS = "HOST:6379 (the port of `ray start --head`) or ray://HOST:10001"


def _check_port(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if "://" in host:
        raise ClusterError(f"{address}: an address of `ray job submit`; a driver needs {_HOSTS}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as e:
        fault = e if isinstance(e, OSError) else "not HOST:PORT"
        remedy = "start one with `ray start --head`, or use `--on local`"
        raise ClusterError(f"{address}: no Ray cluster answers there ({fault}); {remedy}") from None


def _ask(address: str, environ: Mapping[str, str], seconds: int) -> dict[str, Any]:
    """What the child found; nothing if it could not tell, as with another version of Ray.

    Then the driver tries to connect, and Ray's own error counts.
    """
    command = [sys.executable, "-c", _ASK, address, str(seconds)]
    done = subprocess.run(command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if lines and lines[-1].startswith("{"):
        reply: dict[str, Any] = json.loads(lines[-1])
        return reply
    return {"fault": "silent"} if done.returncode == -14 else {}  # SIGALRM


def _fault(reply: Mapping[str, Any], address: str, mode: str | None, source: str | None) -> str | None:
    client, host = address.startswith("ray://"), address.removeprefix("ray://").rpartition(":")[0]
    job = f"`ray job submit --address http://{host}:8265 -- panoramix run ...`"
    fault = reply.get("fault")
    if fault == "token":
        if mode not in (None, "token"):
            return f"the cluster asks for a token, but {MODE} is `{mode}` here; unset it, or set it to `token`"
        if source is None:
            return f"the cluster asks for a token, and this machine has none; {_TOKEN_REMEDY}"
        return f"the cluster refuses the token of {source}, which is not its own; {_TOKEN_REMEDY}"
    if fault == "port":
        other = f"{host}:6379 if the head has Ray's usual port" if client else f"ray://{address}"
        return f"this is Ray, but not the port for {'ray://' if client else 'HOST:PORT'} addresses; try {other}"
    if fault == "silent":
        proxy = next((n for n in ("http_proxy", "https_proxy", "grpc_proxy") if client and os.environ.get(n)), None)
        hint = f"; {proxy} is set, so add {host} to no_proxy" if proxy else ""
        return f"something listens there, but it does not answer as a Ray cluster does{hint}; see `ray status`"
    if fault:
        return f"the cluster does not answer as it should ({' '.join(str(fault).split())}); see `ray status`"
    if reply.get("own") and [reply["ray"], reply["python"]] != reply["own"]:
        ours, theirs = "Ray {} and Python {}".format(*reply["own"]), f"Ray {reply['ray']} and Python {reply['python']}"
        return f"the cluster has {theirs}, this driver {ours}; install the same versions here, or run there: {job}"
    if reply.get("node") is False:
        start = f"`ray start --address={address}`"
        return f"this machine is not a node of the cluster; make it one with {start}, use ray://{host}:10001, or {job}"
    return None
