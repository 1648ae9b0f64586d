"""Packed rows: documents do not attend to each other, and images reach their own tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainer import small
from tests.trainer.fakes import Sample
from trainer.collate import Tensors, attention_mask, pack
from trainer.forward import logits, token_losses
from trainer.images import Cache, Pixels, dummy_pixels, to_pixels
from trainer.layout import IGNORED, lay_out

DOCUMENTS = [["one fine day ", 0, "a mill"], ["no image here"], [0, 1, "two at once"]]


def batch_of(rows: list[list[int]], isolation: str = "documents", first: int = 0) -> Tensors:
    """A batch from rows of document numbers. Image i of document d is the same noise in every row."""
    documents = [[lay_out(DOCUMENTS[d], small.TOKENIZER, small.SPECIALS, small.LATENTS) for d in row] for row in rows]
    pictures = [
        small.noise(10 * d + i)
        for row in rows
        for d in row
        for i in range(len([p for p in DOCUMENTS[d] if isinstance(p, int)]))
    ]
    pixels = to_pixels(pictures, 14) if pictures else dummy_pixels(14)
    return pack(documents, small.SPECIALS.pad, pixels, len(pictures), isolation)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_and_separate_logits_agree(attention):
    model = small.model().eval()
    model.set_attn_implementation(attention)
    with torch.no_grad():
        packed = logits(model, batch_of([[0, 1, 2], [2, 0]]))
        separate = [logits(model, batch_of([[d]]))[0] for d in range(3)]
    for row, order in enumerate([[0, 1, 2], [2, 0]]):
        at = 0
        for d in order:
            length = len(separate[d])
            torch.testing.assert_close(packed[row, at : at + length], separate[d], atol=1e-5, rtol=0)
            at += length


def test_without_isolation_neighbours_change_the_logits():
    """The packing of the paper's code has no isolation, so the test above would fail with it."""
    model = small.model().eval()
    with torch.no_grad():
        packed = logits(model, batch_of([[0, 1]], "none"))[0]
        separate = logits(model, batch_of([[1]]))[0]
    assert (packed[-len(separate) :] - separate).abs().max() > 1e-2


def test_the_mask_is_causal_within_a_document():
    mask = attention_mask(torch.tensor([[1, 1, 2, 0, 0]]))[0, 0].int().tolist()
    assert mask == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]]


def test_positions_restart_and_padding_is_not_predicted():
    batch = batch_of([[1, 0], [1]])
    length = len(lay_out(DOCUMENTS[1], small.TOKENIZER, small.SPECIALS, small.LATENTS).ids)
    assert batch.positions[0, length] == 0 and batch.positions[0, length - 1] == length - 1
    assert (batch.labels[1, length:] == IGNORED).all() and (batch.documents[1, length:] == 0).all()
    assert batch.labels[0, length] == IGNORED  # the last token of a document does not predict the next document
    assert batch.tokens == int((batch.ids != small.SPECIALS.pad).sum())
    token_loss = token_losses(torch.randn(*batch.ids.shape, small.TOKENIZER.vocab_size), batch.labels)
    assert ((token_loss == 0) == (batch.labels[:, 1:] == IGNORED)).all()


def test_an_image_changes_the_logits_from_its_own_tokens_on():
    model = small.model().eval()
    batch = batch_of([[0], [2]])
    with torch.no_grad():
        before = logits(model, batch)
        values = batch.pixels.values.clone()
        values[0, 2] = values[0, 2].flip(-1)  # the second image of the second row
        after = logits(model, replace(batch, pixels=Pixels(values, batch.pixels.mask)))
    changes = (before != after).any(-1)
    second = [i for i, token in enumerate(batch.ids[1].tolist()) if token == small.SPECIALS.image][small.LATENTS]
    assert not changes[0].any() and not changes[1, :second].any() and changes[1, second]


def test_image_tokens_must_match_the_features():
    model = small.model().eval()
    batch = batch_of([[0]])
    more = Pixels(batch.pixels.values.repeat(1, 2, 1, 1, 1), batch.pixels.mask.repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match="4 image tokens for 2 images of 4 tokens"):
        logits(model, replace(batch, pixels=more, images=2))
    features = model.model.get_image_features(*batch.pixels, return_dict=True).pooler_output
    assert sum(len(f) for f in features) == int((batch.ids == small.SPECIALS.image).sum())


def test_a_batch_of_text_alone_trains_and_runs_the_vision_tower():
    model = small.model()
    batch = batch_of([[1], [1, 1]])
    assert batch.images == 0
    (token_losses(logits(model, batch), batch.labels).sum() / batch.targets).backward()
    vision = [p for name, p in model.named_parameters() if "vision_model" in name or "connector" in name]
    assert all(p.grad is not None and not p.grad.any() for p in vision)
    assert model.lm_head.weight.grad.abs().sum() > 0


def test_a_real_image_is_never_mistaken_for_padding():
    """transformers drops images of zeros; grey, black and white images are not zero."""
    for value in (0, 127, 128, 255):
        assert (to_pixels([np.full((14, 14, 3), value, np.uint8)], 14).values != 0).all()
    assert (dummy_pixels(14).values != 0).all()


def test_images_of_different_sizes_are_padded_and_the_padding_is_masked():
    small_one, large = small.noise(1, 20, 30), small.noise(2, 42, 28)
    pixels = to_pixels([small_one, large], 14)
    assert pixels.values.shape == (1, 2, 3, 42, 42)
    assert pixels.mask[0, 0].nonzero().max(0).values.tolist() == [27, 41]  # 20 x 30 is extended to full patches
    assert pixels.mask[0, 1].nonzero().max(0).values.tolist() == [41, 27]
    model = small.model().eval()
    with torch.no_grad():
        in_one_batch = model.model.get_image_features(*pixels, return_dict=True).pooler_output[0]
        separate = model.model.get_image_features(*to_pixels([small_one], 14), return_dict=True).pooler_output[0]
    torch.testing.assert_close(in_one_batch[: small.LATENTS], separate, atol=1e-5, rtol=0)


def test_an_error_names_documents_that_were_packed_for_other_settings():
    collate = small.collator()
    row = [Sample("here", "pairs", ["x" * 40]), Sample("there", "pairs", ["y" * 40])]
    with pytest.raises(ValueError, match="documents here, there are 84 tokens in a row of 60"):
        collate([row], "square", 28, 28, 60)


def test_the_cache_decodes_once_and_stays_within_its_limit():
    calls = []

    def decode(data: bytes, mode: str, longest: int, shortest: int, *, multiple: int = 1) -> np.ndarray:
        calls.append(data)
        return np.zeros((100, 100, 3), np.uint8)

    cache = Cache(decode, 0.1)  # holds three images of 30 kB
    for name in (b"a", b"b", b"a", b"c", b"a", b"d", b"a", b"b"):
        cache(name, "square", 100, 100)
    assert calls == [b"a", b"b", b"c", b"d", b"b"]
