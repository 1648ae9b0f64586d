"""Scores of images: each distinct image once, by a stage of the project or a class by import path."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from filters.own import Image as OwnImage
from filters.own import own_score
from filters.pixels import PixelScores
from manifests.stage import DirectContext
from pipelines.select.image_scores import ScoreImages
from pipelines.select.join import IMAGE


class Width:
    level = "image"

    def __call__(self, image: OwnImage) -> float:
        return image.width


def tables(folder: Path, previous: list[str] | None = None) -> dict[str, Any]:
    rows, data = [], b""
    for width in (4, 6, 4, 8):
        buffer = io.BytesIO()
        Image.new("RGB", (width, 5)).save(buffer, "PNG")
        blob = buffer.getvalue() if width < 8 else b"no image"
        rows.append({"key": width, "sha256": f"{width}", "part": 2, "offset": len(data), "length": len(blob)})
        data += blob
    (folder / "blobs").write_bytes(data)
    earlier = pa.table({"sha256": pa.array(previous or [], pa.string())})
    return {"images": pa.Table.from_pylist(rows, IMAGE), "blobs": {2: str(folder / "blobs")}, "previous": earlier}


def scores(stage: ScoreImages, given: dict[str, Any], **context: Any) -> list[dict[str, Any]]:
    out = [batch for name, batch in stage(given, DirectContext(**context)) if name == "scores"]
    return pa.Table.from_batches(out, stage.tables["scores"]).to_pylist()


def test_each_new_image_is_scored_once(tmp_path: Path) -> None:
    stage = ScoreImages(own_score("width", f"{__name__}:Width"))
    rows = scores(stage, tables(tmp_path, ["6"]), skip=frozenset())
    assert rows == [
        {"key": 4, "sha256": "4", "width": 4, "width_failed": 0},
        {"key": 8, "sha256": "8", "width": None, "width_failed": None},
    ]
    assert [r["width"] for r in scores(stage, tables(tmp_path), skip=frozenset({(0, 0)}))] == [None, 6, None]
    assert __name__.rpartition(".")[0] in stage.programs()


@pytest.mark.parametrize("stage", [PixelScores(), own_score("width", f"{__name__}:Width")])
def test_no_images(tmp_path: Path, stage: Any) -> None:
    none = {**tables(tmp_path), "images": IMAGE.empty_table()}
    assert scores(ScoreImages(stage), none) == []
