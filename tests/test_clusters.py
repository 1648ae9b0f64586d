"""The files of docs/clusters/: the RayJob by its schema, and the Slurm file run by a Slurm of two small scripts."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.test_agents import check

ROOT = Path(__file__).resolve().parents[1]
CLUSTERS = ROOT / "docs" / "clusters"
JOB: dict[str, Any] = yaml.safe_load((CLUSTERS / "rayjob.yaml").read_text("utf-8"))
SBATCH = (CLUSTERS / "panoramix.sbatch").read_text("utf-8")


def table(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


def each(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"type": "string", "pattern": r"^[0-9.]+(m|[KMGT]i?)?$"}  # apimachinery's resource.Quantity
RESOURCES = table(
    "requests limits", **dict.fromkeys(("requests", "limits"), table("cpu memory", cpu=QUANTITY, memory=QUANTITY))
)
# rayStartParams is a map of strings: a number without quotes is refused by the API server
START = {"type": "object", "propertyNames": {"pattern": "^[a-z-]+$"}, "additionalProperties": TEXT}
CONTAINER = table(
    "name image resources",
    name=NAME,
    image=TEXT,
    envFrom=each(table("secretRef", secretRef=table("name", name=NAME))),
    ports=each(table("containerPort", containerPort={"type": "integer", "maximum": 65535}, name=NAME)),
    resources=RESOURCES,
    volumeMounts=each(table("name mountPath", name=NAME, mountPath={"type": "string", "pattern": "^/"})),
)
VOLUME = table(
    "name",
    name=NAME,
    emptyDir=table("", medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY),
    configMap=table("name", name=NAME),
)
POD = table("spec", spec=table("containers", containers=each(CONTAINER), volumes=each(VOLUME)))
HEAD = table("rayStartParams template", rayStartParams=START, template=POD)
WORKERS = table(
    "groupName rayStartParams template",
    groupName=NAME, replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT, rayStartParams=START, template=POD,
)  # fmt: skip
CLUSTER = table(
    "headGroupSpec workerGroupSpecs rayVersion",
    rayVersion=TEXT,
    authOptions=table("mode", mode={"enum": ["token", "disabled"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    headGroupSpec=HEAD,
    workerGroupSpecs=each(WORKERS),
)
#: the part of ray.io/v1's RayJob that the file uses (KubeRay 1.6, docs.ray.io/en/master/cluster/kubernetes/references)
RAYJOB = table(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=table("name", name=NAME),
    spec=table(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)


def test_the_rayjob_follows_the_schema() -> None:
    jsonschema.validate(JOB, RAYJOB)


def test_the_schema_notices_faults() -> None:
    for change in (
        {"kind": "RayCluster"},
        {"spec": {**JOB["spec"], "entrypoints": "x"}},
        {"spec": {**JOB["spec"], "rayClusterSpec": {"rayVersion": "2"}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**JOB, **change}, RAYJOB)


def test_the_rayjob_is_consistent() -> None:
    cluster = JOB["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({c["image"] for pod in pods for c in pod["containers"]}) == 1  # the same environment
    assert len({str(c["envFrom"]) for pod in pods for c in pod["containers"]}) == 1  # the same credentials
    for group, pod in zip(groups, pods, strict=True):
        volumes = {v["name"]: v for v in pod["volumes"]}
        (container,) = pod["containers"]
        mounts = {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"]}
        shared = int(mounts["/dev/shm"]["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30
        assert int(group["rayStartParams"]["object-store-memory"]) < shared
        assert container["resources"]["requests"] == container["resources"]["limits"]
    assert not any("env_vars" in str(JOB["spec"].get(key)) for key in ("runtimeEnvYAML",))
    constraints = (ROOT / "constraints.txt").read_text()
    assert f"ray=={cluster['rayVersion']}\n" in constraints
    assert f"rayproject/ray:{cluster['rayVersion']}-py311" in (ROOT / "docs" / "clusters.md").read_text("utf-8")


def test_the_command_of_the_rayjob() -> None:
    program, *arguments = shlex.split(JOB["spec"]["entrypoint"])
    assert program == "panoramix" and "s3://" in arguments[arguments.index("--out") + 1]
    check(arguments)


# ---- Slurm


def test_the_syntax_of_the_sbatch_file() -> None:
    assert subprocess.run(["bash", "-n"], input=SBATCH, text=True, capture_output=True).stderr == ""


def test_the_options_of_the_sbatch_file() -> None:
    head, _, body = SBATCH.partition("set -euo pipefail")
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", head, re.M))
    assert SBATCH.startswith("#!/bin/bash\n") and "#SBATCH" not in body  # Slurm reads none behind the first command
    assert len(re.findall("^#SBATCH", head, re.M)) == len(options)
    assert options["ntasks-per-node"] == "1" and int(options["nodes"]) > 1 and int(options["cpus-per-task"]) > 1
    assert re.fullmatch(r"\d+[MGT]", options["mem"]) and re.fullmatch(r"\d+:\d\d:\d\d", options["time"])
    (arguments,) = re.findall(r"^panoramix (.+)$", body, re.M)
    check(shlex.split(arguments))


@pytest.mark.slow
def test_the_sbatch_file_runs(tmp_path: Path) -> None:
    """On an allocation of this machine alone, with `scontrol` and `srun` as Slurm has them, but for one node."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    scripts = {
        "scontrol": 'test "$1 $2" = "show hostnames" && echo node1',
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "panoramix": f'exec {sys.executable} -m pipelines "$@"',
        "activate": "true",
    }
    for name, script in scripts.items():
        (fakes / name).write_text(f"#!/bin/bash\n{script}\n")
        (fakes / name).chmod(0o755)
    (tmp_path / "t.jsonl").write_text('{"text": "one line"}\n')
    (tmp_path / "r.yaml").write_text(
        f"name: slurm\nsources: {{t: {{kind: text, files: {tmp_path}/t.jsonl}}}}\nmixtures: {{}}\n"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {"SLURM_JOB_ID": str(secrets.randbelow(20000)), "SLURM_JOB_NODELIST": "node1", "SLURM_JOB_NUM_NODES": "1"}
    env |= {"SLURM_CPUS_PER_TASK": "2", "PANORAMIX_VENV": str(tmp_path), "PYTHONPATH": str(ROOT)}
    env |= {"PATH": f"{fakes}:{os.path.dirname(sys.executable)}:{env['PATH']}", "RAY_TMPDIR": f"/tmp/r{os.getpid()}"}
    command = ["bash", str(CLUSTERS / "panoramix.sbatch"), "r.yaml", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=540)
    assert (tmp_path / "run" / "stats.json").exists(), done.stdout + done.stderr
