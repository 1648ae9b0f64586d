"""Which pages keep their text layer, and which must be read by OCR.

Cheap rules on what the page has, in the manner of MinerU's and FinePDFs' routers (MinerU pdf_classify; FinePDFs
run_finepdfs_pipeline): thresholds are theirs where one is given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """When a text layer is not usable."""

    min_chars: int = 50  # with fewer letters (MinerU: mean non-blank characters a page) ...
    max_coverage: float = 0.8  # ... on a page that pictures cover this much of (MinerU), the text is not the page's
    max_bad: float = 0.03  # share of characters no font maps: U+FFFD, private use (MinerU: 3 % ...
    min_bad_chars: int = 300  # ... of at least 300 characters); with fewer, `max_bad_few`
    max_bad_few: float = 0.1
    max_punctuation: float = 0.25  # share of ASCII punctuation (MinerU) ...
    min_punctuation_runs: float = 0.1  # ... together with the share that stands in runs of it (MinerU)


@dataclass(frozen=True)
class Signals:
    """What a page's text layer looks like. Shares are of its visible non-blank characters."""

    chars: int  # visible and not blank
    hidden: int  # characters of words no reader sees; they are left out
    fffd: float  # share of U+FFFD
    bad: float  # share of U+FFFD and private use
    punctuation: float
    punctuation_runs: float
    coverage: float  # share of the page under raster pictures


_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
# Leaders and rules of tables of contents and forms are no sign of a broken font.
_PUNCTUATION = re.compile(r"[!\"#$%&'()+,/:;<>?@\[\\\]^`{|}~]")
_RUN = re.compile(_PUNCTUATION.pattern + "{2,}")


def signals(visible: list[str], hidden: list[str], coverage: float) -> Signals:
    """Measure the words of a page (visible and hidden) and the share its pictures cover."""
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


def why_ocr(s: Signals, rules: Rules) -> str | None:
    """Why the text layer is not usable (no_chars, few_chars, bad_chars, punctuation), or None where it is."""
    if s.chars == 0:
        return "no_chars"
    if s.chars < rules.min_chars and s.coverage >= rules.max_coverage:
        return "few_chars"
    if s.bad >= (rules.max_bad if s.chars >= rules.min_bad_chars else rules.max_bad_few):
        return "bad_chars"
    if s.punctuation >= rules.max_punctuation and s.punctuation_runs >= rules.min_punctuation_runs:
        return "punctuation"
    return None
