"""Tesseract through its command line: a picture in, segments with confidences out.

The command, not a binding: it is one process a page, so a crash or a hang is that page's, and one thread
(OMP_THREAD_LIMIT=1), since its own threads make it three to four times slower when several run (measured; also
datashare issue 2234).
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from statistics import median

from ocr.document import clean, refuse
from ocr.layout import RIGHT, Segment, Word, union


class EngineError(Exception):
    """The recipe asks for an OCR engine or a language that is not here."""


@dataclass(frozen=True)
class Ocr:
    """How pages without a usable text layer are read."""

    engine: str = "auto"  # "tesseract", "none", or "auto": Tesseract where it is installed
    languages: str = "eng"  # as Tesseract names them, joined by "+"
    dpi: int = 300
    max_pixels: int = 12_000_000  # of the drawing that is read
    timeout_s: float = 40.0  # below the deadline of a fence round the page, so that it is this page's row that says why
    min_confidence: float = 0.45  # mean of the page's words; below, the page is refused as ocr_poor


def available(ocr: Ocr) -> bool:
    """Whether the engine can be used here. Raises EngineError where the recipe insists on one that cannot, or names no
    engine.
    """
    if ocr.engine == "none":
        return False
    if ocr.engine not in ("auto", "tesseract"):
        raise EngineError(f"ocr.engine is {ocr.engine!r}: use auto, tesseract or none")
    have = _languages()
    lacking = [name for name in ocr.languages.split("+") if name not in have]
    if not lacking:
        return True
    if ocr.engine == "auto":
        return False
    raise EngineError(
        f"ocr.languages names {'+'.join(lacking)}, which Tesseract lacks here: install its data (tesseract-ocr-{lacking[0]})"
        if have
        else "ocr.engine is tesseract, which is not installed: install it (apt-get install tesseract-ocr), or use auto or none"
    )


@lru_cache(maxsize=1)
def version() -> str | None:
    """As in "5.3.0", for fingerprints; None where it is not installed."""
    if shutil.which("tesseract") is None:
        return None
    said = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, timeout=30, check=False)
    words = (said.stdout or said.stderr).split()
    return words[1] if len(words) > 1 else None


@lru_cache(maxsize=1)
def _languages() -> frozenset[str]:
    if shutil.which("tesseract") is None:
        return frozenset()
    said = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, timeout=30, check=False)
    return frozenset(said.stdout.split("\n")[1:]) - {""}


def read(image: bytes, dpi: float, scale: tuple[float, float], ocr: Ocr) -> list[Segment]:
    """Segments of a picture (bytes of any format Tesseract reads); `scale` is points per pixel, across and down.

    Raises RefusedError: ocr_failed, ocr_timeout, no_text, ocr_poor.
    """
    command = [
        "tesseract",
        "stdin",
        "stdout",
        "--dpi",
        str(max(70, round(dpi))),
        "--psm",
        "3",
        "-l",
        ocr.languages,
        "tsv",
    ]
    env = {**os.environ, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as process:
        _limit(process.pid, ocr.timeout_s)
        try:
            out, _ = process.communicate(image, timeout=ocr.timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            refuse("ocr_timeout")
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        refuse("ocr_failed")
    found = parse(out.decode("utf-8", "replace"), scale)
    words = [w for s in found for w in s.words]
    if not words:
        refuse("no_text")
    if sum(w.score for w in words) / len(words) < ocr.min_confidence:
        refuse("ocr_poor")
    return found


def _limit(pid: int, seconds: float) -> None:
    """End the process by itself after that much CPU, should we be killed before it is done."""
    if sys.platform == "linux":
        import resource

        cpu = max(1, int(seconds) + 5)
        try:
            resource.prlimit(pid, resource.RLIMIT_CPU, (cpu, cpu))
        except ProcessLookupError:  # over already
            return


def parse(tsv: str, scale: tuple[float, float]) -> list[Segment]:
    """The words of Tesseract's TSV (level 5), a segment a line, in its order. Boxes in points.

    The height of a line's box depends on its letters, so a line's size is the median of its paragraph's.
    """
    rows = [r for r in csv.DictReader(tsv.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE) if r["level"] == "5"]
    out = []
    for key, line in groupby(rows, key=lambda r: (int(r["block_num"]), int(r["par_num"]), int(r["line_num"]))):
        words = []
        for r in line:
            text, score = clean(r["text"] or ""), float(r["conf"]) / 100
            x, y, w, h = (int(r[name]) for name in ("left", "top", "width", "height"))
            if text and score >= 0 and w > 0 and h > 0:
                box = (x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1])
                words.append(Word(text, box, round(min(score, 1.0), 4)))
        if words:
            box = union([w.box for w in words])
            out.append(Segment(tuple(words), RIGHT, box[3] - box[1], False, key[0] * 1000 + key[1]))
    sizes = {block: median(s.size for s in out if s.block == block) for block in {s.block for s in out}}
    return [replace(s, size=sizes[s.block]) for s in out]
