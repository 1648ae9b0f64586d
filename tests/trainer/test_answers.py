"""Scores compared with results by hand, the prompts of the paper, and a model that has learnt its captions."""

import json

import pytest

from shards import tokens
from shards.tokens import END_OF_TOPIC, END_OF_UTTERANCE, FAKE
from tests.trainer import small
from tests.trainer.fakes import Sample
from tests.trainer.pictures import picture
from trainer.answers import (
    AnswersError,
    Item,
    anls,
    answer,
    consensus,
    distance,
    evaluate,
    exact,
    few_shot,
    in_turns,
    read,
)
from trainer.schema import Evaluate

IMAGE = ("square", 56, 56)


def test_scores_equal_results_by_hand():
    assert exact("The  Mill.", ["a mill"]) == 1 and exact("mills", ["mill"]) == 0
    assert consensus("red", ["red", "red", "blue"] + ["green"] * 7) == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert (
        consensus("red", ["red"] * 4) == 1 and consensus("red", ["red"]) == 1 and consensus("red", ["blue"] * 10) == 0
    )
    assert distance("kitten", "sitting") == 3 and distance("", "ab") == 2
    assert (
        anls("Kitten", ["sitting", "kitten"]) == 1
        and anls("kitten", ["sitting"]) == pytest.approx(1 - 3 / 7)
        and anls("abc", ["xyz"]) == 0
    )


def test_the_prompts_are_those_of_the_paper(tmp_path):
    shot, item = (Item(tmp_path / name, "How many?", (name,)) for name in ("two", "three"))
    parts, images = few_shot(item, [shot])
    head = "Question: How many? Give a very brief answer.\nAnswer: "
    assert parts == [0, f"{head}two\n\n", 1, head] and images == [shot.image, item.image]
    choice = Item(tmp_path, "Which?", ("A",), ("one", "two"))
    assert choice.prompt == "Question: Which?\nChoices:\nA. one\nB. two\nAnswer with the letter.\nAnswer: "
    assert few_shot(Item(tmp_path, None, ("a mill",)), [])[0] == [0]


def test_prompts_in_turns_have_the_same_text(tmp_path):
    shot, item = (Item(tmp_path / name, "How many?", (name,)) for name in ("two", "three"))
    n = small.LATENTS
    picture_of = f"{FAKE}{tokens.IMAGE * n}{FAKE}"
    head = f"User:{picture_of} Question: How many? Give a very brief answer.{END_OF_UTTERANCE}\nAssistant:"
    ids = in_turns(item, [shot], small.collator())
    assert small.TOKENIZER.decode(ids) == f"<s>{head} two{END_OF_UTTERANCE}\n{head}"
    assert Item(tmp_path, None, ("a mill",)).turn == "Provide a one-sentence caption for the provided image."


def test_a_model_trained_in_turns_answers_in_turns(tmp_path):
    model, collate = small.model(), small.collator()
    data, caption = picture(1)
    (tmp_path / "1.png").write_bytes(data)
    item = Item(tmp_path / "1.png", "What is it?", (caption,))
    turns = [0, f"User: {item.turn}", END_OF_TOPIC, f"Assistant: {caption}"]
    batch = collate([[Sample("s", "conversations", turns, [data])]], *IMAGE)
    small.learn(model, batch, 80)
    model.eval()
    assert answer(model, item, collate, IMAGE, longest=60, turns=True) == caption


@pytest.fixture
def file(tmp_path):
    rows = []
    for seed in (1, 2, 3):
        data, caption = picture(seed)
        (tmp_path / f"{seed}.png").write_bytes(data)
        rows.append({"image": f"{seed}.png", "answers": [caption]})
    path = tmp_path / "captions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_fault_is_an_error_that_names_the_line(file):
    file.write_text('{"image": "1.png", "answers": ["x"]}\n{"image": "1.png"}\n')
    with pytest.raises(AnswersError, match="line 2: an object with image and answers"):
        read(file)
    file.write_text('{"image": "9.png", "answers": ["x"]}\n')
    with pytest.raises(AnswersError, match=r"line 1: .*9\.png is no file"):
        read(file)


def test_a_trained_model_answers_with_its_captions(file):
    model = small.model()
    collate = small.collator()
    items = read(file)
    samples = [[Sample("s", "pairs", [0, item.answers[0]], [item.image.read_bytes()])] for item in items]
    batch = collate(samples, *IMAGE)
    small.learn(model, batch, 150)
    scores = evaluate(model, Evaluate(answers=str(file), longest=60), collate, IMAGE)
    assert scores["items"] == 3 and scores["anls"] > 0.9 and scores["exact"] >= 2 / 3 and model.training
    assert answer(model.eval(), items[0], collate, IMAGE, longest=3) == items[0].answers[0][:3].strip()
