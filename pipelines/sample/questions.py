"""Questions about the sample's pictures, in two formats of sets for fine-tuning: pictures by address, and as bytes."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sample.pairs import shelf
from pipelines.sample.pictures import NUMBERS, Picture, render

#: one picture in EMBEDDED is stored as bytes; the others are on the sample web
EMBEDDED = 4
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TURN = pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())])
CAULDRON = pa.schema([("images", pa.list_(_IMAGE)), ("texts", pa.list_(_TURN))])


def questions(picture: Picture) -> list[tuple[str, str]]:
    """(question, answer) about what the picture shows."""
    scene = picture.caption.split(" in ")[0].removeprefix("A ")
    return [
        ("What does the picture show?", f"{picture.caption}."),
        ("What kind of picture is it?", scene[0].upper() + scene[1:]),
        ("Which colour is it in?", picture.colour.capitalize()),
        ("How many are there?", NUMBERS[picture.count].capitalize()),
    ]


def write_conversations(folder: str | Path) -> dict[str, Path]:
    """Write ``llava.jsonl`` and ``cauldron.parquet``; returns their paths by name of the set."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    by_address, embedded = folder / "llava.jsonl", folder / "cauldron.parquet"
    rows = []
    with by_address.open("w", encoding="utf-8") as out:
        for number, picture in enumerate(shelf()):
            pairs = questions(picture)
            if number % EMBEDDED == 0:
                texts = [{"user": q, "assistant": a, "source": "sample"} for q, a in pairs]
                rows.append({"images": [{"bytes": render(picture), "path": None}], "texts": texts})
                continue
            turns = [turn for q, a in pairs for turn in ({"from": "human", "value": q}, {"from": "gpt", "value": a})]
            turns[0]["value"] = f"<image>\n{turns[0]['value']}"
            out.write(json.dumps({"id": str(number), "image": picture.url, "conversations": turns}) + "\n")
    pq.write_table(pa.Table.from_pylist(rows, CAULDRON), embedded)
    return {"llava": by_address, "cauldron": embedded}
