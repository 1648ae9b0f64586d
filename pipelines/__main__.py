"""The command `panoramix`, which `python -m pipelines` is too. The base install, for the loader alone, is told what it
lacks.
"""

import sys


def main() -> None:
    try:
        from pipelines import cli
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"panoramix: the command needs the extra `pipeline` ({error}): pip install 'panoramix[pipeline]'")
    cli.main()


if __name__ == "__main__":
    main()
