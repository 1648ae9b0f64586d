"""Conversations: the template, the loss on answers, the order of turns, and fine-tuning from the model of stage 2."""

import json
import math
import random
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainer
from shards.tokens import END_OF_TOPIC as BREAK
from shards.tokens import END_OF_UTTERANCE, EOS, FAKE, IMAGE
from shards.turns import Exchange, conversation, count
from tests.trainer import made, small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.chat import lay_out_turns, shuffled
from trainer.config import load
from trainer.data import Run
from trainer.data import collator as collator_of
from trainer.forward import logits, token_losses
from trainer.layout import IGNORED, LayoutError

PARTS = [
    0,
    "User: What is it?",
    BREAK,
    "Assistant: A mill.",
    BREAK,
    "User: And where?",
    BREAK,
    "Assistant: By the river.",
]
EXCHANGES = [Exchange((0,), "What is it?", "A mill."), Exchange((), "And where?", "By the river.")]


def test_turns_without_a_partner_are_left_out():
    assert conversation(PARTS) == EXCHANGES
    assert conversation(PARTS[:-2]) == EXCHANGES[:1]
    assert conversation(PARTS[3:]) == EXCHANGES[1:]
    assert conversation(["a page", 0, "about mills"]) == []


def test_the_template_and_the_loss_on_answers_alone():
    document = lay_out_turns(EXCHANGES, small.TOKENIZER, small.SPECIALS, 2)
    end, image = END_OF_UTTERANCE, f"{FAKE}{IMAGE}{IMAGE}{FAKE}"
    first = f"User:{image} What is it?{end}\nAssistant: A mill.{end}"
    text = f"<s>{first}\nUser: And where?{end}\nAssistant: By the river.{end}{EOS}"
    assert small.TOKENIZER.decode(document.ids) == text
    predicted = small.TOKENIZER.decode([i for i in document.labels.tolist() if i != IGNORED])
    assert predicted == f" A mill.{end} By the river.{end}"
    assert document.images == (0,) and (document.text == (document.labels != IGNORED)).all()


def test_a_split_image_gives_five_consecutive_images():
    document = lay_out_turns(EXCHANGES, small.TOKENIZER, small.SPECIALS, 2, views=5)
    assert document.images == (0, 1, 2, 3, 4) and (document.ids == small.SPECIALS.fake).sum() == 6


def test_a_row_that_is_too_long_is_an_error_unless_a_piece_made_it_so():
    sample = Sample("c", "conversations", PARTS, [picture(1)[0]])
    collate = small.collator()
    length = collate([[sample, sample]], "square", 56, 56).ids.shape[1]
    assert collate([[sample, sample]], "square", 56, 56, length).ids.shape[1] == length
    with pytest.raises(ValueError, match=f"c, c are {length} tokens in a row of {length - 1}.*make the shards again"):
        collate([[sample, sample]], "square", 56, 56, length - 1)
    piece = replace(sample, piece=(0, 2))
    assert collate([[piece, piece]], "square", 56, 56, length - 1).ids.shape[1] == length


words = st.text(alphabet="ab \n", min_size=1, max_size=12).filter(str.strip)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=5), st.booleans(), st.integers(0, 9))
def test_a_conversation_is_at_most_as_long_as_the_index_counts(pairs, with_image, seed):
    """In any order of its turns. The index adds 2 for <s> and </s>, and for an image its tokens and 2."""
    slots = [slot for q, a in pairs for slot in (f"User: {q}", BREAK, f"Assistant: {a}", BREAK)]
    parts = [*([0] if with_image else []), *slots]
    n_indexed = count(slots, with_image, small.TOKENIZER) + 2 + (small.LATENTS + 2) * with_image
    order = shuffled(conversation(parts), random.Random(seed))
    n_tokens = len(lay_out_turns(order, small.TOKENIZER, small.SPECIALS, small.LATENTS).ids)
    assert n_tokens <= n_indexed <= n_tokens + 4 * len(pairs)


@pytest.mark.parametrize("split", [0.0, 1.0])
def test_sequences_of_the_loader_fit_their_rows(data, split):
    run, (recipe,) = (
        Run.open(data),
        load(
            "sft", {"image.split": split, "packing.sequence_length": 400, "image.mode": "square", "image.longest": 56}
        ),
    )
    collate = collator_of(run, recipe, 8, 14, 8)
    for batch in run.loader(run.mix(recipe, 8), 0):
        tensors = collate(batch.sequences, **batch.image, length=batch.sequence_length)
        assert tensors.targets > 0 and tensors.ids.shape[1] <= batch.sequence_length
        if batch.step == 6:
            break


def test_shuffling_keeps_answers_with_their_questions_and_images_in_front():
    exchanges = [EXCHANGES[0], *(Exchange((), f"q{i}", f"a{i}") for i in range(6))]
    orders = [shuffled(exchanges, random.Random(seed)) for seed in range(4)]
    for order in orders:
        assert order[0].images == (0,) and not any(e.images for e in order[1:])
        assert sorted((e.question, e.answer) for e in order) == sorted((e.question, e.answer) for e in exchanges)
    assert len({tuple(e.question for e in order) for order in orders}) > 1
    with_later_image = [*exchanges, Exchange((1,), "and this?", "a boat")]
    assert shuffled(with_later_image, random.Random(0)) == with_later_image


def test_a_dialogue_may_keep_its_order():
    sample = Sample(
        "c", "conversations", [p for i in range(9) for p in (f"User: q{i}", BREAK, f"Assistant: a{i}", BREAK)][:-1], []
    )
    plain, mixed = (
        replace(small.collator(), shuffle_turns=s)([[sample]], "square", 56, 56).ids[0].tolist() for s in (False, True)
    )
    order = [re.findall(r"q\d", small.TOKENIZER.decode(ids)) for ids in (plain, mixed)]
    assert order[0] == [f"q{i}" for i in range(9)] != order[1] and sorted(order[1]) == order[0]


def test_noise_is_added_in_training_alone_and_is_bounded():
    model = small.model()
    batch = small.collator()([[Sample("a", "pairs", ["some words", 0], [picture(1)[0]])]], "square", 56, 56)
    inputs = []
    model.model.text_model.register_forward_pre_hook(
        lambda _, __, kwargs: inputs.append(kwargs["inputs_embeds"].detach()), with_kwargs=True
    )
    with torch.no_grad():
        for noise in (0.0, 5.0):
            logits(model.train(), batch, noise)
        logits(model.eval(), batch, 5.0)
    sizes = (inputs[1] - inputs[0]).abs()
    bound = 5.0 / math.sqrt(batch.ids.shape[1] * inputs[0].shape[-1])
    assert 0.9 * bound < sizes.max() <= bound * 1.001 and sizes.min() >= 0 and torch.equal(inputs[0], inputs[2])
    assert (sizes > 0).float().mean() > 0.99  # the noise covers image features too


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.run(
        tmp_path_factory.mktemp("run"), {"conversations": {"train": 24}, "pairs": {"train": 12, "validation": 8}}
    )


def test_a_page_in_a_source_of_conversations_is_an_error():
    with pytest.raises(LayoutError, match="page-1 is no conversation"):
        small.collator()([[Sample("page-1", "conversations", ["text", 0], [picture(1)[0]])]], "square", 56, 56)


def test_fine_tuning_starts_from_stage_two_and_chat_from_fine_tuning(data, tmp_path):
    settings = {"train.steps": 4, "train.warmup": 1, "evaluate.pairs": 0, "tensorboard": False}
    trainer.train("stage1", data, tmp_path, overrides={**settings, "stage": "stage2"})
    (tmp_path / "1.png").write_bytes(picture(1)[0])
    questions = [
        {"image": "1.png", "question": "What is shown?", "answers": ["a mill"]},
        {"image": "1.png", "answers": ["a mill by a river"]},
    ]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    evaluation = {"evaluate.answers": str(tmp_path / "asked.jsonl"), "evaluate.longest": 4}
    result = trainer.train("sft", data, tmp_path, overrides={**settings, **evaluation})["stages"][0]
    assert result["answers"]["items"] == 2 and 0 <= result["answers"]["anls"] <= 1
    exported = json.loads((tmp_path / "sft" / "model" / "generation_config.json").read_text())
    assert exported["eos_token_id"] == [small.SPECIALS.eos, small.SPECIALS.end]
    assert result["first_loss"] > 0 and 0 < result["weights"]["trained"] < result["weights"]["all"]
    chat = trainer.train(
        "chat", data, tmp_path, overrides={**settings, "train.lr": 1e-9, "image.split": 0, "train.neftune": 0}
    )["stages"][0]
    assert chat["first_loss"] < result["first_loss"]


def test_the_loss_of_answers_falls_in_training(data):
    model = small.model()
    sample = Sample("c", "conversations", PARTS, [picture(2)[0]])
    collate = small.collator()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    losses = []
    for _ in range(30):
        batch = collate([[sample]], "square", 56, 56)
        loss = token_losses(logits(model, batch, 5.0), batch.labels).sum() / batch.targets
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
