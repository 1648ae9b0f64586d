"""Which pages keep their text layer, and which must be read by OCR.

Simple rules on what the page has, like those of MinerU and FinePDFs (MinerU pdf_classify; FinePDFs
run_finepdfs_pipeline). Where MinerU has a threshold, it is MinerU's.
"""

import re
from dataclasses import dataclass

MIN_CHARS = 50  # with fewer characters (MinerU: mean non-blank characters of a page) ...
MAX_COVERAGE = 0.8  # ... on a page of which pictures cover this share (MinerU), the text is not the page's
MAX_BAD = 0.03  # share of characters that no font maps: U+FFFD and private use (MinerU: 3 % ...
MIN_BAD_CHARS = 300  # ... of at least 300 characters); with fewer characters, MAX_BAD_FEW
MAX_BAD_FEW = 0.1
MAX_PUNCTUATION = 0.25  # share of ASCII punctuation (MinerU) ...
MIN_PUNCTUATION_RUNS = 0.1  # ... together with the share that stands in runs of it (MinerU)


@dataclass(frozen=True)
class Signals:
    """Measures of a page's text layer. Shares are of its visible non-blank characters."""

    chars: int  # visible and not blank
    hidden: int  # characters of words that no reader sees; they are left out
    fffd: float  # share of U+FFFD
    bad: float  # share of U+FFFD and private use
    punctuation: float
    punctuation_runs: float
    coverage: float  # share of the page under raster pictures


_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
# without the dots, lines and underscores of tables of contents and forms: they do not mean a broken font
_PUNCTUATION = re.compile(r"[!\"#$%&'()+,/:;<>?@\[\\\]^`{|}~]")
_RUN = re.compile(_PUNCTUATION.pattern + "{2,}")


def signals(visible: list[str], hidden: list[str], coverage: float) -> Signals:
    """Measure the words of a page (visible and hidden). coverage: share of the page that its pictures cover."""
    text = "".join(visible)
    n = max(len(text), 1)
    fffd = text.count("\ufffd")
    return Signals(
        chars=len(text),
        hidden=sum(map(len, hidden)),
        fffd=fffd / n,
        bad=(fffd + len(_PRIVATE.findall(text))) / n,
        punctuation=len(_PUNCTUATION.findall(text)) / n,
        punctuation_runs=sum(map(len, _RUN.findall(text))) / n,
        coverage=coverage,
    )


def why_ocr(s: Signals) -> str | None:
    """Why the text layer is not usable (no_chars, few_chars, bad_chars, punctuation); None where it is usable."""
    if s.chars == 0:
        return "no_chars"
    if s.chars < MIN_CHARS and s.coverage >= MAX_COVERAGE:
        return "few_chars"
    if s.bad >= (MAX_BAD if s.chars >= MIN_BAD_CHARS else MAX_BAD_FEW):
        return "bad_chars"
    if s.punctuation >= MAX_PUNCTUATION and s.punctuation_runs >= MIN_PUNCTUATION_RUNS:
        return "punctuation"
    return None
