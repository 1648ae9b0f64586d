"""The finished shards of a run that is at work, or was cut off: a small run of their own, to be published before the
rest is there.

A shard's name and bytes do not depend on when it is looked at, so what is published later adds the rest and sends none
of these again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines import packed
from pipelines.commands.run import UNFINISHED
from pipelines.engine.run import RunError, committed
from pipelines.engine.storage import Store
from pipelines.plan import CONFIGS, SPLITS, job
from pipelines.recipe.schema import Recipe
from shards import forget, mixture
from shards.manifest import NAME, VERSION
from shards.staging import scratch
from shards.tokens import load


@contextmanager
def so_far(root: str) -> Iterator[Path]:
    """A folder with the shards that are committed by now (hard links) and a manifest that names them, until the block
    ends.

    Its manifest says in `so_far` how many parts of each split are done, and of how many. Raises RunError where no run
    is under way, where its inputs are gone, or where no shard is finished.
    """
    store = Store(root)
    if not store.local or not store.exists(UNFINISHED):
        raise RunError(
            f"{root}: no run goes on in this folder, and none was cut off; publish what is finished without --so-far"
        )
    begun = json.loads(store.read(UNFINISHED))
    recipe = Recipe(**begun["recipe"])
    plan = job(recipe, root, begun["limit"])
    done = committed(plan.steps, root, plan.buckets)
    configs: dict[str, Any] = {}
    links: dict[str, str] = {}
    parts: dict[str, list[int]] = {}
    for source in plan.sources:
        for split in SPLITS:
            config, (of, found) = CONFIGS[source], done.get(f"{source}.{split}", (0, None))
            numbers = [] if found is None else sorted(set(found.table["part"].to_pylist()))
            parts[f"{config}/{split}"] = [len(numbers), of]
            for number in numbers:
                part = found[number]  # type: ignore[index]
                if packed.has_samples(part):
                    configs.setdefault(config, {}).setdefault(split, []).append(
                        packed.shard(config, split, number, part)
                    )
                    links |= packed.links(config, split, number, part)
    if not configs:
        raise RunError(f"{root}: no shard is finished yet")
    tokenizer = load(recipe.tokenizer)
    asked = store.read(forget.NAME) if store.exists(forget.NAME) else None
    manifest = {
        "version": VERSION,
        "name": recipe.name,
        "recipe": recipe.model_dump(),
        "limit": begun["limit"],
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256},
        "configs": configs,
        "forgotten": forget.digest(forget.read(asked, forget.NAME)),
        "so_far": parts,
    }
    with scratch(Path(root)) as folder:
        for target, name in links.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            os.link(store.path(name), folder / target)
        if asked is not None:
            (folder / forget.NAME).write_bytes(asked)
        (folder / "mixtures").mkdir()
        for stage, which in recipe.mixtures.items():
            try:
                chosen = mixture.load(which).available([c for c in configs if "train" in configs[c]], lambda line: None)
            except mixture.MixtureError:  # of sources that have no shard yet
                continue
            (folder / f"mixtures/{stage}.json").write_text(chosen.to_json())
        (folder / NAME).write_text(json.dumps(manifest, indent=1, sort_keys=True))
        yield folder
