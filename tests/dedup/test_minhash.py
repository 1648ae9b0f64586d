"""Signatures against exact Jaccard similarity and against datasketch."""

import itertools

import datasketch
import numpy as np
import pyarrow as pa

from dedup import minhash
from dedup.text import words

from .prose import prose, vary


def sets_of(texts: list[str], size: int = 5) -> list[set[tuple[str, ...]]]:
    split = [t.split() for t in texts]
    return [{tuple(w[n : n + size]) for n in range(max(len(w) - size + 1, 1))} for w in split]


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b)


def signatures_of(texts: list[str], count: int = 112, seed: int = 1) -> np.ndarray:
    return minhash.signatures(*minhash.shingles(words(pa.array(texts, pa.string()))), count, seed)


def test_the_estimate_is_as_good_as_datasketchs() -> None:
    """The mean error is near zero (no bias). The spread is near the theory's and near datasketch's."""
    texts = [prose(1, 400)] + [vary(prose(1, 400), share, n) for n, share in enumerate(np.linspace(0.005, 0.2, 60))]
    exact = np.array([jaccard(*sets_of([texts[0], t])) for t in texts[1:]])
    ours = np.concatenate(
        [minhash.similarity(s[1:], s[:1]) - exact for s in (signatures_of(texts, 112, seed) for seed in range(8))]
    )
    sketches = []
    for shingle_set in sets_of(texts):
        m = datasketch.MinHash(num_perm=112, seed=1)
        m.update_batch([" ".join(g).encode() for g in sorted(shingle_set)])
        sketches.append(m)
    theirs = np.array([sketches[0].jaccard(m) for m in sketches[1:]]) - exact
    assert abs(ours.mean()) < 0.012
    assert np.sqrt((ours**2).mean()) < 0.05
    assert np.sqrt((ours**2).mean()) < 1.5 * np.sqrt((theirs**2).mean())


def test_signatures_equal_those_of_a_plain_loop() -> None:
    texts = [prose(1, 9000), "", "one two three", prose(2, 5), "...", prose(3, 4200)]
    grams, cuts = minhash.shingles(words(pa.array(texts)))
    a, b = minhash.permutations(16, 3)
    signatures = minhash.signatures(grams, cuts, 16, 3)
    assert np.diff(cuts).tolist() == [8996, 0, 1, 1, 0, 4196]
    for n, text in enumerate(texts):
        for p in range(16):
            values = [(int(a[p]) * int(g) + int(b[p])) & 0xFFFFFFFF for g in grams[cuts[n] : cuts[n + 1]]]
            assert signatures[n, p] == min(values, default=0xFFFFFFFF), text[:20]


def test_shingles_of_a_text_do_not_depend_on_other_texts() -> None:
    texts = ["a b c d e f g", "b c d e f", "x", "", "a b c d e"]
    grams, cuts = minhash.shingles(words(pa.array(texts)))
    shingles = [grams[cuts[n] : cuts[n + 1]].tolist() for n in range(len(texts))]
    assert shingles == [minhash.shingles(words(pa.array([t])))[0].tolist() for t in texts]
    assert shingles[0][1] == shingles[1][0]
    assert shingles[0][0] == shingles[4][0]


def test_bands_give_the_candidates_that_datasketch_gives() -> None:
    """With equal signatures and bands, datasketch's index and our keys give the same pairs."""
    texts = [t for n in range(12) for t in (prose(n, 150), vary(prose(n, 150), 0.03, n), vary(prose(n, 150), 0.08, n))]
    signatures = signatures_of(texts)
    keys = minhash.band_keys(signatures, 14, 8)
    ours = {(i, j) for i, j in itertools.combinations(range(len(texts)), 2) if (keys[i] == keys[j]).any()}
    index = datasketch.MinHashLSH(num_perm=112, params=(14, 8))
    sketches = [datasketch.LeanMinHash(seed=0, hashvalues=s, scheme="affine32") for s in signatures]
    for n, s in enumerate(sketches):
        index.insert(n, s)
    theirs = {(i, j) for i, s in enumerate(sketches) for j in index.query(s) if i < j}
    assert ours == theirs
    assert len(ours) >= 8


def test_equal_values_in_different_bands_have_different_keys() -> None:
    keys = minhash.band_keys(np.full((1, 112), 7, np.uint32), 14, 8)
    assert len(set(keys[0].tolist())) == 14
