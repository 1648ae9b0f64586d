"""`python -m bench NAME [--json]`: a comparison with peers on one machine. Prints a row for each contender."""

import argparse
import importlib
import json
import pathlib


def main() -> None:
    names = sorted(p.stem for p in pathlib.Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=names)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows")
    parser.add_argument("--python", help="loader: Python of an environment with the peers that this one cannot hold")
    options, own = parser.parse_known_args()
    module = importlib.import_module(f"bench.{options.name}")
    if hasattr(module, "arguments"):  # a measurement with arguments of its own
        rows = module.rows(module.arguments(f"python -m bench {options.name}").parse_args(own))
    elif own:
        parser.error(f"unrecognized arguments: {' '.join(own)}")
    else:
        rows = module.rows(options.python) if options.python else module.rows()
    if options.json:
        print(json.dumps(rows))
        return
    columns = list(dict.fromkeys(k for r in rows for k in r))
    lines = [columns, *([_text(r.get(c)) for c in columns] for r in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _text(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
