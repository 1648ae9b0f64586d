import time
from pathlib import Path

import pytest

from ocr import tesseract
from ocr.pdf import RefusedError
from ocr.tesseract import EngineError, Ocr

HEAD = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
TSV = (
    HEAD
    + "1\t1\t0\t0\t0\t0\t0\t0\t100\t100\t-1\t\n"
    + '5\t1\t1\t1\t1\t1\t10\t20\t30\t10\t91.5\t"Hello\n'
    + "5\t1\t1\t1\t1\t2\t50\t20\t30\t10\t88\tworld\n"
    + "5\t1\t1\t1\t2\t1\t10\t40\t30\t12\t70\tagain\n"
    + "5\t1\t1\t1\t2\t2\t50\t40\t30\t12\t95\t \n"
    + "5\t1\t2\t1\t1\t1\t10\t80\t0\t12\t95\tnowhere\n"
)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script named tesseract first on the path."""
    command = folder / "tesseract"
    command.write_text("#!/bin/sh\n" + script)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_tsv_of_tesseract_gives_segments_in_points() -> None:
    segments = tesseract.parse(TSV, (0.5, 0.25))
    assert [[w.text for w in s.words] for s in segments] == [['"Hello', "world"], ["again"]]
    assert segments[0].words[0].box == (5.0, 5.0, 20.0, 7.5)
    assert segments[0].words[0].score == 0.915
    assert [s.size for s in segments] == [2.75, 2.75]  # the median of the paragraph's lines


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit 3\n", "ocr_failed"), ("cat > /dev/null; cat EMPTY\n", "no_text"), ("sleep 30\n", "ocr_timeout")],
)
def test_an_engine_that_fails_gives_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    (tmp_path / "empty").write_text(HEAD)
    install(tmp_path, monkeypatch, script.replace("EMPTY", str(tmp_path / "empty")))
    monkeypatch.setattr(tesseract, "TIMEOUT_S", 1)
    start = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        tesseract.read(b"P5\n1 1\n255\n\0", 300, (1, 1), Ocr())
    assert refused.value.reason == reason
    assert time.monotonic() - start < 10


def test_the_engine_runs_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, f'cat > /dev/null; echo "$OMP_THREAD_LIMIT $*" > {tmp_path}/options; exit 1\n')
    with pytest.raises(RefusedError):
        tesseract.read(b"P5\n1 1\n255\n\0", 200.4, (1, 1), Ocr(languages="deu+eng"))
    assert (tmp_path / "options").read_text() == "1 stdin stdout --dpi 200 --psm 3 -l deu+eng tsv\n"


def test_pages_of_low_confidence_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text(HEAD + "5\t1\t1\t1\t1\t1\t10\t20\t30\t10\t30\tgarbage\n")
    install(tmp_path, monkeypatch, f"cat > /dev/null; cat {tmp_path}/out\n")
    with pytest.raises(RefusedError, match="mean confidence"):
        tesseract.read(b"x", 300, (1, 1), Ocr())
    assert len(tesseract.read(b"x", 300, (1, 1), Ocr(min_confidence=0.3))) == 1


def test_the_engine_and_languages_of_the_recipe_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract, "languages", lambda: frozenset({"eng"}))
    assert tesseract.available(Ocr())
    assert not tesseract.available(Ocr("none"))
    assert not tesseract.available(Ocr(languages="eng+deu"))
    with pytest.raises(EngineError, match=r"^ocr_languages names deu, .* apt-get install tesseract-ocr-deu$"):
        tesseract.available(Ocr("tesseract", "eng+deu"))
    with pytest.raises(EngineError, match="use auto, tesseract or none"):
        tesseract.available(Ocr("abbyy"))
    monkeypatch.setattr(tesseract, "languages", lambda: frozenset())
    assert not tesseract.available(Ocr())
    with pytest.raises(EngineError, match="apt-get install tesseract-ocr"):
        tesseract.available(Ocr("tesseract"))
