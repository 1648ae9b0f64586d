"""The paper's six findings as runs: each a switch, its arms trained alike on one run's shards, beside the paper's
numbers.

A file of ``recipes/ablations`` names the arms. Backbones that an arm freezes were trained before on something small
(``bootstrap``): the decoder on the texts of the pages, the tower by captioning under a decoder that is thrown away;
frozen noise would say nothing. The score is the loss of held-out captions, and two arms are compared pair by pair on
the same captions.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from transformers import MistralConfig, MistralForCausalLM, SiglipVisionConfig, SiglipVisionModel

from trainer import config
from trainer.collate import Collator, Document, Tensors
from trainer.config import RECIPES, Recipe, RecipeError, checked, find, lay_over, read
from trainer.data import Run, collator
from trainer.evaluate import held_out, losses
from trainer.layout import Specials
from trainer.loop import LOG, DivergedError, fit
from trainer.model import build
from trainer.run import MODEL, Seeing, train_stage
from trainer.schema import Part

FINDINGS = tuple(f"finding-{n}" for n in range(1, 7))


class Arm(Part):
    """One run. set: over the file's base. text, vision: names of bootstrapped backbones. of: the arm whose weights are
    evaluated, where
    this one trains none. views: 5 shows each held-out image as four crops and the whole. paper: its score there."""

    name: str
    paper: float | None = None
    set: dict[str, Any] = {}
    text: str | None = None
    vision: str | None = None
    of: str | None = None
    views: Literal[1, 5] = 1


class Question(Part):
    """Two arms, the second of which the paper finds better (`more`), or about as good (`same`)."""

    first: str
    second: str
    expect: Literal["more", "same", "less"] = "more"


class Bootstrap(Part):
    """Names of backbones and the steps each is trained for."""

    text: dict[str, int] = {}
    vision: dict[str, int] = {}


class Finding(Part):
    title: str
    paper: str  # what its numbers are, and where they stand
    base: dict[str, Any]
    bootstrap: Bootstrap = Bootstrap()
    arms: list[Arm] = Field(min_length=2)
    questions: list[Question] = Field(min_length=1)
    remark: str


@dataclass(frozen=True)
class Measured:
    """What one arm came to. loss: nats a token of held-out captions; gap: how much more with each other's images, with
    its error.
    images, text_tokens: seen in training. seconds: of training. diverged: the step, where it did. highest: gradient
    norm."""

    name: str
    paper: float | None
    loss: float
    gap: float
    gap_error: float
    tokens_per_image: int
    trained: int
    steps: int
    images: int
    tokens: int
    seconds: float
    highest: float
    diverged: int | None


@dataclass(frozen=True)
class Text:
    """A document without its images."""

    key: str
    texts: list[str | int]
    images: tuple[bytes, ...] = ()

    def parts(self) -> list[str | int]:
        return self.texts


@dataclass(frozen=True)
class Viewed:
    """A held-out pair as four crops and the whole, or as it is."""

    key: str
    images: list[bytes]
    content: list[str | int]
    views: int

    def parts(self) -> list[str | int]:
        return self.content


class Blind(Collator):
    """Lays out texts alone."""

    def __call__(
        self, sequences: Sequence[Sequence[Document]], mode: str, longest: int, shortest: int, length: int | None = None
    ) -> Tensors:
        rows = [[Text(d.key, [p for p in d.parts() if isinstance(p, str)]) for d in row] for row in sequences]
        return super().__call__([[d for d in row if d.texts] or row for row in rows], mode, longest, shortest, length)  # type: ignore[misc]


def ablate(
    finding: str, data: str | Path, out: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the arms of one finding (``finding-1`` ... ``finding-6``, or a file of that form) on a run's shards.

    out: by default ``DATA/ablations/FINDING``; arms that are trained already are not trained again. overrides: dotted
    keys of every arm's recipe. Returns ``{"finding", "title", "arms": [Measured's fields], "answers": [...],
    "table"}``, the table in Markdown, which is also written to ``OUT/finding.md``. Raises RecipeError.
    """
    path = find(f"ablations/{finding}.yaml") if finding in FINDINGS else find(finding)
    spec = checked(Finding, read(path), path)
    folder = Path(out) if out is not None else Path(data) / "ablations" / path.stem
    run = Run.open(data)
    began = time.monotonic()
    recipes = {arm.name: recipe_of(path, spec, arm, folder, overrides or {}) for arm in spec.arms}
    for name, steps in {**spec.bootstrap.text, **spec.bootstrap.vision}.items():
        kind = "text" if name in spec.bootstrap.text else "vision"
        made = bootstrap(kind, steps, recipes[spec.arms[0].name], run, folder.parent / "backbones")
        recipes = {arm: filled(recipe, kind, name, made) for arm, recipe in recipes.items()}
    measured: dict[str, Measured] = {}
    scores: dict[str, torch.Tensor] = {}
    for arm in spec.arms:
        measured[arm.name], scores[arm.name] = measure(arm, recipes[arm.of or arm.name], run, data, folder)
    answers = [answer(question, scores) for question in spec.questions]
    result: dict[str, Any] = {
        "finding": path.stem,
        "title": spec.title,
        "arms": [asdict(m) for m in measured.values()],
        "answers": answers,
    }
    result |= {"seed": recipes[spec.arms[0].name].seed, "seconds": time.monotonic() - began}
    result["table"] = table(spec, list(measured.values()), answers)
    (folder / "finding.md").write_text(result["table"])
    (folder / "finding.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def recipe_of(path: Path, spec: Finding, arm: Arm, folder: Path, overrides: Mapping[str, Any]) -> Recipe:
    raw = lay_over(spec.base, arm.set)
    raw["stage"] = slug(arm.name)
    mixture = path.parent / str(raw["mixture"])
    raw["mixture"] = str(mixture) if mixture.is_file() else raw["mixture"]
    if arm.text or arm.vision:
        known = {**spec.bootstrap.text, **spec.bootstrap.vision}
        for name in (arm.text, arm.vision):
            if name not in known:
                raise RecipeError(
                    f"{path}: arms: {arm.name}: {name!r} is not in bootstrap; there are {', '.join(known)}"
                )
        raw = lay_over(raw, {"model": {"backbones": {"text": arm.text, "vision": arm.vision}}})
    for key, value in overrides.items():
        nested: Any = value
        for name in reversed(key.split(".")):
            nested = {name: nested}
        raw = lay_over(raw, nested)
    return checked(Recipe, raw, path)


def filled(recipe: Recipe, kind: str, name: str, made: Path) -> Recipe:
    """The recipe with the folder of a backbone in the place of its name."""
    backbones = recipe.model.backbones
    if backbones is None or getattr(backbones, kind) != name:
        return recipe
    model = recipe.model.model_copy(update={"backbones": backbones.model_copy(update={kind: str(made)})})
    return recipe.model_copy(update={"model": model})


def slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


def bootstrap(kind: str, steps: int, base: Recipe, run: Run, folder: Path) -> Path:
    """A backbone trained for so many steps, saved as transformers reads it: its folder. Done once for all findings that
    want the same.
    """
    model = base.model.model_copy(
        update={"backbones": None, "fusion": "autoregressive", "connector": config.Connector()}
    )
    train = base.train.model_copy(update={"steps": steps, "backbones": "full", "divergence": None, "save_every": None})
    recipe = base.model_copy(
        update={"stage": f"{kind}-{steps}-steps", "model": model, "train": train, "tensorboard": False}
    )
    place = folder / f"{recipe.stage}-{recipe.digest[:8]}-{run.digest[:8]}"
    if (place / "config.json").is_file():
        return place
    specials = Specials.of(run.tokenizer)
    seeing = Seeing.of(model, run, recipe)
    plain = collator(run, recipe, seeing.tokens, seeing.patch, seeing.features)
    collate = plain if kind == "vision" else Blind(**{f: getattr(plain, f) for f in plain.__dataclass_fields__})
    mixed = run.mix(recipe, seeing.tokens).only("pairs" if kind == "vision" else "interleaved")
    identity = {"recipe": recipe.digest, "data": run.digest, "start": "new"}
    place.mkdir(parents=True, exist_ok=True)
    make = lambda: build(model, run.tokenizer.vocab_size, specials)
    trained: Any = fit(recipe, make, run.loader(mixed, recipe.seed), collate, place / "training", identity).model
    if kind == "text":
        whole: Any = MistralForCausalLM(MistralConfig(**trained.config.text_config.to_dict()))
        whole.model.load_state_dict(trained.model.text_model.state_dict())
        whole.lm_head.load_state_dict(trained.lm_head.state_dict())
    else:
        whole = SiglipVisionModel(
            SiglipVisionConfig(**{**trained.config.vision_config.to_dict(), "vision_use_head": False})
        )
        own = {n.removeprefix("vision_model."): n for n in whole.state_dict()}
        whole.load_state_dict({own[n]: w for n, w in trained.model.vision_model.state_dict().items()})
    whole.save_pretrained(place)
    return place


def measure(arm: Arm, recipe: Recipe, run: Run, data: str | Path, folder: Path) -> tuple[Measured, torch.Tensor]:
    """Trains the arm (or takes what is trained) and evaluates it. The scores: float64 [pairs, 2], loss and tokens of
    each caption.
    """
    diverged = None
    try:
        train_stage(recipe, data, folder)
    except DivergedError as error:
        diverged = error.step
        print(error, file=sys.stderr)
    steps = [json.loads(line) for line in (folder / recipe.stage / LOG).read_text().splitlines()]
    seen = {"steps": len(steps), "images": sum(s["images"] for s in steps), "tokens": sum(s["tokens"] for s in steps)}
    seen |= {"seconds": sum(s["seconds"] for s in steps), "highest": max(s["gradient_norm"] for s in steps)}
    seeing = Seeing.of(recipe.model, run, recipe)
    nan = float("nan")
    if diverged is not None:
        lost = Measured(arm.name, arm.paper, nan, nan, nan, seeing.tokens, 0, **seen, diverged=diverged)
        return lost, torch.full((recipe.evaluate.pairs, 2), nan)
    result = json.loads((folder / recipe.stage / "result.json").read_text())
    specials = Specials.of(run.tokenizer)
    start = recipe.model.model_copy(update={"pretrained": str(folder / recipe.stage / MODEL)})
    model = build(start, run.tokenizer.vocab_size, specials).eval()
    collate = collator(run, recipe, seeing.tokens, seeing.patch, seeing.features)
    mixed = run.mix(recipe, seeing.tokens)
    held = run.held_out_pairs(mixed, recipe.evaluate.pairs, recipe.seed)
    pairs = sorted((Viewed(p.key, p.images, p.parts(), arm.views) for p in held), key=lambda pair: pair.key)
    size = mixed.sources["pairs"].image
    image = (size.mode, size.longest, size.shortest)
    scores = losses(model, pairs, collate, recipe.evaluate.batch, image, None)
    found = held_out(model, pairs, collate, recipe.evaluate, image, recipe.seed)
    tokens = seeing.tokens * arm.views
    told = Measured(
        arm.name,
        arm.paper,
        found.normal,
        found.gap,
        found.error,
        tokens,
        result["weights"]["trained"],
        **seen,
        diverged=None,
    )
    return told, scores


def answer(question: Question, scores: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """How much lower the second arm's loss is than the first's, with its standard error over captions, and what that
    says.
    """
    first, second = scores[question.first], scores[question.second]
    tokens = first[:, 1].sum()
    gains = (first[:, 0] - second[:, 0]) * len(first) / tokens
    gain, error = float(gains.mean()), float(gains.std() / len(first) ** 0.5)
    if gain != gain:
        ours = "one of them diverged"
    elif abs(gain) < 2 * error:
        ours = "not told apart"
    else:
        ours = "better" if gain > 0 else "worse"
    wanted = {"more": "better", "same": "about as good", "less": "worse"}[question.expect]
    return {
        "first": question.first,
        "second": question.second,
        "paper": wanted,
        "ours": ours,
        "gain": gain,
        "error": error,
    }


def table(spec: Finding, arms: Sequence[Measured], answers: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"## {spec.title}", "", f"Paper: {spec.paper}", ""]
    lines += [
        "| arm | paper | caption loss | with images permuted | tokens an image | trained weights | images | tokens | steps | s |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for arm in arms:
        loss = f"diverged: step {arm.diverged}" if arm.diverged else f"{arm.loss:.4f}"
        gap = "" if arm.diverged else f"{arm.gap:+.4f} ± {arm.gap_error:.4f}"
        cells = [
            arm.name,
            "" if arm.paper is None else f"{arm.paper:g}",
            loss,
            gap,
            f"{arm.tokens_per_image}",
            f"{arm.trained:,}",
        ]
        lines.append(
            f"| {' | '.join([*cells, f'{arm.images:,}', f'{arm.tokens:,}', str(arm.steps), f'{arm.seconds:.0f}'])} |"
        )
    lines.append("")
    for a in answers:
        said = f"{a['gain']:+.4f} ± {a['error']:.4f} nats" if a["gain"] == a["gain"] else ""
        lines.append(
            f"* {a['second']} against {a['first']}: the paper finds it {a['paper']}; here {a['ours']} ({said})."
        )
    return "\n".join([*lines, "", spec.remark.strip(), ""])


def listed() -> list[str]:
    return sorted(path.stem for path in (RECIPES / "ablations").glob("*.yaml"))
