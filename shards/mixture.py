"""What a training stage reads, and in which proportions: ``mixtures/<stage>.json``.

Weights count packed sequences, and a batch is of one source, as in Idefics2 (arXiv 2405.02246, section 4.1: "fractions
of examples", each source with its own sequence length). So a weight of 0.7 means that seven batches of ten are of that
source, whatever its size.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from shards import plan

#: what becomes of a sample longer than its sequence: cut into pieces, one piece around an image, or left out
LONG = ("chunk", "window", "drop")
MODES = ("square", "native")


class MixtureError(ValueError):
    """A mixture that does not say what it should; the message names the key."""


@dataclass(frozen=True)
class Image:
    mode: str = "native"
    longest: int = 980
    shortest: int = 378


@dataclass(frozen=True)
class Source:
    weight: float
    sequence_length: int
    image: Image = field(default_factory=Image)
    long: str = "drop"
    patches: int | None = None  #: of a sequence's images together, a budget beside the tokens; None: any number
    patch: int = 14  #: side of a patch, pixels
    # : share of samples whose images are shown as 4 crops and the whole (Idefics2's section 3.4), drawn anew each epoch
    split: float = 0.0


@dataclass(frozen=True)
class Mixture:
    stage: str
    sources: dict[str, Source]
    seed: int = 0
    batch_sequences: int = 64  #: sequences of a global batch
    tokens_per_image: int = 64

    def weights(self) -> np.ndarray:
        """Shares of the batches, in the order of the sources, summing to one."""
        raw = np.array([source.weight for source in self.sources.values()], float)
        return np.asarray(raw / raw.sum())

    def available(self, present: Collection[str], say: Callable[[str], object] | None = None) -> Mixture:
        """The sources there are, the weights scaled up to one; says which are missing. Raises MixtureError where none
        is left.
        """
        missing = [name for name in self.sources if name not in present]
        if not missing:
            return self
        kept = {name: source for name, source in self.sources.items() if name in present}
        if not kept:
            raise MixtureError(
                f"mixture {self.stage}: none of its sources ({', '.join(self.sources)}) has samples here"
            )
        out = replace(self, sources=kept)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(kept, out.weights(), strict=True))
        (say or _say)(f"mixture {self.stage}: no samples of {', '.join(missing)}; the rest is {shares}")
        return out

    def only(self, *sources: str) -> Mixture:
        """The same for some of its sources, say to evaluate each alone."""
        for name in sources:
            _known(name, self.sources, f"mixture {self.stage}: source")
        return replace(self, sources={name: self.sources[name] for name in sources})

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def realised(mixture: Mixture, steps: int, seed: int = 0) -> dict[str, float]:
    """The share of each source among the first `steps` batches of a loader with this seed: what the weights come to."""
    chosen, _ = plan.schedule(mixture.weights(), plan.seeded(mixture.seed, seed), 0, steps)
    counts = np.bincount(chosen, minlength=len(mixture.sources))
    return {name: float(count) / max(steps, 1) for name, count in zip(mixture.sources, counts, strict=True)}


def load(mixture: Mixture | Mapping[str, Any] | str | Path) -> Mixture:
    """From a file, a mapping of the same shape, or the name of a preset. Raises MixtureError naming the key,
    FileNotFoundError.
    """
    if isinstance(mixture, Mixture):
        return mixture
    if isinstance(mixture, Mapping):
        return _parse(dict(mixture), "mixture")
    if str(mixture) in PRESETS:
        return PRESETS[str(mixture)]
    path = Path(mixture)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such mixture file, and not one of {', '.join(PRESETS)}")
    try:
        raw = json.loads(path.read_text())
    except ValueError as error:
        raise MixtureError(f"{path}: not JSON ({error})") from error
    return _parse(raw, str(path))


def _parse(raw: Any, where: str) -> Mixture:
    _keys(raw, Mixture, where)
    sources = {}
    if not isinstance(raw.get("sources"), dict) or not raw["sources"]:
        raise MixtureError(f"{where}: sources is absent or empty")
    for name, given in raw["sources"].items():
        at = f"{where}: sources.{name}"
        _keys(given, Source, at)
        image = given.get("image", {})
        _keys(image, Image, f"{at}.image")
        sources[name] = Source(
            _number(given, "weight", at, float),
            _number(given, "sequence_length", at, int),
            Image(
                _one_of(image.get("mode", Image.mode), MODES, f"{at}.image.mode"),
                _number(image, "longest", at, int, Image.longest),
                _number(image, "shortest", at, int, Image.shortest),
            ),
            _one_of(given.get("long", Source.long), LONG, f"{at}.long"),
            None if given.get("patches") is None else _number(given, "patches", at, int),
            _number(given, "patch", at, int, Source.patch),
            _share(given.get("split", Source.split), f"{at}.split"),
        )
    seed = raw.get("seed", 0)
    if type(seed) is not int:
        raise MixtureError(f"{where}: seed is {seed!r}, not a whole number")
    return Mixture(
        str(raw.get("stage", "custom")),
        sources,
        seed,
        _number(raw, "batch_sequences", where, int, Mixture.batch_sequences),
        _number(raw, "tokens_per_image", where, int, Mixture.tokens_per_image),
    )


def _keys(raw: Any, kind: type, where: str) -> None:
    if not isinstance(raw, dict):
        raise MixtureError(f"{where}: {raw!r} is no mapping")
    for key in raw:
        _known(key, kind.__dataclass_fields__, where)  # type: ignore[attr-defined]


def _known(key: str, known: Collection[str], where: str) -> None:
    if key not in known:
        near = get_close_matches(str(key), list(known), 1)
        raise MixtureError(
            f"{where}: unknown {key!r}" + (f"; did you mean {near[0]!r}?" if near else f"; one of {', '.join(known)}")
        )


def _number(raw: Mapping[str, Any], key: str, where: str, kind: type, default: Any = None) -> Any:
    value = raw.get(key, default)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float) if kind is float else int)
        or not 0 < value < float("inf")
    ):
        raise MixtureError(
            f"{where}: {key} is {value!r}, not a positive {'number' if kind is float else 'whole number'}"
        )
    return kind(value)


def _share(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise MixtureError(f"{where} is {value!r}, not between 0 and 1")
    return float(value)


def _one_of(value: Any, known: Collection[str], where: str) -> str:
    if value not in known:
        raise MixtureError(f"{where}: {value!r} is not one of {', '.join(known)}")
    return str(value)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


_STAGE1, _STAGE2 = Image("square", 384, 378), Image("native", 980, 378)

#: Idefics2's two stages of pre-training (arXiv 2405.02246, section 4.1): shares of packed sequences, sequence lengths,
#: and sides; and its fine-tuning (section 4.2), for which the paper states no sequence length
PRESETS = {
    "stage1": Mixture(
        "stage1",
        {"interleaved": Source(0.70, 2048, _STAGE1, "window"), "pairs": Source(0.30, 1536, _STAGE1, "drop")},
    ),
    "stage2": Mixture(
        "stage2",
        {
            "interleaved": Source(0.45, 2048, _STAGE2, "window"),
            "pairs": Source(0.35, 1536, _STAGE2, "drop"),
            "ocr": Source(0.20, 1024, _STAGE2, "chunk"),
        },
    ),
    "sft": Mixture("sft", {"conversations": Source(1.0, 2048, _STAGE2, "drop")}),
}
