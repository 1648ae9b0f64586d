"""The paper's six findings as runs: the arms of each are trained alike on one run's shards, and compared.

A file of ``recipes/ablations`` lists the arms. Backbones that an arm freezes are trained first on something small
(``bootstrap``), because a frozen backbone of random weights shows nothing: the decoder on the texts of the pages, the
tower by captioning under a decoder that is thrown away. The score is the loss of held-out captions, and two arms are
compared pair by pair on the same captions.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from transformers import MistralConfig, MistralForCausalLM, SiglipVisionConfig, SiglipVisionModel

from trainer import schema
from trainer.collate import Collator, Rows, Tensors
from trainer.config import RecipeError, checked, find, merge, override, read, recipe_of
from trainer.data import Run, collator
from trainer.evaluate import held_out, losses
from trainer.finish import MODEL
from trainer.layout import Specials
from trainer.loop import LOG, DivergedError, fit
from trainer.model import build
from trainer.run import ImageTokens, largest, train_stage
from trainer.schema import Recipe, Section

FINDINGS = tuple(f"finding-{n}" for n in range(1, 7))
#: what a bootstrapped backbone reads: the sources of this layout
LAYOUTS = {"text": "interleaved", "vision": "pairs"}
NAN = float("nan")
COLUMNS = "arm, paper, caption loss, with images permuted, tokens an image, trained weights, images, tokens, steps, s"


class Arm(Section):
    """One run of a finding."""

    name: str
    paper: float | None = None  # its score in the paper
    set: dict[str, Any] = {}  # over the file's base
    text: str | None = None  # names of bootstrapped backbones
    vision: str | None = None
    of: str | None = None  # the arm whose weights are evaluated, if this one trains none
    views: Literal[1, 5] = 1  # 5: each held-out image as four crops and the full image


class Question(Section):
    """Two arms. The paper finds the second better (`more`), about as good (`same`) or worse (`less`)."""

    first: str
    second: str
    expect: Literal["more", "same", "less"] = "more"


class Finding(Section):
    title: str
    paper: str  # the paper's numbers, and where they are
    base: dict[str, Any]
    bootstrap: dict[Literal["text", "vision"], dict[str, int]] = {}  # name of each backbone -> steps to train it
    arms: list[Arm] = Field(min_length=2)
    questions: list[Question] = Field(min_length=1)
    remark: str


@dataclass(frozen=True)
class ArmResult:
    """The result of one arm.

    loss: nats per token of held-out captions. gap: its rise with permuted images, and gap_error. trained: weights.
    images, tokens, seconds: of training. highest: gradient norm. diverged: the step, or None.
    """

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


class TextCollator(Collator):
    """Lays out the texts of documents without their images."""

    def __call__(self, sequences: Rows, mode: str, longest: int, shortest: int, length: int | None = None) -> Tensors:
        rows = []
        for row in sequences:
            texts = [sample.with_parts([p for p in sample.parts() if isinstance(p, str)], (0, 1)) for sample in row]
            rows.append([sample for sample in texts if sample.parts()] or row)
        return super().__call__(rows, mode, longest, shortest, length)


def ablate(
    finding: str, data: str | Path, out: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trains the arms of one finding (``finding-1`` ... ``finding-6``, or a file of that form) on a run's shards.

    out: by default ``DATA/ablations/FINDING``. Arms that are trained already are not trained again. overrides: dotted
    keys of every arm's recipe. Returns ``{"finding", "title", "arms": [fields of ArmResult], "answers", "table"}``. The
    table is Markdown and is also written to ``OUT/finding.md``. Raises RecipeError.
    """
    path = find(f"ablations/{finding}.yaml") if finding in FINDINGS else find(finding)
    spec = checked(Finding, read(path), path)
    folder = Path(out) if out is not None else Path(data) / "ablations" / path.stem
    run = Run.open(data)
    started = time.monotonic()
    names = {name: name for backbones in spec.bootstrap.values() for name in backbones}
    recipes = arm_recipes(path, spec, names, overrides or {})  # checks them before training
    base, place, folders = recipes[spec.arms[0].name], folder.parent / "backbones", dict[str, str]()
    if len(run.held_out_pairs(run.mix(base, 1), 2, base.seed)) < 2:
        needed = "two validation samples of layout pairs from a source of the mixture"
        raise RecipeError(f"{path}: the score needs {needed}")
    for kind, backbones in spec.bootstrap.items():
        folders |= {name: str(bootstrap(kind, steps, base, run, place)) for name, steps in backbones.items()}
    recipes = arm_recipes(path, spec, folders, overrides or {})
    results: list[ArmResult] = []
    scores: dict[str, torch.Tensor] = {}
    for arm in spec.arms:
        result, scores[arm.name] = measure(arm, recipes[arm.of or arm.name], run, data, folder)
        results.append(result)
    answers = [answer(question, scores) for question in spec.questions]
    arms = [asdict(result) for result in results]
    summary: dict[str, Any] = {"finding": path.stem, "title": spec.title, "arms": arms, "answers": answers}
    summary |= {"seed": base.seed, "seconds": time.monotonic() - started, "table": table(spec, results, answers)}
    (folder / "finding.md").write_text(summary["table"])
    (folder / "finding.json").write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def arm_recipes(path: Path, spec: Finding, folders: Mapping[str, str], changes: Mapping[str, Any]) -> dict[str, Recipe]:
    """The recipe of each arm. folders: of backbones, by name. Raises RecipeError for a name that is not in it."""
    recipes = {}
    for arm in spec.arms:
        stage = "".join(c if c.isalnum() else "-" for c in arm.name.lower()).strip("-")
        raw = {**merge(spec.base, arm.set), "stage": stage}
        if arm.text or arm.vision:
            for name in (arm.text, arm.vision):
                if name not in folders:
                    there = ", ".join(folders)
                    raise RecipeError(f"{path}: arms: {arm.name}: {name!r} is not in bootstrap; there are {there}")
            backbones = {"text": folders[str(arm.text)], "vision": folders[str(arm.vision)]}
            raw = merge(raw, {"model": {"backbones": backbones}})
        recipes[arm.name] = recipe_of(override(raw, changes), path)
    return recipes


def bootstrap(kind: str, steps: int, base: Recipe, run: Run, folder: Path) -> Path:
    """Trains a backbone and saves it for transformers. Returns its folder, which all findings share.

    kind: text or vision. Raises RecipeError if the mixture has no source of the layout that it reads.
    """
    plain = {"backbones": None, "fusion": "autoregressive", "connector": schema.Connector()}
    model = base.model.model_copy(update=plain)
    train = base.train.model_copy(update={"steps": steps, "backbones": "full", "divergence": None, "save_every": None})
    own = {"stage": f"{kind}-{steps}-steps", "model": model, "train": train, "tensorboard": False}
    recipe = base.model_copy(update=own)
    place = folder / f"{recipe.stage}-{recipe.digest[:8]}-{run.digest[:8]}"
    if (place / "config.json").is_file():
        return place
    specials = Specials.of(run.tokenizer)
    size = ImageTokens.of(model, run, recipe)
    collate = collator(run, recipe, size.tokens, size.patch, size.features)
    if kind == "text":
        collate = TextCollator(**vars(collate))
    mixed = run.mix(recipe, size.tokens)
    sources = run.of_layout(mixed, LAYOUTS[kind])
    if not sources:
        raise RecipeError(f"{recipe.stage}: no source of layout {LAYOUTS[kind]} has samples in the mixture")
    identity = {"recipe": recipe.digest, "data": run.digest, "start": "new"}
    place.mkdir(parents=True, exist_ok=True)
    loader = run.loader(mixed.only(*sources), recipe.seed, on_error=recipe.on_error)
    make = lambda: build(model, run.tokenizer.vocab_size, specials, largest(mixed))
    trained: Any = fit(recipe, make, loader, collate, place / "training", identity).model
    if kind == "text":
        backbone: Any = MistralForCausalLM(MistralConfig(**trained.config.text_config.to_dict()))
        backbone.model.load_state_dict(trained.model.text_model.state_dict())
        backbone.lm_head.load_state_dict(trained.lm_head.state_dict())
    else:
        settings = {**trained.config.vision_config.to_dict(), "vision_use_head": False}
        backbone = SiglipVisionModel(SiglipVisionConfig(**settings))
        names = {name.removeprefix("vision_model."): name for name in backbone.state_dict()}
        backbone.load_state_dict({names[n]: weight for n, weight in trained.model.vision_model.state_dict().items()})
    backbone.save_pretrained(place)
    return place


def measure(arm: Arm, recipe: Recipe, run: Run, data: str | Path, folder: Path) -> tuple[ArmResult, torch.Tensor]:
    """The result of an arm, trained first if it is not, and float64 [pairs, 2]: loss, tokens (NaN if it diverged)."""
    diverged = None
    try:
        trained = train_stage(recipe, data, folder)["weights"]["trained"]
    except DivergedError as error:
        diverged, trained = error.step, 0
        print(error, file=sys.stderr)
    steps = [json.loads(line) for line in (folder / recipe.stage / LOG).read_text().splitlines()]
    totals = {name: sum(step[name] for step in steps) for name in ("images", "tokens", "seconds")}
    totals |= {"steps": len(steps), "highest": max(step["gradient_norm"] for step in steps)}
    size = ImageTokens.of(recipe.model, run, recipe)
    rest = {"trained": trained, **totals, "diverged": diverged}
    if diverged is not None:
        result = ArmResult(arm.name, arm.paper, NAN, NAN, NAN, size.tokens, **rest)
        return result, torch.full((recipe.evaluate.pairs, 2), NAN)
    start = recipe.model.model_copy(update={"pretrained": str(folder / recipe.stage / MODEL)})
    model = build(start, run.tokenizer.vocab_size, Specials.of(run.tokenizer)).eval()
    collate = collator(run, recipe, size.tokens, size.patch, size.features).for_evaluation()
    mixed = run.mix(recipe, size.tokens)
    pairs = sorted(run.held_out_pairs(mixed, recipe.evaluate.pairs, recipe.seed), key=lambda pair: pair.key)
    pairs = [replace(pair, views=arm.views) for pair in pairs]
    rows = partial(collate, **asdict(mixed.sources[run.of_layout(mixed, "pairs")[0]].image))
    scores = losses(model, pairs, rows, recipe.evaluate.batch)
    score = held_out(model, pairs, rows, recipe.evaluate, recipe.seed)
    values = score.normal, score.gap, score.error, size.tokens * arm.views
    return ArmResult(arm.name, arm.paper, *values, **rest), scores


def answer(question: Question, scores: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """How much lower the second arm's loss is, its standard error over captions, a verdict (from two errors on)."""
    first, second = scores[question.first], scores[question.second]
    gains = (first[:, 0] - second[:, 0]) * len(first) / first[:, 1].sum()
    gain, error = float(gains.mean()), float(gains.std() / len(first) ** 0.5)
    if gain != gain:
        ours = "one of them diverged"
    elif abs(gain) < 2 * error:
        ours = "not told apart"
    else:
        ours = "better" if gain > 0 else "worse"
    paper = {"more": "better", "same": "about as good", "less": "worse"}[question.expect]
    arms = {"first": question.first, "second": question.second}
    return {**arms, "paper": paper, "ours": ours, "gain": gain, "error": error}


def table(spec: Finding, arms: Sequence[ArmResult], answers: Sequence[Mapping[str, Any]]) -> str:
    """The arms and the answers in Markdown."""
    rows = [COLUMNS.split(", "), ["---"] * 10]
    for arm in arms:
        paper = "" if arm.paper is None else f"{arm.paper:g}"
        loss = f"diverged: step {arm.diverged}" if arm.diverged else f"{arm.loss:.4f}"
        gap = "" if arm.diverged else f"{arm.gap:+.4f} ± {arm.gap_error:.4f}"
        numbers = [f"{n:,}" for n in (arm.trained, arm.images, arm.tokens)]
        numbers = [f"{arm.tokens_per_image}", *numbers, f"{arm.steps}", f"{arm.seconds:.0f}"]
        rows.append([arm.name, paper, loss, gap, *numbers])
    lines = [f"## {spec.title}", "", f"Paper: {spec.paper}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
    for a in answers:
        gain = f"{a['gain']:+.4f} ± {a['error']:.4f} nats" if a["gain"] == a["gain"] else ""
        compared = f"{a['second']} against {a['first']}"
        lines.append(f"* {compared}: the paper finds it {a['paper']}; here {a['ours']} ({gain}).")
    return "\n".join([*lines, "", spec.remark.strip(), ""])
