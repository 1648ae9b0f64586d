"""`python -m pipelines` is the command `panoramix`."""

from pipelines.cli import main

main()
