"""A run's folder with pictures that a model can learn: pairs, pages, OCR pages, conversations and plain texts."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shards.write import Pack
from tests.shards import made
from tests.trainer.pictures import picture


def prose(seed: int, sentences: int) -> str:
    rng = random.Random(seed)
    subjects = ["The surveyor", "A ferry pilot", "The archive", "Every village", "The old mill"]
    verbs = ["recorded", "forgot", "repainted", "measured", "carried home"]
    things = ["the height of the river", "a winter of snow", "its last harvest", "the road to the bay", "three letters"]
    return " ".join(f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(things)}." for _ in range(sentences))


def pair(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    data, caption = picture(seed)
    url = f"https://i.example/pair/{seed}.jpg"
    nodes = [made.node("image", image=url, alt=caption), made.text(caption)]
    return made.document(f"pair-{seed}", nodes, [blobs.place(0, data, url)], kind="pairs")


def page(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    data, caption = picture(seed)
    url = f"https://i.example/{seed}.jpg"
    texts = [made.text(words) for words in (prose(seed, 3), caption, prose(seed + 1, 5))]
    nodes = [texts[0], made.node("image", image=url), *texts[1:]]
    return made.document(f"page-{seed}", nodes, [blobs.place(1, data, url)])


def chat(blobs: made.Blobs, seed: int) -> dict[str, Any]:
    """An image and two exchanges about it, with breaks between the turns."""
    data, caption = picture(seed)
    url = f"https://i.example/chat/{seed}.jpg"
    turns = [f"What is shown in picture {seed}?", f"{caption}.", "Which colour?", caption.split(" in ")[-1]]
    nodes = [made.node("image", image=url)]
    for n, turn in enumerate(turns):
        nodes += [made.node("text", role=("user", "assistant")[n % 2], text=turn), made.node("break")]
    return made.document(f"chat-{seed}", nodes, [blobs.place(0, data, url)])


#: for each layout a function of (blobs, seed) that gives a document
MAKE = {
    "pairs": pair,
    "interleaved": page,
    "ocr": made.page,
    "conversations": chat,
    "text": lambda blobs, seed: made.article(seed),
}


def run(folder: Path, counts: dict[str, dict[str, int]], layouts: dict[str, str] | None = None) -> Path:
    """Writes a run's folder, with one shard for each split of a source. Each split has different pictures.

    counts: source -> split -> samples. layouts: of the sources, by default their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, Any] = {}
    for c, (name, sizes) in enumerate(counts.items()):
        layout, splits = (layouts or {}).get(name, name), {}
        for s, (split, size) in enumerate(sizes.items()):
            with TemporaryDirectory() as place:
                blobs = made.Blobs(Path(place))
                documents = [MAKE[layout](blobs, 100_000 * (2 * c + s) + i) for i in range(size)]
                splits[split] = [made.shard(folder, Pack(name, layout, split), documents, blobs, 0)]
        sources[name] = {"kind": made.KINDS[layout], "layout": layout, "tag": None, "splits": splits}
    return made.manifest(folder, sources)
