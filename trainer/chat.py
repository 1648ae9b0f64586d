"""Conversations as tokens, by the template of ``shards.turns``, with a loss on answers alone.

Images stand before the user's text. The answers and their ``<end_of_utterance>`` are predicted; an answer begins after
``Assistant:``, with its blank, because a chat template asks with the text up to there. Questions can be shuffled
together with their answers (the paper, section 4.2: "shuffled turns"). Images of the first question then stay at the
start.
"""

import random
from collections.abc import Sequence

import numpy as np

from shards.tokens import Tokenizer
from shards.turns import ANSWER, Exchange, answer_text, question_texts
from trainer.layout import IGNORED, DocumentTokens, Specials


def shuffled(exchanges: Sequence[Exchange], rng: random.Random) -> list[Exchange]:
    """The exchanges in random order, the first one's images at the start; as they are if a later one has images."""
    if any(exchange.images for exchange in exchanges[1:]):
        return list(exchanges)
    order = list(exchanges)
    rng.shuffle(order)
    texts = [Exchange((), exchange.question, exchange.answer) for exchange in order]
    return [Exchange(exchanges[0].images, texts[0].question, texts[0].answer), *texts[1:]]


def lay_out_turns(
    exchanges: Sequence[Exchange], tokenizer: Tokenizer, specials: Specials, latents: int, views: int = 1
) -> DocumentTokens:
    """The tokens of a conversation. latents: tokens of an image. views: adjacent images shown for each image.

    Without an answer to the last question, the tokens end where the model answers.
    """
    ids, predicted, images = [specials.bos], [False], list[int]()
    prompt = tokenizer.encode(ANSWER)

    def add(tokens: Sequence[int], learnt: int = 0) -> None:
        """learnt: the number of tokens at the end that are predicted."""
        ids.extend(tokens)
        predicted.extend([False] * (len(tokens) - learnt) + [True] * learnt)

    for number, exchange in enumerate(exchanges):
        shown = [view for image in exchange.images for view in range(image * views, (image + 1) * views)]
        before, after = question_texts(exchange.question, not number, bool(shown))
        add(tokenizer.encode(before))
        if shown:
            add([specials.fake, *([*[specials.image] * latents, specials.fake] * len(shown))])
        add([*(tokenizer.encode(after) if after else []), specials.end])
        images += shown
        if exchange.answer is None:
            add(prompt)
            break
        answer = tokenizer.encode(answer_text(exchange.answer))
        add([*answer, specials.end], len(answer) - common(prompt, answer) + 1)
    else:
        add([specials.eos])
    tokens, answers = np.asarray(ids, dtype=np.int64), np.asarray(predicted, dtype=bool)
    return DocumentTokens(tokens, np.where(answers, tokens, IGNORED), answers, tuple(images))


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """The length of the longest common beginning."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
