"""A run's shards as a pipeline of the webdataset library, for training code that is written for it.

Order, packing, mixture and exact resume are what `shards.loader` adds; here samples come shard by shard, as webdataset
reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec

from shards import manifest
from shards.manifest import ManifestError
from shards.store import Store


def as_webdataset(
    run: str | Path, config: str, split: str = "train", *, decode: str | None = "pil", **options: Any
) -> Any:
    """A ``webdataset.WebDataset`` over the shards that the manifest of `run`, a local folder, names for a
    configuration's split.

        for sample in shards.as_webdataset("runs/demo", "interleaved"):
            for text, image in zip(sample["json"]["texts"], sample["json"]["images"]):
                print(text if image is None else sample[image].size)

    A sample is a dict of ``__key__``, ``json`` (shards.fields), and its images by part name: ``0.jpg``, ``1.jpg`` ...
    in `interleaved`, ``jpg`` beside ``txt`` in `pairs` and `ocr`. ``decode``: how webdataset decodes images (``pil``,
    ``rgb8``, ``torchrgb`` ...); None leaves every part as bytes. ``options`` go to WebDataset: ``shardshuffle`` (here
    False if not given: the manifest's order), ``nodesplitter`` (``webdataset.split_by_node`` on several nodes),
    ``resampled``. What it returns takes webdataset's ``shuffle``, ``map``, ``batched`` ...

    Raises ImportError without webdataset, ManifestError where the run, the configuration or the split has no shards, or
    is not local.
    """
    try:
        import webdataset
    except ImportError as e:
        raise ImportError(
            f"as_webdataset needs the package webdataset, of the extra `pipeline`: pip install 'panoramix[pipeline]' ({e})"
        ) from e
    store = Store(run)
    if not store.local:
        raise ManifestError(
            f"{store.root}: webdataset opens local shards; copy the run here, or read it where it is with shards.loader.Loader"
        )
    listed = manifest.read(store)
    shards = listed.shards(config, split)
    if not shards:
        have = [
            f"{c} ({', '.join(sorted(s for s in splits if listed.shards(c, s)))})"
            for c, splits in sorted(listed.configs.items())
        ]
        raise ManifestError(
            f"{store.root}: no shards of config {config!r}, split {split!r}; there are {'; '.join(have) or 'none'}"
        )
    folder = Path(fsspec.core.url_to_fs(str(run))[1])  # a file:// address too
    paths = [str(folder / shard.path) for shard in shards]
    dataset = webdataset.WebDataset(paths, **{"shardshuffle": False, **options})
    return dataset if decode is None else dataset.decode(decode)
