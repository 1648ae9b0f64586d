"""The files that the sample recipe reads beside the sample web, and the settings that name them."""

from pathlib import Path

from pipelines.sample import write_conversations, write_pairs, write_texts


def write_inputs(folder: str | Path) -> list[str]:
    """Write the list of pairs, two conversation datasets and a file of texts; returns settings for the recipe."""
    files = {"texts": write_texts(folder), **write_conversations(folder)}
    pairs = write_pairs(Path(folder) / "pairs.csv")
    return [f"pairs.urls={pairs}", *(f"{name}.files={path}" for name, path in files.items())]
