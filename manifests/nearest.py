"""The nearest valid name, for messages about a name that does not exist."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean `x`?`` with the most similar name; where none is similar, ``; there are: `` and all names."""
    valid = sorted(names)
    close = difflib.get_close_matches(name, valid, 1, 0.5)
    return f"; did you mean `{close[0]}`?" if close else f"; there are: {', '.join(valid)}"
