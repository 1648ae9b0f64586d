"""`python -m bench NAME [--json]`: one comparison against peers, in one run on one machine. Rows: one a contender."""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import sys


def main() -> None:
    names = sorted(p.stem for p in pathlib.Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("--json", action="store_true", help="a list of rows")
    parser.add_argument("--python", help="loader: of an environment with peers that this one cannot hold")
    given = parser.parse_args()
    compare = importlib.import_module(f"bench.{given.name}").rows
    rows = compare(given.python) if given.python else compare()
    if given.json:
        print(json.dumps(rows))
        return
    columns = list(dict.fromkeys(k for r in rows for k in r))
    width = {c: max(len(c), *(len(_say(r.get(c))) for r in rows)) for c in columns}
    print("  ".join(c.ljust(width[c]) for c in columns))
    for r in rows:
        print("  ".join(_say(r.get(c)).ljust(width[c]) for c in columns))


def _say(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
