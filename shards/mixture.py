"""What a training stage reads, and in which proportions: ``mixtures/<stage>.json``.

A weight counts packed sequences: the paper of Idefics2 gives shares of the examples, and each source its own sequence
length (arXiv 2405.02246, section 4.1). That a batch is of one source is a choice of this project; the paper does not
say so. So a weight of 0.7 means that seven batches of ten are of that source, whatever its size.

A mixture's table `sources` has one entry for each label. An entry without `match` is the source of that name. An entry
with ``match: {layout: interleaved}`` or ``match: {tag: ...}`` is every source of that layout or tag, so a preset serves
runs whose sources have any names. `Mixture.resolve` replaces the second form by the first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shards import plan
from shards.layout import LAYOUTS
from shards.manifest import SourceShards

#: what happens to a sample longer than its sequence: cut into pieces, one piece around an image, or left out
LONG = ("chunk", "window", "drop")
MODES = ("square", "native")
MOST_WEIGHT = 1e9  # so that the sum of weights is a number


class MixtureError(ValueError):
    """A mixture that does not say what it should; the message names the key."""


@dataclass(frozen=True)
class Image:
    mode: str = "native"
    longest: int = 980
    shortest: int = 378


@dataclass(frozen=True)
class Match:
    """The sources that an entry stands for: those that have the layout and the tag that are not None."""

    layout: str | None = None
    tag: str | None = None

    def __call__(self, source: SourceShards) -> bool:
        return self.layout in (None, source.layout) and self.tag in (None, source.tag)

    def __str__(self) -> str:
        return " and ".join(f"{key} {value!r}" for key, value in asdict(self).items() if value is not None)


@dataclass(frozen=True)
class Entry:
    weight: float
    sequence_length: int
    image: Image = field(default_factory=Image)
    long: str = "drop"
    patches: int | None = None  #: budget for the images of a sequence together; None: no limit
    patch: int = 14  #: side of a patch, pixels
    #: share of samples whose images are shown as 4 crops and the whole image (Idefics2, section 3.4), drawn each epoch
    split: float = 0.0
    match: Match | None = None  #: None: the label is the name of a source


@dataclass(frozen=True)
class Mixture:
    stage: str
    sources: dict[str, Entry]
    seed: int = 0
    batch_sequences: int = 64  #: sequences of a global batch
    tokens_per_image: int = 64

    def weights(self) -> np.ndarray:
        """Shares of the batches, in the order of `sources`, summing to one."""
        raw = np.array([entry.weight for entry in self.sources.values()], float)
        return np.asarray(raw / raw.sum())

    def check(self, names: Collection[str], tags: Collection[str] | None = None) -> None:
        """Raises MixtureError for an entry without `match` whose label is not among the names of sources, and for a tag
        that is not among `tags`, if they are given.
        """
        for label, entry in self.sources.items():
            if entry.match is None and label not in names:
                near = get_close_matches(label, list(LAYOUTS), 1)
                hint = f"; for every source of that layout: match: {{layout: {near[0]}}}" if near else ""
                _known(label, names, f"mixture {self.stage}: no source", hint)
            if tags is not None and entry.match is not None and entry.match.tag is not None:
                _known(entry.match.tag, tags, f"mixture {self.stage}: sources.{label}.match: no source has the tag")

    def resolve(
        self, sources: Mapping[str, SourceShards], say: Callable[[str], object] | None = None, split: str = "train"
    ) -> Mixture:
        """The same mixture with an entry for each source by name, and none without samples in `split`.

        Sources that one entry matches share its weight by size, in the order of their names:
        weight_i = weight * size_i / sum(size_j), with size = text tokens + images * tokens_per_image of the split.
        Entries without samples are left out, and `say` gets one line with the shares of the others. Raises MixtureError
        for a name that no source has, for a source that two entries stand for, and if no entry is left.
        """
        self.check(sources)
        shards = {name: source.shards(split) for name, source in sources.items() if source.shards(split)}
        sizes = {n: sum(s.tokens + s.images * self.tokens_per_image for s in own) or 1 for n, own in shards.items()}
        resolved: dict[str, Entry] = {}
        absent = []
        for label, entry in self.sources.items():
            match = entry.match
            names = [n for n in sorted(sizes) if (n == label if match is None else match(sources[n]))]
            if not names:
                absent.append(label if match is None else f"{label} ({match})")
            total = sum(sizes[name] for name in names)
            for name in names:
                if name in resolved:
                    raise MixtureError(f"mixture {self.stage}: two entries stand for the source {name!r}")
                resolved[name] = replace(entry, weight=entry.weight * (sizes[name] / total), match=None)
        if not resolved:
            raise MixtureError(f"mixture {self.stage}: none of its sources ({', '.join(absent)}) has samples here")
        out = replace(self, sources=resolved)
        if absent:
            say = say or partial(print, file=sys.stderr)
            shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(resolved, out.weights(), strict=True))
            say(f"mixture {self.stage}: no samples of {', '.join(absent)}; the rest is {shares}")
        return out

    def only(self, *labels: str) -> Mixture:
        """The same mixture with only these entries, for example to evaluate each of them alone."""
        for label in labels:
            _known(label, self.sources, f"mixture {self.stage}: no source")
        return replace(self, sources={label: self.sources[label] for label in labels})

    def shares(self, steps: int, seed: int = 0) -> dict[str, float]:
        """The share of each entry among the first `steps` batches of a loader with this seed."""
        chosen, _ = plan.schedule(self.weights(), plan.seeded(self.seed, seed), 0, steps)
        counts = np.bincount(chosen, minlength=len(self.sources))
        return {label: float(count) / max(steps, 1) for label, count in zip(self.sources, counts, strict=True)}

    def to_json(self) -> str:
        """The mixture as a file, without the settings that are None."""
        raw = asdict(self, dict_factory=lambda fields: {key: value for key, value in fields if value is not None})
        return json.dumps(raw, indent=1) + "\n"


def load(mixture: Mixture | Mapping[str, Any] | str | Path) -> Mixture:
    """A mixture from a file, a mapping of that shape, or a preset's name. Raises MixtureError, FileNotFoundError."""
    if isinstance(mixture, Mixture):
        return mixture
    if isinstance(mixture, Mapping):
        return _parse(dict(mixture), "mixture")
    if not isinstance(mixture, str | Path):
        raise MixtureError(f"{mixture!r}: expected one of {', '.join(PRESETS)}, a file, or a mixture")
    if str(mixture) in PRESETS:
        return PRESETS[str(mixture)]
    path = str(mixture)
    if not os.path.isfile(path):
        near = get_close_matches(path, list(PRESETS), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(f"{path}: no such mixture file, and not one of {', '.join(PRESETS)}{hint}")
    try:
        raw = json.loads(Path(path).read_text("utf-8-sig"), object_pairs_hook=_each_key_once)
    except MixtureError as error:
        raise MixtureError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise MixtureError(f"{path}: not JSON ({error}); a mixture is a JSON file, or a table in the recipe") from error
    return _parse(raw, path)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise MixtureError(f"the key {twice[0]!r} stands twice")
    return dict(pairs)


def _parse(raw: Any, where: str) -> Mixture:
    _keys(raw, Mixture, where)
    if not isinstance(raw.get("sources"), dict) or not raw["sources"]:
        raise MixtureError(f"{where}: sources is absent or empty")
    seed = raw.get("seed", 0)
    if type(seed) is not int:
        raise MixtureError(f"{where}: seed is {seed!r}, not a whole number")
    stage = raw.get("stage", "custom")
    if not isinstance(stage, str):
        raise MixtureError(f"{where}: stage is {stage!r}, not text; put it in quotes")
    return Mixture(
        stage,
        {label: _entry(entry, f"{where}: sources.{label}") for label, entry in raw["sources"].items()},
        seed,
        _number(raw, "batch_sequences", where, int, Mixture.batch_sequences),
        _number(raw, "tokens_per_image", where, int, Mixture.tokens_per_image),
    )


def _entry(raw: Any, where: str) -> Entry:
    _keys(raw, Entry, where)
    image, match = raw.get("image", {}), raw.get("match")
    _keys(image, Image, f"{where}.image")
    if match is not None:
        _keys(match, Match, f"{where}.match")
        if not match or not all(isinstance(value, str) for value in match.values()):
            raise MixtureError(f"{where}.match is {match!r}: give a layout, a tag or both, as strings")
        if "layout" in match:
            _one_of(match["layout"], LAYOUTS, f"{where}.match.layout")
    split = raw.get("split", Entry.split)
    if isinstance(split, bool) or not isinstance(split, int | float) or not 0 <= split <= 1:
        raise MixtureError(f"{where}.split is {split!r}, not between 0 and 1")
    return Entry(
        _number(raw, "weight", where, float),
        _number(raw, "sequence_length", where, int),
        Image(
            _one_of(image.get("mode", Image.mode), MODES, f"{where}.image.mode"),
            _number(image, "longest", where, int, Image.longest),
            _number(image, "shortest", where, int, Image.shortest),
        ),
        _one_of(raw.get("long", Entry.long), LONG, f"{where}.long"),
        None if raw.get("patches") is None else _number(raw, "patches", where, int),
        _number(raw, "patch", where, int, Entry.patch),
        float(split),
        None if match is None else Match(**match),
    )


def _keys(raw: Any, kind: type, where: str) -> None:
    if not isinstance(raw, dict):
        raise MixtureError(f"{where}: {raw!r} is no mapping")
    for key in raw:
        _known(key, kind.__dataclass_fields__, f"{where}: unknown")  # type: ignore[attr-defined]


def _known(name: Any, names: Collection[str], where: str, hint: str = "") -> None:
    """Raises MixtureError with the nearest of the names, or all of them, if `name` is not among them."""
    if name not in names:
        nearest = get_close_matches(str(name), list(names), 1)
        other = f"did you mean {nearest[0]!r}?" if nearest else f"one of {', '.join(names) or 'none'}"
        raise MixtureError(f"{where} {name!r}; {other}{hint}")


def _one_of(value: Any, allowed: Collection[str], where: str) -> str:
    if value not in allowed:
        raise MixtureError(f"{where}: {value!r} is not one of {', '.join(allowed)}")
    return str(value)


def _number(raw: Mapping[str, Any], key: str, where: str, kind: type, default: Any = None) -> Any:
    value = raw.get(key, default)
    name = f"number up to {MOST_WEIGHT:g}" if kind is float else "whole number"
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MOST_WEIGHT:
        raise MixtureError(f"{where}: {key} is {value!r}, not a positive {name}")
    if kind is int and value != int(value):
        raise MixtureError(f"{where}: {key} is {value!r}, not a positive {name}")
    return kind(value)


def _preset(stage: str, image: Image, **weights: float) -> Mixture:
    """A mixture of layouts, by the share of each."""
    lengths = {"interleaved": 2048, "pairs": 1536, "ocr": 1024, "conversations": 2048}
    long = {"interleaved": "window", "pairs": "drop", "ocr": "chunk", "conversations": "drop"}
    return Mixture(stage, {k: Entry(w, lengths[k], image, long[k], match=Match(k)) for k, w in weights.items()})


#: Idefics2's two stages of pre-training (arXiv 2405.02246, section 4.1): shares of packed sequences, sequence lengths
#: and sides; and its fine-tuning (section 4.2), for which the paper states no sequence length
PRESETS = {
    "stage1": _preset("stage1", Image("square", 384, 378), interleaved=0.70, pairs=0.30),
    "stage2": _preset("stage2", Image("native", 980, 378), interleaved=0.45, pairs=0.35, ocr=0.20),
    "sft": _preset("sft", Image("native", 980, 378), conversations=1.0),
}
