"""The models and word lists that a recipe names for the texts of a source, checked before a run starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from filters import blocklist as blocklists
from filters import perplexity
from filters.blocklist import Blocklist
from filters.language import check_model
from filters.perplexity import Perplexity
from filters.quality import Quality
from filters.wordlists import common, words


def text_models(text: Any, blocklist: str | None = None) -> list[Blocklist | Quality | Perplexity]:
    """The stages of a source's models and of its blocklist.

    ``text``: the table `text` of a recipe: paths of models (or None), word lists by language. Raises ValueError,
    one line that begins with the key, where a file is missing or is of another form.
    """
    for key in ("language_model", "quality_model", "perplexity_model", "perplexity_pieces"):
        if (path := getattr(text, key)) is not None and not os.path.isfile(path):
            raise ValueError(f"text.{key}: no file {path}")
    for key, check in _checks(text, blocklist):
        try:
            check()
        except ValueError as e:
            raise ValueError(f"{key}: {e}") from None
    stages: list[Blocklist | Quality | Perplexity] = []
    if blocklist is not None:
        stages.append(Blocklist(blocklist))
    if text.quality_model is not None:
        stages.append(Quality(text.quality_model))
    if text.perplexity_model is not None:
        stages.append(Perplexity(text.perplexity_model, text.perplexity_pieces))
    return stages


def _checks(text: Any, blocklist: str | None) -> Iterator[tuple[str, Callable[[], object]]]:
    if blocklist is not None:
        yield "blocklist", partial(blocklists.entries, blocklist)
    for key in ("language_model", "quality_model"):
        if (path := getattr(text, key)) is not None:
            yield f"text.{key}", partial(check_model, path)
    if text.perplexity_model is not None:
        yield "text.perplexity_model", partial(perplexity.check, text.perplexity_model, text.perplexity_pieces)
    for code, path in text.flagged_words.items():
        yield f"text.flagged_words.{code}", partial(words, path)
    for code, path in text.common_words.items():
        yield f"text.common_words.{code}", partial(common, code, path)
