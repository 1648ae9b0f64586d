"""Tesseract through its command line: a picture in, segments with confidences out.

A command, not a binding: there is one process for each page, so a crash or a hang concerns that page alone. It runs on
one thread (OMP_THREAD_LIMIT=1), because its own threads make it three to four times slower when several processes run
(measured; also datashare issue 2234).
"""

import contextlib
import csv
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from statistics import median

from ocr.layout import RIGHT, Segment, Word, union
from ocr.pdf import clean, refuse

TIMEOUT_S = 40.0  # below the engine's deadline for a page, so that the page is refused here with its own reason


class EngineError(ValueError):
    """The recipe asks for an OCR engine or a language that is not installed. The message is one line."""


@dataclass(frozen=True)
class Ocr:
    """How pages without a usable text layer are read."""

    engine: str = "auto"  # "tesseract", "none", or "auto": Tesseract where it is installed
    languages: str = "eng"  # as Tesseract names them, joined by "+"
    dpi: int = 300
    min_confidence: float = 0.45  # mean of the page's words; below, the page is refused as ocr_poor


AUTO = Ocr()


def available(ocr: Ocr) -> bool:
    """Whether the engine can be used on this machine.

    Raises EngineError for an unknown engine, and for "tesseract" where it or one of the languages is not installed.
    """
    if ocr.engine == "none":
        return False
    if ocr.engine not in ("auto", "tesseract"):
        raise EngineError(f"ocr is {ocr.engine!r}: use auto, tesseract or none")
    installed = languages()
    missing = [name for name in ocr.languages.split("+") if name not in installed]
    if not missing or ocr.engine == "auto":
        return not missing
    if not installed:
        raise EngineError("OCR needs Tesseract, which is not installed: apt-get install tesseract-ocr")
    fault = f"ocr_languages names {'+'.join(missing)}, for which Tesseract has no data on this machine"
    raise EngineError(f"{fault}: apt-get install tesseract-ocr-{missing[0]}")


def _output(option: str) -> str:
    """What Tesseract prints for an option; nothing where it is not installed."""
    if shutil.which("tesseract") is None:
        return ""
    run = subprocess.run(["tesseract", option], capture_output=True, text=True, timeout=30, check=False)
    return run.stdout or run.stderr


@lru_cache(maxsize=1)
def version() -> str | None:
    """For example "5.3.0", for fingerprints; None where Tesseract is not installed."""
    words = _output("--version").split()
    return words[1] if len(words) > 1 else None


@lru_cache(maxsize=1)
def languages() -> frozenset[str]:
    """The languages that Tesseract has data for; empty where it is not installed."""
    return frozenset(_output("--list-langs").split("\n")[1:]) - {""}


def read(image: bytes, dpi: float, scale: tuple[float, float], ocr: Ocr) -> list[Segment]:
    """Segments of a picture (bytes of any format that Tesseract reads); `scale` is points per pixel, across and down.

    Raises RefusedError: ocr_failed, ocr_timeout, no_text, ocr_poor.
    """
    options = ["--dpi", str(max(70, round(dpi))), "--psm", "3", "-l", ocr.languages, "tsv"]
    command, pipe = ["tesseract", "stdin", "stdout", *options], subprocess.PIPE
    env = {**os.environ, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env) as process:
        if sys.platform == "linux":  # it ends by itself after that much CPU time, should this process be killed before
            with contextlib.suppress(ProcessLookupError):  # it has already ended
                resource.prlimit(process.pid, resource.RLIMIT_CPU, (int(TIMEOUT_S) + 5, int(TIMEOUT_S) + 5))
        try:
            out, _ = process.communicate(image, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            refuse("ocr_timeout")
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        refuse("ocr_failed")
    segments = parse(out.decode("utf-8", "replace"), scale)
    words = [w for s in segments for w in s.words]
    if not words:
        refuse("no_text")
    if sum(w.score for w in words) / len(words) < ocr.min_confidence:
        refuse("ocr_poor")
    return segments


def parse(tsv: str, scale: tuple[float, float]) -> list[Segment]:
    """The words of Tesseract's TSV (level 5), one segment for each line, in its order. Boxes in points.

    The height of a line's box depends on its letters, so a line's size is the median of its paragraph's lines.
    """
    rows = [r for r in csv.DictReader(tsv.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE) if r["level"] == "5"]
    out = []
    for _, paragraph in groupby(rows, key=lambda r: (r["block_num"], r["par_num"])):
        lines = []
        for _, line in groupby(paragraph, key=lambda r: r["line_num"]):
            words = []
            for r in line:
                text, score = clean(r["text"] or ""), float(r["conf"]) / 100
                x, y, w, h = (int(r[name]) for name in ("left", "top", "width", "height"))
                if text and score >= 0 and w > 0 and h > 0:
                    box = (x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1])
                    words.append(Word(text, box, round(min(score, 1.0), 4)))
            if words:
                lines.append(tuple(words))
        boxes = [union([w.box for w in words]) for words in lines]
        out += [Segment(words, RIGHT, median(b[3] - b[1] for b in boxes), False) for words in lines]
    return out
