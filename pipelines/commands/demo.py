"""`make demo`: the whole job on the sample web, from the crawl to the trained model, on this machine alone.

Starts the sample web on loopback, runs `pipelines/recipes/sample.yaml` through it into `runs/demo`, trains on the
shards, stops the web.
"""

import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from rich.console import Console

from pipelines.commands.exit import leave
from pipelines.commands.run import execute
from pipelines.commands.show import run_tables
from pipelines.recipe.load import BUNDLED, read
from pipelines.sample.inputs import write_inputs

RUN = "runs/demo"
INPUTS = "runs/sample"


def main() -> None:
    began = time.monotonic()
    web = subprocess.Popen([sys.executable, "-m", "pipelines.sample", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert web.stdout is not None
        line = web.stdout.readline()
        if not line:
            raise SystemExit("the sample web did not start; see the message above")
        # all requests of this process go to the sample web
        os.environ |= dict.fromkeys(("http_proxy", "HTTP_PROXY"), line.rpartition("=")[2].strip())
        for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
            os.environ.pop(name, None)
        stats = execute(read(str(BUNDLED / "sample.yaml"), write_inputs(INPUTS)), RUN, on="local")
    finally:
        web.terminate()
        web.wait()
    from trainer.run import train  # loads torch, which the pipeline's processes shall not inherit

    packed = time.monotonic()
    trained = train(pathlib.Path("trainer/recipes/demo.yaml"), RUN, f"{RUN}/train")
    _show(Console(highlight=False), stats, trained, packed - began, time.monotonic() - packed)


def _show(
    console: Console, stats: dict[str, Any], trained: dict[str, Any], pipeline_s: float, training_s: float
) -> None:
    console.print(*run_tables(stats), sep="\n")
    for stage in trained["stages"]:
        by_source = ", ".join(f"{s} {a:.2f} to {b:.2f}" for s, (a, b) in stage["by_source"].items())
        console.print(f"{stage['stage']}   {stage['steps']} steps; first and last loss of each source: {by_source}")
    first, last = trained["first_loss"], trained["last_loss"]
    console.print(f"loss     {first:.3f} at the first step, {last:.3f} at the last ({1 - last / first:.0%} less)")
    if held := trained["stages"][-1]["held_out"]:
        console.print(
            f"held-out {held['pairs']} pairs: loss {held['normal']:.3f} with their own images, "
            f"{held['permuted']:.3f} with each other's"
        )
    for source in stats["sources"]:
        console.print(f"shards   {RUN}/shards/{source}/")
    console.print(f"report   {RUN}/report.html")
    console.print(f"took     {pipeline_s:.0f} s from crawl to shards, {training_s:.0f} s of training")


if __name__ == "__main__":
    leave(main)
