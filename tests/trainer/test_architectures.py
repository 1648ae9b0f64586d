"""Connectors and fusions, with the same vision tower and decoder for each."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForImageTextToText

from shards.mixture import Image
from tests.trainer import small
from tests.trainer.test_packing import DOCUMENTS
from trainer import schema
from trainer.adapters import adapt, counts, merged
from trainer.collate import Tensors, pack
from trainer.connector import ConnectorError, cells, tokens
from trainer.flops import Costs
from trainer.forward import logits, token_losses
from trainer.images import dummy_pixels, to_pixels
from trainer.layout import lay_out
from trainer.model import build, resolve, save

SQUARE = [Image("square", 56, 56)]
KINDS = [
    schema.Connector(kind="mlp"),
    schema.Connector(kind="linear"),
    schema.Connector(kind="avg_pool", factor=2),
    schema.Connector(kind="pixel_shuffle", factor=3),
    schema.Connector(kind="linear_pool", tokens=5),
    schema.Connector(mlp_before=False),
]
TRAIN = schema.Train(steps=1, lora=schema.Lora(r=4, alpha=4, dropout=0.0))


def make(seed: int = 0, **switches: object):
    torch.manual_seed(seed)
    return build(small.MODEL.model_copy(update=switches), small.TOKENIZER.vocab_size, small.SPECIALS)


def batch_of(rows: list[list[int]], n_tokens: int) -> Tensors:
    documents = [[lay_out(DOCUMENTS[d], small.TOKENIZER, small.SPECIALS, n_tokens) for d in row] for row in rows]
    pictures = [
        small.noise(10 * d + i)
        for row in rows
        for d in row
        for i in range(len([p for p in DOCUMENTS[d] if isinstance(p, int)]))
    ]
    pixels = to_pixels(pictures, 14) if pictures else dummy_pixels(14)
    return pack(documents, small.SPECIALS.pad, pixels, len(pictures))


def train_a_step(model, batch) -> None:
    (token_losses(logits(model, batch), batch.labels).sum() / batch.targets).backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.kind)
def test_each_connector_gives_its_number_of_tokens_trains_and_is_loaded_again(spec, tmp_path):
    n_tokens = tokens(spec, small.MODEL.perceiver, 14, SQUARE)
    assert (
        n_tokens
        == {"mlp": 16, "linear": 16, "avg_pool": 4, "pixel_shuffle": 4, "linear_pool": 5, "perceiver": 4}[spec.kind]
    )
    model = make(connector=spec)
    batch = batch_of([[0, 2], [1]], n_tokens)
    train_a_step(model, batch)
    assert all(p.grad is not None for name, p in model.named_parameters() if "connector" in name)
    save(model.eval(), tmp_path)
    start = small.MODEL.model_copy(update={"pretrained": str(tmp_path)})  # a recipe that does not name the connector
    assert resolve(start)[0].connector == spec
    loaded = build(start, small.TOKENIZER.vocab_size, small.SPECIALS).eval()
    with torch.no_grad():
        assert torch.equal(logits(loaded, batch), logits(model, batch))


@pytest.mark.parametrize("kind", ["mlp", "avg_pool", "pixel_shuffle", "linear", "linear_pool"])
def test_connectors_without_a_perceiver_need_squares(kind):
    for images in ([Image("native", 56, 56)], [*SQUARE, Image("square", 28, 28)]):
        with pytest.raises(ConnectorError, match="needs square images of one size"):
            tokens(schema.Connector(kind=kind), small.MODEL.perceiver, 14, images)


def test_a_cell_has_neighbouring_patches():
    grid = torch.arange(9.0).view(1, 9, 1)
    assert cells(grid, 2)[0, :, :, 0].tolist() == [[0, 1, 3, 4], [2, 2, 5, 5], [6, 7, 6, 7], [8, 8, 8, 8]]


def cross_model(**switches: object):
    return make(fusion="cross_attention", cross_every=1, **switches)


def test_new_cross_attention_does_not_change_the_logits():
    model, batch = cross_model().eval(), batch_of([[0, 2], [1]], 1)
    with torch.no_grad():
        scores = logits(model, batch)
        for block in model.model.cross:
            block.forward = lambda hidden, context: hidden
        assert (scores - logits(model, batch)).abs().max() == 0.0


def open_model():
    model = cross_model()
    for block in model.model.cross:
        block.attention_gate.data.fill_(1.0)
        block.mlp_gate.data.fill_(1.0)
    return model.eval()


def test_a_token_attends_to_the_last_image_of_its_own_document_and_none_before_the_first():
    model, batch = open_model(), batch_of([[0, 2], [1, 0]], 1)
    is_image = batch.ids == small.SPECIALS.image
    numbers = (is_image.flatten().cumsum(0).view(is_image.shape) * is_image).tolist()
    with torch.no_grad():
        before = logits(model, batch)
        for image in range(batch.images):
            values = batch.pixels.values.clone()
            values[0, image] = values[0, image].flip(-1)
            changes = (logits(model, replace(batch, pixels=batch.pixels._replace(values=values))) != before).any(-1)
            row = next(r for r, places in enumerate(numbers) if image + 1 in places)
            start = numbers[row].index(image + 1)
            document = int(batch.documents[row, start])
            expected = torch.zeros_like(changes)
            expected[row, start:] = batch.documents[row, start:] == document
            # Tokens after the next image of the document depend on this one through the self-attention of the decoder.
            assert torch.equal(changes, expected)


def test_packed_and_separate_logits_agree_under_cross_attention():
    model = open_model()
    with torch.no_grad():
        in_one_row = logits(model, batch_of([[0, 1, 2]], 1))[0]
        separate = [logits(model, batch_of([[d]], 1))[0] for d in range(3)]
    torch.testing.assert_close(in_one_row, torch.cat(separate), atol=1e-5, rtol=0)


def test_checkpointing_recomputes_with_the_images():
    batch = batch_of([[0, 2]], 1)
    gradients = []
    for checkpointing in (False, True):
        model = open_model().train()
        adapt(model, TRAIN.model_copy(update={"backbones": "full", "checkpointing": checkpointing}))
        (token_losses(logits(model, batch), batch.labels).sum() / batch.targets).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_cross_attention_trains_on_text_alone_and_is_loaded_again(tmp_path):
    model = open_model().train()
    train_a_step(model, batch_of([[1], [1, 1]], 1))
    assert all(p.grad is not None for p in model.parameters())
    save(model.eval(), tmp_path)
    loaded = build(
        small.MODEL.model_copy(update={"pretrained": str(tmp_path)}), small.TOKENIZER.vocab_size, small.SPECIALS
    ).eval()
    batch = batch_of([[0, 2]], 1)
    with torch.no_grad():
        assert torch.equal(logits(loaded, batch), logits(model, batch))


@pytest.mark.parametrize("fusion", ["autoregressive", "cross_attention"])
def test_each_setting_of_backbones_trains_its_weights(fusion):
    numbers = {}
    for backbones in ("frozen", "lora", "dora", "full"):
        model = adapt(
            make(fusion=fusion, cross_every=2), TRAIN.model_copy(update={"backbones": backbones}), small.SPECIALS.new
        )
        numbers[backbones] = counts(model)
        names = {name for name, p in model.named_parameters() if p.requires_grad}
        assert (fusion == "cross_attention") == any(".cross." in name for name in names)
        assert any("connector." in name for name in names)
    assert (
        numbers["frozen"]["trained"]
        < numbers["lora"]["trained"]
        < numbers["dora"]["trained"]
        < numbers["full"]["trained"]
        == numbers["full"]["all"]
    )
    assert numbers["frozen"]["new_rows"] == 2 * len(small.SPECIALS.new) * 64


@pytest.mark.parametrize("backbones", ["frozen", "lora"])
def test_rows_of_new_tokens_are_trained_and_merged_and_other_rows_are_unchanged(backbones):
    plain = small.model()
    before = plain.model.text_model.embed_tokens.weight.clone(), plain.lm_head.weight.clone()
    model = adapt(plain, TRAIN.model_copy(update={"backbones": backbones}), small.SPECIALS.new)
    batch = batch_of([[0, 2]], small.LATENTS)
    train_a_step(model, batch)
    model.eval()
    with torch.no_grad():
        expected = logits(model, batch)
        result = merged(model)
        torch.testing.assert_close(logits(result, batch), expected, atol=2e-5, rtol=0)
    new = list(small.SPECIALS.new)
    for old, after in zip(before, (result.model.text_model.embed_tokens.weight, result.lm_head.weight), strict=True):
        changes = (old != after).any(1)
        assert changes[small.SPECIALS.fake] and not changes[[i for i in range(len(changes)) if i not in new]].any()


def test_our_logits_are_those_of_transformers(tmp_path):
    model = small.model().eval()
    save(model, tmp_path)
    theirs = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    batch = batch_of([[0]], small.LATENTS)
    with torch.no_grad():
        scores = theirs(
            input_ids=batch.ids,
            pixel_values=batch.pixels.values,
            pixel_attention_mask=batch.pixels.mask,
            use_cache=False,
        ).logits
    torch.testing.assert_close(logits(model, batch), scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "switches",
    [{}, {"connector": schema.Connector(kind="mlp")}, {"fusion": "cross_attention", "cross_every": 1}],
    ids=str,
)
@pytest.mark.parametrize("backbones", ["full", "frozen"])
def test_the_number_of_operations_is_the_one_that_torch_counts(switches, backbones):
    """Neither torch's counter nor ours counts elementwise operations."""
    from torch.utils.flop_counter import FlopCounterMode

    model = adapt(make(**switches), TRAIN.model_copy(update={"backbones": backbones}))
    model.set_attn_implementation("eager")  # eager attention is matrix products, which the counter counts on a CPU
    n_tokens = 16 if "connector" in switches else 4
    batch = batch_of([[0]], 1 if "fusion" in switches else n_tokens)
    with FlopCounterMode(display=False) as counter:
        (token_losses(logits(model, batch), batch.labels).sum() / batch.targets).backward()
    assert Costs.of(model, n_tokens).step(batch) == pytest.approx(counter.get_total_flops(), rel=0.04)
