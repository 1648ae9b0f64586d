"""Random sentences over a fixed vocabulary, and copies with some words changed."""

import random

SYLLABLES = ("ba", "den", "cor", "li", "mar", "sto", "ven", "tra", "pul", "gen", "hor", "vi", "sal", "wer", "nok", "ti")


def vocabulary(size: int = 3000) -> list[str]:
    rng = random.Random(7)
    words: dict[str, None] = {}
    while len(words) < size:
        words["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))] = None
    return list(words)


VOCABULARY = vocabulary()


def prose(seed: int, words: int = 200) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(VOCABULARY) for _ in range(words))


def vary(text: str, share: float, seed: int) -> str:
    """The text with exactly ``share`` of its words (rounded) replaced by others."""
    rng = random.Random(seed)
    words = text.split()
    for place in rng.sample(range(len(words)), round(share * len(words))):
        # words that the vocabulary does not have
        words[place] = rng.choice(("alpha", "omega", "delta", "sigma", "kappa")) + rng.choice("abcdefgh") + "x"
    return " ".join(words)
