"""The positions of images among the tokens of a document, and the tokens that are predicted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.small import SPECIALS, TOKENIZER
from trainer.layout import IGNORED, LayoutError, lay_out

BOS, EOS, IMAGE, FAKE = SPECIALS.bos, SPECIALS.eos, SPECIALS.image, SPECIALS.fake


def test_an_image_is_between_two_fakes():
    document = lay_out(["a", 0, "b"], TOKENIZER, SPECIALS, 3)
    assert document.ids.tolist() == [BOS, ord("a"), FAKE, IMAGE, IMAGE, IMAGE, FAKE, ord("b"), EOS]
    assert document.images == (0,)


def test_adjacent_images_share_a_fake():
    document = lay_out([0, 1, "b", 2], TOKENIZER, SPECIALS, 2)
    assert document.ids.tolist() == [
        BOS,
        FAKE,
        IMAGE,
        IMAGE,
        FAKE,
        IMAGE,
        IMAGE,
        FAKE,
        ord("b"),
        FAKE,
        IMAGE,
        IMAGE,
        FAKE,
        EOS,
    ]


def test_image_tokens_and_the_first_token_are_not_predicted_but_fakes_are():
    document = lay_out([0, "b"], TOKENIZER, SPECIALS, 2)
    assert document.labels.tolist() == [IGNORED, FAKE, IGNORED, IGNORED, FAKE, ord("b"), EOS]
    assert document.text.tolist() == [False] * 5 + [True, True]


def test_a_special_token_written_on_a_page_is_text():
    document = lay_out(["<image></s>"], TOKENIZER, SPECIALS, 2)
    assert IMAGE not in document.ids and document.ids.tolist().count(EOS) == 1


def test_a_document_that_is_too_long_is_cut_but_not_inside_an_image():
    assert lay_out(["abcdef"], TOKENIZER, SPECIALS, 2, longest=4).ids.tolist() == [BOS, *b"abc"]
    document = lay_out(["ab", 0, "c"], TOKENIZER, SPECIALS, 4, longest=8)
    assert document.ids.tolist() == [BOS, *b"ab"] and document.images == ()
    with pytest.raises(LayoutError, match=r"lengthen packing\.sequence_length"):
        lay_out([0, "c"], TOKENIZER, SPECIALS, 8, longest=8)


@given(st.lists(st.one_of(st.text(min_size=1, max_size=20), st.just(0)), min_size=1, max_size=8), st.integers(1, 5))
def test_a_document_is_at_most_as_long_as_the_index_counts(kinds, latents):
    """The index counts an image as its tokens and two more, and adds two tokens for a sample (shards/plan.py)."""
    numbers = iter(range(len(kinds)))
    parts = [next(numbers) if kind == 0 else kind for kind in kinds]
    document = lay_out(parts, TOKENIZER, SPECIALS, latents)
    n_indexed = sum(len(TOKENIZER.encode(p)) if isinstance(p, str) else latents + 2 for p in parts) + 2
    assert len(document.ids) <= n_indexed
    assert (document.ids == IMAGE).sum() == latents * len(document.images)
    assert ((document.labels == document.ids) | (document.labels == IGNORED)).all()
