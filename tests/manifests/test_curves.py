"""Training curves in a report."""

import json

from manifests.curves import chart, section
from manifests.report import with_training
from manifests.runfiles import RunFiles


def line(step: int, **fields: object) -> dict:
    return {
        "step": step,
        "source": "pairs",
        "loss": 3.0 / step,
        "gradient_norm": 1.0,
        "tokens": 100,
        "seconds": 0.5,
        **fields,
    }


def write(folder, stage: str, lines: list[dict]) -> None:
    (folder / "train" / stage).mkdir(parents=True)
    (folder / "train" / stage / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))


def test_a_line_for_each_source_and_a_row_for_each_stage(tmp_path):
    write(tmp_path, "stage1", [line(1), line(2, source="ocr"), line(3), line(4, source="ocr", loss=float("nan"))])
    write(tmp_path, "stage2", [line(1, mfu=0.4), line(2, mfu=0.5)])
    page = section(RunFiles(tmp_path))
    assert page.index("<h3>stage1</h3>") < page.index("<h3>stage2</h3>")
    assert page.count("<figcaption>loss") == 2 and page.count("<figcaption>MFU") == 1
    assert ">pairs</text>" in page and ">ocr</text>" in page and "nan" not in page
    assert with_training("<html>before</html>", RunFiles(tmp_path)) == f"<html>before{page}</html>"


def test_a_report_without_logs_is_unchanged(tmp_path):
    assert with_training("<html>x</html>", RunFiles(tmp_path)) == "<html>x</html>"


def test_the_highest_value_is_at_the_top_and_names_are_escaped():
    svg = chart("t", {"<b>": [(1, 4.0), (2, 2.0), (3, 1.0)]})
    assert "<b>" not in svg and "&lt;b&gt;" in svg
    points = svg.split("points='")[1].split("'")[0].split(" ")
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights) and heights[0] >= 0
