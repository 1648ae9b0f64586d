"""`make demo`: the whole job on the sample web, crawl to training, on this machine alone.

Starts the sample web on loopback, runs `pipelines/recipes/sample.yaml` through it into `runs/demo`, trains on the
shards, stops the web.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from rich.console import Console

from pipelines.commands.exit import leave
from pipelines.sample import write_conversations

HERE = pathlib.Path(__file__).resolve().parent
RUN = "runs/demo"


def main() -> None:
    began = time.monotonic()
    console = Console()
    pairs = pathlib.Path("runs/sample/pairs.csv")
    pairs.parent.mkdir(parents=True, exist_ok=True)
    web = subprocess.Popen(
        [sys.executable, "-m", "pipelines.sample", "--port", "0", "--pairs", str(pairs)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert web.stdout is not None
        line = web.stdout.readline()
        if not line:
            raise SystemExit("the sample web did not start; see the message above")
        proxy = line.rpartition("=")[2].strip()
        for name in ("http_proxy", "HTTP_PROXY"):
            os.environ[name] = proxy
        for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
            os.environ.pop(name, None)
        stats = _run(str(pairs), write_conversations(pairs.parent))
    finally:
        web.terminate()
        web.wait()
    made = time.monotonic()
    trained = _train()
    _show(console, stats, trained, made - began, time.monotonic() - made)


def _run(pairs: str, sets: dict[str, pathlib.Path]) -> dict[str, Any]:
    from pipelines.commands.run import execute
    from pipelines.recipe.load import read

    listed = ", ".join(f"{{name: {name}, files: {path}}}" for name, path in sets.items())
    settings = [
        f"pairs.urls={pairs}",
        f"conversations.sets=[{listed}]",
        "mixtures={stage1: stage1, stage2: stage2, sft: sft}",
    ]
    return execute(read(str(HERE / "recipes" / "sample.yaml"), settings), RUN, on="local")


def _train() -> dict[str, Any]:
    from trainer.run import train

    return train("trainer/recipes/demo.yaml", RUN, f"{RUN}/train")


def _show(
    console: Console, stats: dict[str, Any], trained: dict[str, Any], pipeline_s: float, training_s: float
) -> None:
    from pipelines.commands.run import tables

    console.print(*tables(stats), sep="\n")
    for stage in trained["stages"]:
        by_source = ", ".join(f"{s} {a:.2f} to {b:.2f}" for s, (a, b) in stage["by_source"].items())
        console.print(
            f"{stage['stage']}   {stage['steps']} steps; loss of each source's first and last batch: {by_source}",
            highlight=False,
        )
    first, last = trained["first_loss"], trained["last_loss"]
    console.print(
        f"loss     {first:.3f} at the first step, {last:.3f} at the last ({1 - last / first:.0%} less)", highlight=False
    )
    held = trained["stages"][-1]["held_out"]
    if held:
        console.print(
            f"held-out {held['pairs']} pairs: loss {held['normal']:.3f} with their own images, {held['permuted']:.3f} with each other's",
            highlight=False,
        )
    for config in ("interleaved", "pairs", "ocr", "conversations"):
        console.print(f"shards   {RUN}/shards/{config}/", highlight=False)
    console.print(f"report   {RUN}/report.html", highlight=False)
    console.print(f"took     {pipeline_s:.0f} s from crawl to shards, {training_s:.0f} s of training", highlight=False)


if __name__ == "__main__":
    leave(main)
