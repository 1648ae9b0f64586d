"""The training loop: exact resume, micro-batches, the learning rate, the log, and the prefetch thread."""

import json
import threading
from dataclasses import replace

import pytest
import torch

from shards.image import decode
from tests.trainer import small
from tests.trainer.fakes import Batch, Loader, Sample
from tests.trainer.pictures import picture
from trainer import checkpoint, schema
from trainer.checkpoint import CheckpointError
from trainer.feed import collated, prefetch
from trainer.images import ImageReader
from trainer.loop import Fit, fit, learning_rate
from trainer.parallel import ForwardModule, Ranks

IDENTITY = {"recipe": "r", "data": "d"}


@pytest.fixture(scope="module")
def samples():
    pictures = [picture(seed) for seed in range(8)]
    pairs = [Sample(f"p{i}", "pairs", [0, caption], [data]) for i, (data, caption) in enumerate(pictures)]
    pages = [
        Sample(f"d{i}", "interleaved", ["first text", 0, caption, 1], [data, pictures[0][0]])
        for i, (data, caption) in enumerate(pictures)
    ]
    return {"pairs": pairs, "interleaved": pages, "text": [Sample("t", "text", ["words alone"], [])]}


def recipe(**train: object) -> schema.Recipe:
    settings = {"steps": 6, "lr": 1e-3, "warmup": 2, "backbones": "full", "save_every": 2, **train}
    return schema.Recipe(stage="s", mixture="m", model=small.MODEL, train=schema.Train(**settings), threads=1)


def run(folder, samples, settings, stop=None, weights=None) -> Fit:
    loader = Loader(samples, weights or {"pairs": 0.5, "interleaved": 0.4, "text": 0.1}, 2, 160, small.LATENTS)
    return fit(settings, small.model, loader, small.collator(), folder, IDENTITY, stop)


@pytest.mark.parametrize("backbones", ["full", "lora"])
def test_resume_gives_the_weights_of_an_uninterrupted_run(tmp_path, samples, backbones):
    # Dropout is used, so that torch's random generator must resume too.
    settings = recipe(backbones=backbones, lora=schema.Lora(r=2, dropout=0.1))
    complete = run(tmp_path / "complete", samples, settings)
    run(tmp_path / "cut", samples, settings, stop=3)  # one step past the last checkpoint
    resumed = run(tmp_path / "cut", samples, settings)
    assert [line["step"] for line in resumed.steps] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in resumed.steps] == [line["loss"] for line in complete.steps]
    for (name, ours), theirs in zip(
        resumed.model.state_dict().items(), complete.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_a_finished_run_is_not_trained_again(tmp_path, samples):
    first = run(tmp_path, samples, recipe())
    second = run(tmp_path, samples, recipe())
    assert second.steps == first.steps
    assert all(
        torch.equal(a, b)
        for a, b in zip(second.model.state_dict().values(), first.model.state_dict().values(), strict=True)
    )


def test_another_runs_checkpoint_is_refused(tmp_path, samples):
    run(tmp_path, samples, recipe(), stop=2)
    loader = Loader(samples, {"pairs": 1.0}, 2, 160, small.LATENTS)
    with pytest.raises(CheckpointError, match="the data has changed since this run began; choose another --out"):
        fit(recipe(), small.model, loader, small.collator(), tmp_path, {"recipe": "r", "data": "other"})


def test_micro_batches_give_the_same_steps(tmp_path, samples):
    complete = run(tmp_path / "complete", samples, recipe())
    settings = recipe().model_copy(update={"packing": schema.Packing(micro_sequences=1)})
    parts = run(tmp_path / "parts", samples, settings)
    assert [line["loss"] for line in parts.steps] == pytest.approx([line["loss"] for line in complete.steps], abs=1e-4)
    assert [line["tokens"] for line in parts.steps] == [line["tokens"] for line in complete.steps]


def test_the_log_has_every_step(tmp_path, samples, capsys):
    result = run(tmp_path, samples, recipe(steps=8), weights={"pairs": 0.5, "text": 0.5})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == result.steps and {line["source"] for line in lines} == {"pairs", "text"}
    for line in lines:
        assert (line["images"] > 0) == (line["source"] == "pairs")
        assert 0 <= line["padding"] < 1 and 0 <= line["wait"] <= line["seconds"] and line["tokens"] > 0
        assert line["by_source"][line["source"]] == line["loss"]
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert all(
        tag in events
        for tag in (b"loss/pairs", b"loss/text", b"gradient_norm", b"padding", b"speed/tokens", b"speed/wait")
    )
    printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("s ")]
    assert len(printed) == 8 and all(
        word in printed[-1] for word in ("loss", "lr", "gn", "tok/s", "img/s", "pad", "wait")
    )


def test_images_are_decoded_a_micro_batch_at_a_time(samples):
    decoded = []

    class Reader(ImageReader):
        def image(self, data, *args):
            decoded.append(data)
            return super().image(data, *args)

    collate = replace(small.collator(), reader=Reader(decode))
    loader = Loader({"pairs": samples["pairs"]}, {"pairs": 1.0}, 32, 60, small.LATENTS)
    parts = collated(loader, collate, 1)
    sizes = []
    for count in range(1, 33):
        part = next(parts)
        sizes.append(part.tensors.images)
        assert len(decoded) == sum(sizes) and (part.after is not None) == (count == 32)
        assert part.places == 32 * 60


def test_gradients_are_summed_over_the_ranks_once_a_step(tmp_path, samples, monkeypatch):
    asked = []
    monkeypatch.setattr(ForwardModule, "synchronise", lambda self, now: asked.append(now))
    for backbones in ("lora", "full"):
        settings = recipe(backbones=backbones, steps=2, warmup=0)
        run(tmp_path / backbones, samples, settings.model_copy(update={"packing": schema.Packing(micro_sequences=1)}))
    # Without the sum, each rank holds all gradients, which is too much memory if all weights are trained.
    assert asked == [False, True, False, True, True, True, True, True]


def test_the_generator_of_a_gpu_is_saved_and_restored(tmp_path, monkeypatch):
    state, given = torch.tensor([1, 2, 3], dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda value, device: given.append((value, device)))
    ranks = Ranks(0, 1, torch.device("cuda", 1))
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    checkpoint.save(tmp_path, 1, IDENTITY, model, optimiser, ranks)
    found = checkpoint.find(tmp_path, IDENTITY)
    checkpoint.restore(found, model, optimiser, ranks)
    ((value, device),) = given
    assert torch.equal(value, state) and device == ranks.device
    checkpoint.restore(found, model, optimiser, Ranks(0, 1, torch.device("cpu")))  # goes on without a GPU
    assert len(given) == 1


def test_padding_is_the_share_of_places_without_a_token(tmp_path, samples):
    long, short = samples["pairs"][0], samples["text"][0]
    batch = small.collator()([[long], [short]], "square", 56, 56)
    lengths = [int((row != 0).sum()) for row in batch.documents]

    class Once:
        def __iter__(self):
            while True:
                yield Batch(0, "pairs", 512, {"mode": "square", "longest": 56, "shortest": 56}, [[long], [short]])

        def state_dict(self):
            return {}

    (line,) = fit(recipe(steps=1, warmup=0), small.model, Once(), small.collator(), tmp_path, IDENTITY).steps
    assert line["tokens"] == sum(lengths) and line["padding"] == pytest.approx(1 - sum(lengths) / (2 * max(lengths)))
    assert lengths[0] != lengths[1]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, samples):
    model = small.model()
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    loader = Loader(samples, {"pairs": 1.0}, 2, 160, small.LATENTS)
    with pytest.raises(FloatingPointError, match="the loss is nan at step 1"):
        fit(recipe(), lambda: model, loader, small.collator(), tmp_path, IDENTITY)


def test_the_learning_rate_rises_and_falls():
    train = schema.Train(steps=10, lr=1.0, warmup=4)
    rates = [learning_rate(train, step) for step in range(1, 11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0] and rates[4:] == sorted(rates[4:], reverse=True) and 0 < rates[-1] < 0.2
    assert learning_rate(train.model_copy(update={"schedule": "constant"}), 10) == 1.0
    assert 0 < learning_rate(train.model_copy(update={"schedule": "cosine"}), 10) < rates[-1]


def test_an_error_of_the_feed_is_raised_in_the_loop():
    def items():
        yield 1
        raise OSError("a shard is gone")

    feed = prefetch(items)
    assert next(feed) == 1
    with pytest.raises(OSError, match="a shard is gone"):
        next(feed)


def test_closing_the_feed_ends_its_thread():
    def items():
        while True:
            yield 1

    feed = prefetch(items)
    next(feed)
    assert any(thread.name.startswith("batches") for thread in threading.enumerate())
    feed.close()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())
