"""`panoramix doctor`: what this machine has, and what each lack costs. Nothing heavy is imported; no secret is printed.

Each function gives the rows of one subject. A lack of something that every run needs makes the exit code 1.
"""

import contextlib
import glob
import importlib.metadata
import json
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from manifests import ray_cluster
from pipelines.commands.common import Json, out
from pipelines.commands.faults import version

GB = 1e9
PYTHONS = ((3, 11), (3, 13))  # the first version, and the first that is too new (pyproject.toml, requires-python)
WORKER_GB = 2  # a worker holds a batch, the model of its stage and one row group; the engine stops it at 6 GiB
FREE_GB = 10  # room for a small run: shards, and the same bytes once more in stages/
SHM_GB = 1  # Docker gives /dev/shm 64 MB
FILES = 4096  # a crawl holds sockets of many hosts, and the loader up to 128 files of each run
#: extra -> what a run cannot do without it. `bench` and `test` are for developers of this project.
EXTRAS = {
    "pipeline": "no run is possible: only shards.loader works",
    "pdf": "PDF sources and `panoramix pages` do not work",
    "ray": "`--on ray` does not work; runs use this machine alone",
    "train": "`panoramix train` and `panoramix ablate` do not work",
    "models": "images.models and images.similarity do not work",
    "words": "text.common_words: wordfreq does not work",
    "datatrove": "datatrove's filters that split words do not work",
}


@dataclass(frozen=True)
class Row:
    name: str
    value: str
    lack: str = ""  # what is not possible, or slow; empty if nothing lacks
    needed: bool = False  # by every run


def doctor(as_json: Json = False) -> None:
    """What this machine has and lacks for a run, and what each lack costs; exit 1 if no run is possible."""
    rows = checks()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        out.print(_table(rows))
    raise typer.Exit(1 if any(row.needed and row.lack for row in rows) else 0)


def checks() -> list[Row]:
    subjects = (_python, _extras, _tesseract, _fonts, _gpu, _ray, _disk, _memory, _open_files, _proxies, _stores)
    return [row for subject in subjects for row in subject()]


def _table(rows: list[Row]) -> Table:
    table = Table("", "what", "found", "what it costs", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        mark = "ok" if not row.lack else "NO" if row.needed else "-"
        table.add_row(mark, row.name, row.value, row.lack)
    return table


def _python() -> Iterator[Row]:
    first, beyond = PYTHONS
    fits = first <= sys.version_info[:2] < beyond
    lack = "" if fits else f"panoramix needs Python {first[0]}.{first[1]} or newer, below {beyond[0]}.{beyond[1]}"
    yield Row("panoramix", version())
    yield Row("Python", f"{platform.python_version()} in {sys.prefix}", lack, needed=True)


def _extras() -> Iterator[Row]:
    try:
        requirements = importlib.metadata.requires("panoramix") or []
    except importlib.metadata.PackageNotFoundError:
        yield Row("extras", "unknown", "panoramix is not installed as a package: pip install -e '.[pipeline]'")
        return
    matches = [re.match(r"([\w.-]+).*?extra\s*==\s*[\"'](\w+)", text) for text in requirements]
    for extra, cost in EXTRAS.items():
        packages = [match[1] for match in matches if match and match[2] == extra]
        missing = [name for name in packages if not _installed(name)]
        value = f"without {', '.join(missing)}" if missing else "installed"
        install = f"; pip install 'panoramix[{extra}]'"
        yield Row(f"extra {extra}", value, f"{cost}{install}" if missing else "", needed=extra == "pipeline")


def _installed(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tesseract() -> Iterator[Row]:
    from ocr import tesseract

    scans = "scanned PDF pages are refused as no_text_layer"
    if (found := tesseract.version()) is None:
        yield Row("Tesseract", "none", f"{scans}; apt-get install tesseract-ocr")
        return
    languages = sorted(tesseract.languages() - {"osd"})
    value = f"{found}, languages {', '.join(languages) or 'none'}"
    yield Row("Tesseract", value, "" if languages else f"{scans}; apt-get install tesseract-ocr-eng")


def _fonts() -> Iterator[Row]:
    yield Row("fonts", "none needed: a PDF is drawn with its own fonts, or with those inside MuPDF")


def _gpu() -> Iterator[Row]:
    devices = glob.glob("/dev/nvidia[0-9]*")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not devices or visible in ("", "-1"):
        value = "none" if not devices else "hidden by CUDA_VISIBLE_DEVICES"
        yield Row("GPU", value, "training and models of images run on the processor, which is slow")
        return
    names = []
    for path in sorted(glob.glob("/proc/driver/nvidia/gpus/*/information")):
        names += re.findall(r"^Model:\s*(.+)$", Path(path).read_text(encoding="utf-8", errors="replace"), re.M)
    yield Row("GPU", f"{len(devices)}: {', '.join(names) or 'no name'}")


def _ray() -> Iterator[Row]:
    own = _installed("ray")
    yield Row("Ray", own or "none", "" if own else f"{EXTRAS['ray']}; pip install 'panoramix[ray]'")
    yield Row("Ray token", ray_cluster.token_source(os.environ) or "none (needed where a cluster asks for one)")
    address = ray_cluster.usual_address() if own else None
    if address is None:
        yield Row("Ray cluster", "none runs here, and RAY_ADDRESS names none; `--on ray` starts one")
        return
    try:
        ray_cluster.auth_mode(address, seconds=1)
        yield Row("Ray cluster", f"{address} answers")
    except ray_cluster.ClusterError as e:
        yield Row("Ray cluster", f"{address} does not answer", str(e))


def _disk() -> Iterator[Row]:
    """The folders that runs write to: the current one, the temporary one, and those of Ray."""
    run = f"a run stops where the disk is full; free {FREE_GB} GB, or give --out another place"
    places = {
        "disk here": (os.getcwd(), FREE_GB, run),
        "temporary folder": (tempfile.gettempdir(), 1, "fetched images and unfinished uploads lie there; set TMPDIR"),
        "Ray's folder": (ray_cluster.temporary_folder(), 1, "Ray refuses work on a full disk; set RAY_TMPDIR"),
        "/dev/shm": (
            "/dev/shm",
            SHM_GB,
            "Ray's object store and the loader's workers use it: docker run --shm-size=8g",
        ),
    }
    for name, (path, enough, cost) in places.items():
        while not os.path.exists(path) and path != "/":  # Ray makes its folder
            path = os.path.dirname(path)
        free = shutil.disk_usage(path).free / GB
        may = os.access(path, os.W_OK)
        lack = "" if may and free >= enough else cost if may else f"{path} is not writable for this user"
        yield Row(name, f"{free:,.1f} GB free in {path}", lack, needed=name == "temporary folder" and not may)


def _memory() -> Iterator[Row]:
    cores, quota = len(os.sched_getaffinity(0)), _cores_of_cgroup()
    limited = quota is not None and quota < cores
    few = (
        f"a run starts {cores} workers for {quota:g} cores; use --workers {max(1, int(quota or 1))}" if limited else ""
    )
    yield Row("cores", f"{cores}" + (f", limited to {quota:g} by the cgroup" if limited else ""), few)
    if not os.path.exists("/proc/meminfo"):  # another system than Linux
        return
    with open("/proc/meminfo", encoding="ascii") as f:
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in f)}
    free, limit = kilobytes["MemAvailable"] * 1024 / GB, _memory_of_cgroup()
    limit = None if limit is None or limit > kilobytes["MemTotal"] * 1024 else limit
    most = free if limit is None else min(free, limit / GB)
    value = f"{free:,.1f} GB available" + (f", limited to {limit / GB:,.1f} GB by the cgroup" if limit else "")
    fits = int(most / WORKER_GB)
    cost = f"{cores} workers may use more than that, and the kernel kills them; use --workers {max(1, fits)}"
    yield Row("memory", value, "" if fits >= cores else cost)


def _cores_of_cgroup() -> float | None:
    """Cores that the cgroup of this process may use (version 2, else 1); None without a limit."""
    for text in _cgroup("cpu", "cpu.max"):
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    for quota, period in zip(_cgroup("cpu", "cpu.cfs_quota_us"), _cgroup("cpu", "cpu.cfs_period_us"), strict=False):
        return None if int(quota) <= 0 else int(quota) / int(period)
    return None


def _memory_of_cgroup() -> int | None:
    """Bytes that the cgroup of this process may use (version 2, else 1); None without a limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        for text in _cgroup("memory", name):
            return None if text == "max" else int(text)
    return None


def _cgroup(controller: str, name: str) -> Iterator[str]:
    """The content of a file of this process's cgroup, if there is one. In a container the cgroup is the root."""
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as f:
        for line in f:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            base = f"/sys/fs/cgroup/{controller}" if controllers else "/sys/fs/cgroup"
            for folder in (f"{base}{path}", base):
                with contextlib.suppress(OSError):
                    yield Path(folder, name).read_text(encoding="ascii").strip()
                    return


def _open_files() -> Iterator[Row]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cost = f"crawls of many hosts end with `Too many open files`; ulimit -n {FILES if hard < 0 else min(FILES, hard)}"
    yield Row("open files", f"{'no limit' if soft < 0 else soft}", cost if 0 <= soft < FILES else "")


def _proxies() -> Iterator[Row]:
    proxies = urllib.request.getproxies_environment()
    named = {scheme: proxies[scheme] for scheme in ("http", "https", "all", "grpc") if scheme in proxies}
    if not named:
        yield Row("proxy", "none")
        return
    value = ", ".join(f"{scheme} by {_host(proxy)}" for scheme, proxy in named.items())
    cost = "requests to this machine go to the proxy (Ray, a local store); export no_proxy=localhost,127.0.0.1"
    caught = not urllib.request.proxy_bypass_environment("127.0.0.1", proxies)  # type: ignore[attr-defined]
    yield Row("proxy", value, cost if caught else "")


def _host(proxy: str) -> str:
    """Host and port of a proxy, without its password."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _stores() -> Iterator[Row]:
    """Whether credentials are there; their values are not read."""
    roles = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    s3 = _first(("AWS_ACCESS_KEY_ID", "AWS_PROFILE", *roles), file)
    cost = "s3:// needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless this machine has a role"
    if _installed("s3fs") is None:
        yield Row("S3", "no s3fs", "s3:// addresses do not work; pip install s3fs")
    else:
        yield Row("S3", s3 or "no credentials", "" if s3 else cost)
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    hub = _first(("HF_TOKEN",), os.environ.get("HF_TOKEN_PATH") or f"{home}/token")
    cost = "`panoramix publish` to the Hub is refused; hf auth login"
    yield Row("Hugging Face", hub or "no token", "" if hub else cost)


def _first(variables: tuple[str, ...], file: str) -> str | None:
    """Where a credential comes from: the first variable that is set, or the file."""
    there = [name for name in variables if os.environ.get(name)]
    return there[0] if there else file if os.path.isfile(os.path.expanduser(file)) else None
