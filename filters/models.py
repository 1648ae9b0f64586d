"""The models and word lists that a recipe names for the texts of a source, checked before a run starts."""

import os
from collections.abc import Callable
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
    checks: list[tuple[str, Callable[[], object]]] = []
    stages: list[Blocklist | Quality | Perplexity] = []
    if blocklist is not None:
        checks.append(("blocklist", partial(blocklists.entries, blocklist)))
        stages.append(Blocklist(blocklist))
    for key in ("language_model", "quality_model"):
        if (path := getattr(text, key)) is not None:
            checks.append((f"text.{key}", partial(check_model, path)))
    if text.quality_model is not None:
        stages.append(Quality(text.quality_model))
    if (path := text.perplexity_model) is not None:
        checks.append(("text.perplexity_model", partial(perplexity.check, path, text.perplexity_pieces)))
        stages.append(Perplexity(path, text.perplexity_pieces))
    checks += [(f"text.flagged_words.{code}", partial(words, path)) for code, path in text.flagged_words.items()]
    checks += [(f"text.common_words.{code}", partial(common, code, path)) for code, path in text.common_words.items()]
    for key, check in checks:
        try:
            check()
        except ValueError as e:
            raise ValueError(f"{key}: {e}") from None
    return stages
