"""The seven topics of the sample web: one text file and one host each."""

from pathlib import Path

from pipelines.sample.prose import read_topic

# The order is part of the sample: pictures and odd pages are numbered in it.
TOPICS = tuple(
    read_topic(Path(__file__).with_name(f"{name}.txt"))
    for name in ("sky", "garden", "rivers", "trams", "kitchen", "instruments", "numbers")
)
