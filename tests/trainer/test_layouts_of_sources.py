"""The layout of a source, and not its name, decides how its samples are trained."""

import json

import pytest

import trainer
from shards.tokens import END_OF_UTTERANCE, FAKE
from tests.trainer import made, small
from trainer.collate import Tensors
from trainer.config import load
from trainer.data import Run, collator
from trainer.layout import IGNORED

LAYOUTS = {
    "docvqa": "conversations",
    "conversations": "interleaved",
    "captions": "pairs",
    "more-captions": "pairs",
    "prose": "text",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    counts = {name: {"train": 8, "validation": 4} for name in LAYOUTS}
    return made.run(tmp_path_factory.mktemp("run"), counts, LAYOUTS)


def mixture(folder, *layouts: str) -> str:
    """A mixture with an entry for each layout, which matches the sources by layout."""
    entry = {"weight": 1.0, "sequence_length": 512, "long": "window"}
    sources = {f"all {layout}": {**entry, "match": {"layout": layout}} for layout in layouts}
    path = folder / f"{'-'.join(layouts)}.json"
    path.write_text(json.dumps({"stage": "mine", "sources": sources}))
    return str(path)


def batches(data, folder, layout: str, steps: int = 1) -> list[tuple[str, Tensors]]:
    """(source, tensors) of the first steps over all sources of a layout."""
    settings = {"mixture": mixture(folder, layout), "packing.sequences": 2, "image.mode": "square", "image.longest": 56}
    (recipe,) = load("sft", settings)
    run = Run.open(data)
    collate, out = collator(run, recipe, small.LATENTS, 14, small.LATENTS), []
    for batch in run.loader(run.mix(recipe, small.LATENTS), 0):
        out.append((batch.source, collate(batch.sequences, **batch.image, length=batch.sequence_length)))
        if len(out) == steps:
            return out
    raise AssertionError("the loader has no end")


def predicted_text(batch: Tensors) -> str:
    return small.TOKENIZER.decode(batch.labels[batch.labels != IGNORED].tolist())


def test_conversations_of_any_name_keep_the_loss_on_answers_alone(data, tmp_path):
    ((source, batch),) = batches(data, tmp_path, "conversations")
    texts = predicted_text(batch)
    assert source == "docvqa" and END_OF_UTTERANCE in texts
    assert "What is shown" in small.TOKENIZER.decode(batch.ids[0].tolist())
    assert not any(word in texts for word in ("What is shown", "Which colour", "User", "Assistant", FAKE))


def test_pages_of_a_source_called_conversations_are_trained_on_all_their_text(data, tmp_path):
    ((source, batch),) = batches(data, tmp_path, "interleaved")
    real = batch.documents != 0
    images, starts = batch.ids == small.SPECIALS.image, batch.positions == 0
    assert source == "conversations" and batch.images > 0
    assert ((batch.labels != IGNORED) == (real & ~images & ~(starts & real))).all()


def test_documents_without_images_are_trained_on_a_dummy(data, tmp_path):
    ((source, batch),) = batches(data, tmp_path, "text")
    documents = int(batch.documents.max(1).values.sum())  # the first token of each is not predicted
    assert source == "prose" and batch.images == 0 and batch.targets == batch.tokens - documents
    assert batch.pixels.values.shape[1] == 1


def test_every_source_of_a_layout_is_read(data, tmp_path):
    assert {source for source, _ in batches(data, tmp_path, "pairs", 12)} == {"captions", "more-captions"}


def test_the_log_names_sources_and_pairs_are_held_out_of_all_sources_of_pairs(data, tmp_path):
    settings = {"train.steps": 12, "train.warmup": 1, "evaluate.pairs": 8, "packing.sequences": 1}
    settings |= {"mixture": mixture(tmp_path, "text", "pairs", "interleaved")}
    (stage,) = trainer.train("stage1", data, tmp_path / "out", overrides=settings)["stages"]
    sources = {json.loads(line)["source"] for line in (tmp_path / "out/stage1/log.jsonl").read_text().splitlines()}
    assert sources == {"prose", "captions", "more-captions", "conversations"} == set(stage["by_source"])
    assert stage["held_out"]["pairs"] == 8  # four of each source
