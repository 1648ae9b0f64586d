"""The text of the dataset card: what is in the data, what was left out and by which limits, how it may be used, and how
it is read.

Written from the manifest, its recipe, and `stats.json`; it says nothing that these do not hold, and leaves out the
parts they know nothing of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from shards import forget
from shards.manifest import Manifest
from shards.plots import NAME as PLOTS

Row = Mapping[str, Any]
_MOST = 8  # reasons of a configuration; languages
_LEVELS = {"document": "document", "node": "paragraph", "image": "image"}


def text(manifest: Manifest, name: str, languages: Mapping[str, Counter[str]], stats: Row) -> str:
    """languages: of each configuration that has samples, samples of each language. stats: of the run, empty where it
    has none.
    """
    recipe: Row = manifest.raw.get("recipe") or {}
    sources: dict[str, Row] = {
        s["config"]: s for s in sorted(stats.get("sources", {}).values(), key=lambda s: str(s["config"]))
    }
    parts = [
        _head(manifest, name),
        _splits(manifest, languages),
        _mixture(manifest, list(languages), stats) if stats.get("mixtures") else [],
        _plots() if sources else [],
        _funnel(sources) if sources else [],
        _rules(sources) if sources else [],
        _duplicates(recipe, sources) if sources else [],
        _evaluations(recipe["decontaminate"], sources) if recipe.get("decontaminate") else [],
        _consent(manifest, recipe, stats) if recipe else [],
        _limits(manifest, recipe, stats),
        _layout(),
        _reading(name, next(iter(languages), "interleaved")),
    ]
    return "\n".join(line for part in parts for line in part)


def _head(manifest: Manifest, name: str) -> list[str]:
    return [
        f"# {name}",
        "",
        "Made with Panoramix: raw web in, balanced tar shards for vision-language models out. `manifest.json` names every shard",
        "with its sha256 and holds the recipe that made them; `index/` holds one Parquet row a sample.",
        "",
        *_unfinished(manifest),
    ]


def _unfinished(manifest: Manifest) -> list[str]:
    parts = manifest.raw.get("so_far")
    if not parts:
        return []
    said = ", ".join(f"{done} of {of} of {name}" if of else f"none of {name}" for name, (done, of) in parts.items())
    return [f"**The run that makes this goes on.** Of its shards there are by now: {said}.", ""]


def _splits(manifest: Manifest, languages: Mapping[str, Counter[str]]) -> list[str]:
    rows = [
        [
            config,
            split,
            len(shards),
            *(sum(getattr(s, name) for s in shards) for name in ("samples", "images", "tokens", "bytes")),
        ]
        for config in languages
        for split in manifest.configs[config]
        if (shards := manifest.shards(config, split))
    ]
    spoken = [f"{config}: {_counted(found)}" for config, found in languages.items()]
    return [
        *_table(["configuration", "split", "shards", "samples", "images", "text tokens", "bytes"], rows),
        f"Text tokens by the tokenizer `{manifest.tokenizer['name']}` (sha256 `{manifest.tokenizer['sha256'][:16]}`). Validation holds whole",
        "registered domains, chosen by hash"
        + (" (of conversations: images)." if "conversations" in languages else "."),
        "",
        f"Languages of the pages, as far as they name them, in samples: {'; '.join(spoken)}." if spoken else "",
        "",
    ]


def _counted(found: Counter[str]) -> str:
    order = sorted(found.items(), key=lambda x: (-x[1], x[0]))
    rest = sum(n for _, n in order[_MOST:])
    return ", ".join(f"{lang or 'unknown'} {n:,}" for lang, n in order[:_MOST]) + (f", others {rest:,}" if rest else "")


def _mixture(manifest: Manifest, configs: Sequence[str], stats: Row) -> list[str]:
    stages = stats["mixtures"]
    train = {config: manifest.shards(config, "train") for config in configs}
    whole = sum(s.tokens for shards in train.values() for s in shards) or 1
    rows = []
    for config, shards in train.items():
        tokens = sum(s.tokens for s in shards)
        own = []
        for mixture in stages.values():
            weights = {c: s["weight"] for c, s in mixture["sources"].items()}
            source = mixture["sources"].get(config)
            share = f"{weights[config] / sum(weights.values()):.0%}" if source else ""
            own.append(f"{share}, {source['sequence_length']:,} tokens, {_image(source['image'])}" if source else "")
        rows.append(
            [
                config,
                sum(s.samples for s in shards),
                sum(s.images for s in shards),
                tokens,
                f"{tokens / whole:.0%}",
                *own,
            ]
        )
    return [
        "## Mixture",
        "",
        "What is there to train on, and what each training stage takes of it: the share of its batches (a batch is of one configuration),",
        "the tokens of a packed sequence, and the pixels of an image. `mixtures/` holds the stages as files; nothing is mixed on disk.",
        "",
        *_table(["configuration", "samples", "images", "text tokens", "of the tokens", *stages], rows),
        *_sets(stats),
    ]


def _sets(stats: Row) -> list[str]:
    """What the sets of conversations come to, as Idefics2's table 14 has it."""
    rows = stats.get("sources", {}).get("conversations", {}).get("sets")
    if not rows:
        return []
    head = ["set of conversations", "repeated", "documents", "samples", "answer tokens", "of them"]
    return _table(
        head,
        [
            [r["name"], f"{r['repeat']:g}", r["documents"], r["samples"], r["answer_tokens"], f"{r['share']:.1%}"]
            for r in rows
        ],
    )


def _image(image: Row) -> str:
    return f"{image['longest']} px square" if image["mode"] == "square" else f"up to {image['longest']} px"


def _plots() -> list[str]:
    return [
        f"![Text tokens, images, and sides of images, by configuration]({PLOTS})",
        "",
        "`report.html` shows more, with documents to look at.",
        "",
    ]


def _funnel(sources: Mapping[str, Row]) -> list[str]:
    steps = [step for step, _ in next(iter(sources.values()))["funnel"]]
    counts = {config: dict(s["funnel"]) for config, s in sources.items()}
    rows = [[step, *(counts[config].get(step, "") for config in sources)] for step in steps]
    out = ["## What was left out", "", *_table(["documents, pairs or pages", *sources], rows)]
    for config, source in sources.items():
        gone = Counter[str]()
        for group in ("refused", "dropped", "unpacked"):
            gone.update(source.get(group, {}))
        out.append(f"* {config}: {_reasons(gone)}.")
        for what, group in (("paragraphs", "texts_dropped"), ("images", "images_dropped")):
            if source.get(group):
                out.append(f"  {what.capitalize()}: {_reasons(Counter(source[group]))}.")
    return [*out, ""]


def _reasons(gone: Counter[str]) -> str:
    order = sorted(gone.items(), key=lambda x: (-x[1], x[0]))
    most = _MOST if len(order) > _MOST + 1 else len(order)
    rest = sum(n for _, n in order[most:])
    said = [f"{n:,} `{reason}`" for reason, n in order[:most]] + (
        [f"{rest:,} for {len(order) - most} other reasons"] if rest else []
    )
    return ", ".join(said) or "nothing"


def _rules(sources: Mapping[str, Row]) -> list[str]:
    rows = []
    for config, source in sources.items():
        for level, rules in source.get("rules", {}).items():
            for rule in rules:
                if rule.get("any_of") is not None:
                    kept = ", ".join(map(str, rule["any_of"])) or "none listed"
                else:
                    bounds = (("at least", rule.get("min")), ("at most", rule.get("max")))
                    kept = ", ".join(f"{word} {_limit(bound)}" for word, bound in bounds if bound is not None)
                kept += f"; not asked of: {', '.join(rule['spares'])}" if rule.get("spares") else ""
                rows.append([config, _LEVELS.get(level, level), f"`{rule['score']}`", kept, rule.get("source", "")])
    return [
        "## Filters",
        "",
        "What stays, by rule; both limits are inclusive. A score that could not be told drops nothing.",
        *(
            f"Languages of {config} by {source['language']}."
            for config, source in sources.items()
            if source.get("language")
        ),
        "",
        *_table(["", "of a", "score", "kept", "after"], rows),
    ]


def _limit(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"


def _duplicates(recipe: Row, sources: Mapping[str, Row]) -> list[str]:
    out = ["## Duplicates", ""]
    for config, source in sources.items():
        gone = {reason: n for reason, n in source.get("dropped", {}).items() if "duplicate" in reason}
        out.append(f"* {config}: {_reasons(Counter(gone))} went.")
    for name, config in (("web", "interleaved"), ("pdf", "ocr")):
        near = (recipe.get(name) or {}).get("near")
        if near and near["on"]:
            out.append(
                f"* {config}, near copies: MinHash of {near['bands']} bands of {near['rows']} over word {near['shingle']}-grams, each candidate "
                f"compared with the document that stays; a copy from an estimated Jaccard similarity of {near['threshold']:g} on."
            )
    if uses := (recipe.get("web") or {}).get("paragraph_uses"):
        out.append(f"* A paragraph that stands on more than {uses} pages of one host was taken out of all of them.")
    return [*out, ""]


def _evaluations(asked: Row, sources: Mapping[str, Row]) -> list[str]:
    gone = Counter[str]()
    for source in sources.values():
        for group in ("dropped", "images_dropped"):
            gone.update({reason: n for reason, n in source.get(group, {}).items() if reason.startswith("contaminated")})
    names = ", ".join(f"`{PurePath(file).name}`" for file in asked["files"])
    bits = asked.get("bits")
    return [
        "## Evaluations",
        "",
        f"Kept out: {names}. Documents that share {asked['words']} words in a row with one, or a text of {asked['whole']} words and more as a whole"
        + (
            f"; images whose perceptual hash is at most {bits} of 64 bits from one's"
            if bits is not None
            else "; pictures were not compared"
        )
        + f". What went: {_reasons(gone)}.",
        "",
    ]


def _consent(manifest: Manifest, recipe: Row, stats: Row) -> list[str]:
    out = ["## Opt-out, and takedown", ""]
    web = recipe.get("web")
    if web:
        said = "were left out" if web.get("refuse_optout") else "were kept, and say so in the `meta` of their JSON"
        out.append(f"* Pages that reserve themselves against machine learning (robots `noai`, TDM reservation) {said}.")
    if fetch := recipe.get("fetch"):
        asked = "robots.txt was asked for each image" if fetch.get("robots") else "robots.txt was not asked for images"
        status = stats.get("fetch", {}).get("status", {})
        out.append(
            f"* {asked}: {status.get('robots', 0):,} were closed; {status.get('optout', 0):,} more were reserved by the header of their answer."
        )
    taken = manifest.raw.get("forgotten", forget.digest([])) != forget.digest([])
    out.append(
        "* To be taken out, tell whoever published this the page, the host, or the image's address or sha256 (each sample's JSON has them). "
        "`panoramix forget` then rewrites the shards, and further releases keep to it."
        + (" This release keeps to such a list." if taken else "")
    )
    return [*out, ""]


def _limits(manifest: Manifest, recipe: Row, stats: Row) -> list[str]:
    out = ["## Known limits", ""]
    out.append(
        "* Pages and images keep their own licences; a sample's `license` is what its page says, and most say nothing."
    )
    texts = {
        name: recipe[name]["text"]
        for name in ("web", "pairs", "pdf", "conversations")
        if (recipe.get(name) or {}).get("text")
    }
    if any(not t.get("language_model") for t in texts.values()):
        out.append(
            "* Languages were told by a small built-in detector, which is silent on short texts; a text it is silent on was kept."
        )
    redacted = {name: t["redact"] for name, t in texts.items() if t.get("redact")}
    if texts:
        said = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in redacted.items())
        out.append(
            f"* Replaced in texts: {said}."
            if said
            else "* Nothing was redacted: addresses and numbers of persons stand as they stood."
        )
    if not recipe.get("decontaminate"):
        out.append("* It was not compared with evaluation sets: leave out what you evaluate on.")
    out.append("* What no filter above names was not looked at, such as the safety of images.")
    if side := (recipe.get("shards") or {}).get("longest_side"):
        out.append(
            f"* Images longer than {side} px were scaled down to that. All are JPEG; EXIF, XMP and comments are gone, orientation applied."
        )
    if manifest.tokenizer["name"] == "bytes":
        out.append(
            "* Token counts are counts of UTF-8 bytes: pack again with your model's tokenizer before you compare them with others'."
        )
    if lost := sum(stats.get("quarantined", {}).values()):
        out.append(f"* {lost:,} inputs crashed or hung a library and were left out.")
    return [*out, ""]


def _layout() -> list[str]:
    return [
        "## Layout",
        "",
        "A sample is `KEY.json` and its images: `KEY.0.jpg`, `KEY.1.jpg` ... for documents and conversations (the JSON's `texts` and `images`",
        "are parallel, one of them null in each slot; `images` holds the part's name), `KEY.jpg` and `KEY.txt` for pairs and pages.",
        "",
    ]


def _reading(name: str, config: str) -> list[str]:
    published = "/" in name and "://" not in name
    where = f'"{name}"' if published else "folder"
    local = [
        "from huggingface_hub import snapshot_download",
        f'folder = snapshot_download("{name}", repo_type="dataset")',
    ]
    blocks = [
        local if published else ["import os", "folder = os.getcwd()  # where this file lies"],
        [
            "# datasets",
            "from datasets import load_dataset",
            f'rows = load_dataset({where}, "{config}", split="train", streaming=True)',
        ],
        [
            "# webdataset",
            "import glob",
            "import webdataset",
            f'samples = webdataset.WebDataset(sorted(glob.glob(f"{{folder}}/shards/{config}/train-*.tar")), shardshuffle=False).decode("pil")',
        ],
        [
            "# Megatron-Energon; `energon prepare` is not needed",
            "from megatron.energon import WorkerConfig, get_loader, get_train_dataset",
            "worker = WorkerConfig.default_worker_config()",
            f'data = get_train_dataset(f"{{folder}}/shards/{config}", worker_config=worker, batch_size=None, shuffle_buffer_size=100,',
            "                         max_samples_per_sequence=100)",
            "loader = get_loader(data)",
        ],
        [
            "# panoramix: mixture, packing, exact resume on any number of ranks"
            + ("; reads from the Hub by range" if published else ""),
            "from shards.loader import Loader",
            f'batches = Loader({f"{chr(34)}hf://datasets/{name}{chr(34)}" if published else "folder"}, "stage1")',
        ],
    ]
    return ["## Reading it", "", *(line for block in blocks for line in ("```python", *block, "```", ""))]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """GitHub's table; numbers to the right, with separators."""
    rows = list(rows)
    numeric = [
        bool(rows) and all(isinstance(row[i], int) or not row[i] or str(row[i]).endswith("%") for row in rows)
        for i in range(len(head))
    ]
    lines = [[f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---:" if right else "---" for right in numeric]
    return [*(f"| {' | '.join(line)} |" for line in (head, rule, *lines)), ""]
