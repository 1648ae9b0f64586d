"""Conversations in shards: speakers, turns and images are as in the documents."""

from typing import Any

from shards.sample import parse
from shards.tokens import END_OF_TOPIC
from shards.write import Pack
from tests.shards import made


def turn(role: str, text: str) -> dict[str, Any]:
    return made.node("text", role=role, text=text)


def test_turns_keep_their_speakers_and_images_their_places(tmp_path):
    blobs = made.Blobs(tmp_path)
    data = made.picture(1)
    breaks = made.node("break")
    nodes = [
        made.node("image", image="sha256:1"),
        turn("user", "What is it?"),
        breaks,
        turn("assistant", "A mill.\n\nOf stone."),
        breaks,
    ]
    nodes += [turn("user", "Where?"), breaks, turn("assistant", "By the river.")]
    images = [blobs.place(0, data, "sha256:1")]
    out = made.pack(
        Pack("chats", "conversations"),
        [made.document("c", nodes, images), made.document("t", nodes[1:4], [])],
        blobs.write(),
    )
    samples = {}
    for row in out["index"].to_pylist():
        sample = parse(
            "chats", "conversations", out["tar"][row["offset"] : row["offset"] + row["size"]], row["n_images"], "here"
        )
        samples[row["n_images"]] = sample.parts()
        # as a model reads them: a line break before each turn, <end_of_utterance> after it
        turns = [part for part in sample.parts() if isinstance(part, str) and part != END_OF_TOPIC]
        assert row["n_text_tokens"] == sum(len(turn) + 2 for turn in turns)
    first = ["User: What is it?", END_OF_TOPIC, "Assistant: A mill.\n\nOf stone."]
    assert samples == {1: [0, *first, END_OF_TOPIC, "User: Where?", END_OF_TOPIC, "Assistant: By the river."], 0: first}
