"""Small generated conversation datasets in the published layouts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.trainer.pictures import picture

PICTURES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
TURNS = pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())]))
CAULDRON = pa.schema([("images", PICTURES), ("texts", TURNS)])


def question(seed: int, n: int = 0) -> dict[str, str]:
    caption = picture(seed)[1]
    turns = [
        ("What does the picture show?", f"{caption}."),
        ("Which colour is it in?", caption.split(" in ")[-1].split()[0]),
    ]
    user, assistant = turns[n % 2]
    return {"user": user if n < 2 else f"{user} (asked again, {n})", "assistant": assistant, "source": "made"}


def cauldron(path: Path, seeds: range, questions: int = 2) -> Path:
    """A Parquet file with the bytes of the images, one row for each seed."""
    rows = [
        {"images": [{"bytes": picture(s)[0], "path": None}], "texts": [question(s, n) for n in range(questions)]}
        for s in seeds
    ]
    pq.write_table(pa.Table.from_pylist(rows, CAULDRON), path, row_group_size=8)
    return path


def llava_row(name: str | None, seed: int) -> dict[str, Any]:
    caption = picture(seed)[1]
    turns = [
        ("human", "<image>\nDescribe the picture."),
        ("gpt", f"{caption}."),
        ("human", f"And is it number {seed}?"),
        ("gpt", "Yes, it is."),
    ]
    if name is None:
        turns[0] = ("human", f"Say a word about the number {seed}.")
    row: dict[str, Any] = {
        "id": str(seed),
        "conversations": [{"from": speaker, "value": text} for speaker, text in turns],
    }
    return row if name is None else {**row, "image": name}


def llava(folder: Path, seeds: range, text_only: int = 2) -> Path:
    """A JSON array beside a folder of images, as LLaVA publishes them. The last `text_only` rows have no image."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:
        name = f"images/{seed}.{'jpg' if seed % 2 else 'png'}"
        (folder / name).write_bytes(picture(seed)[0])
        rows.append(llava_row(name, seed))
    rows += [llava_row(None, seed) for seed in range(text_only)]
    path = folder / "llava.json"
    path.write_text(json.dumps(rows, indent=1))
    return path
