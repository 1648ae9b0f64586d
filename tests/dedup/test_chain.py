"""The complete deduplication, from documents to the rows of duplicates, against a brute-force reference."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import minhash
from dedup.sign import Sign
from dedup.text import words
from dedup.urls import canonical_page
from dedup.verify import Verify
from manifests.stage import DirectContext

from .drive import Doc, batch, chain, drops_of, gather
from .prose import prose, vary

SMALL = Sign(bands=14, rows=4)


def split(docs: list[Doc], parts: int) -> list[list[Doc]]:
    size = -(-len(docs) // parts) if docs else 1
    return [docs[n * size : (n + 1) * size] for n in range(parts)]


def reference(docs: list[Doc], sign: Sign, threshold: float) -> dict[str, tuple[str, str]]:
    """The same rules, one pair at a time. Of our code, only the words and the signatures are used.

    Candidates have the same address, the same text or an equal band. Clusters are the transitive closure of candidates.
    In order of preference, each document is the duplicate of the first survivor of its cluster that it matches.
    """
    texts = ["" if not d.keep else " ".join(d.texts) for d in docs]
    hashed = words(pa.array(texts, pa.string()))
    lengths = np.diff(hashed.offsets)
    size = sign.bands * sign.rows
    signatures = minhash.signatures(*minhash.shingles(hashed, sign.shingle), size, sign.seed).reshape(
        -1, sign.bands, sign.rows
    )
    live = [n for n, d in enumerate(docs) if d.keep]

    def match(i: int, j: int) -> str | None:
        a, b = docs[i], docs[j]
        if a.url and b.url and canonical_page(a.url) == canonical_page(b.url):
            return "duplicate_url"
        if lengths[i] and texts[i].lower() == texts[j].lower():
            return "duplicate_text"
        if lengths[i] and lengths[j] and (signatures[i] == signatures[j]).mean() >= threshold:
            return "near_duplicate"
        return None

    def are_candidates(i: int, j: int) -> bool:
        band = lengths[i] and lengths[j] and (signatures[i] == signatures[j]).all(axis=1).any()
        return bool(band) or match(i, j) in ("duplicate_url", "duplicate_text")

    cluster = {n: {n} for n in live}
    for i in live:
        for j in live:
            if i < j and are_candidates(i, j) and cluster[i] is not cluster[j]:
                union = cluster[i] | cluster[j]
                for n in union:
                    cluster[n] = union
    drops: dict[str, tuple[str, str]] = {}
    survivors: list[int] = []
    first = -(10**12)
    for n in sorted(
        live,
        key=lambda n: (-(docs[n].fetched if docs[n].fetched is not None else first), -int(lengths[n]), docs[n].id, n),
    ):
        for s in survivors:
            if cluster[s] is cluster[n] and (reason := match(s, n)):
                drops[docs[n].id] = (reason, docs[s].id)
                break
        else:
            survivors.append(n)
    return drops


SAME = ["http://a.example/same", "https://A.example:443/same#top", "http://b.example/?utm_source=x"]
BASES = [prose(n, 40) for n in range(4)]


@st.composite
def corpora(draw: st.DrawFn) -> list[Doc]:
    docs = []
    for n in range(draw(st.integers(0, 14))):
        base = draw(st.sampled_from(BASES))
        copies = [base, base.upper(), *(vary(base, share, n) for share in (0.03, 0.1, 0.5)), base + " " + BASES[0]]
        text = draw(st.sampled_from([*copies, "", "short one", "Short, one", "7 8"]))
        cut = draw(st.integers(0, len(text.split())))
        pieces = tuple(p for p in (" ".join(text.split()[:cut]), " ".join(text.split()[cut:])) if p)
        docs.append(
            Doc(
                id=f"{n:04x}",
                texts=pieces,
                url=draw(st.sampled_from([None, f"http://a.example/{n}", *SAME])),
                fetched=draw(st.sampled_from([None, 100, 200])),
                keep=draw(st.sampled_from([True, True, True, False])),
            )
        )
    return docs


@settings(max_examples=40, deadline=None)
@given(
    docs=corpora(), parts=st.integers(1, 5), buckets=st.integers(1, 4), step=st.integers(1, 6), seed=st.integers(0, 5)
)
def test_the_result_is_the_reference_for_any_partitions(
    docs: list[Doc], parts: int, buckets: int, step: int, seed: int
) -> None:
    shuffled = docs[:]
    random.Random(seed).shuffle(shuffled)
    expected = reference(docs, SMALL, 0.7)
    assert drops_of(chain(split(docs, 1), 1, SMALL, Verify(0.7))) == expected
    assert drops_of(chain(split(shuffled, parts), buckets, SMALL, Verify(0.7), step)) == expected


def test_planted_copies_are_dropped_and_other_documents_stay() -> None:
    originals = [Doc(f"o{n:03d}", (prose(n, 300),), fetched=200) for n in range(60)]
    copies = [Doc(f"c{n:03d}", (vary(prose(n, 300), 0.03, 1000 + n),), fetched=100) for n in range(60)]
    drops = drops_of(chain(split(originals + copies, 4), 3, Sign(bands=28, rows=4), Verify(0.6), 16))
    assert all(name.startswith("c") for name in drops), "an original, or a document with no copy, was dropped"
    assert all(drops[name] == ("near_duplicate", "o" + name[1:]) for name in drops)
    assert len(drops) >= 58


def test_the_default_parameters_drop_copies_with_few_changes() -> None:
    originals = [Doc(f"o{n:03d}", (prose(n, 300),), fetched=200) for n in range(40)]
    copies = [Doc(f"c{n:03d}", (vary(prose(n, 300), 0.01, 1000 + n),), fetched=100) for n in range(40)]
    drops = drops_of(chain([originals, copies], 2, Sign(), Verify(), 16))
    assert set(drops) <= {d.id for d in copies}
    assert len(drops) >= 38


def test_a_chain_of_candidates_drops_only_true_duplicates_of_a_survivor() -> None:
    """Each text differs from the next by a fifth, so a and d are unlike. A document unlike all survivors survives."""
    a = prose(1, 200)
    texts = [a]
    for n in range(3):
        words_ = texts[-1].split()
        words_[50 * n : 50 * n + 30] = prose(100 + n, 30).split()
        texts.append(" ".join(words_))
    docs = [Doc(n, (t,), fetched=200 - k) for k, (n, t) in enumerate(zip("abcd", texts, strict=True))]
    drops = drops_of(chain([docs], 1, Sign(bands=56, rows=2), Verify(0.6)))
    assert drops == {"b": ("near_duplicate", "a"), "d": ("near_duplicate", "c")}


def test_the_survivor_is_the_newest_then_the_longest_then_the_one_with_the_smallest_id() -> None:
    def survivor(*docs: Doc) -> set[str]:
        return {d.id for d in docs} - set(drops_of(chain([list(docs)], 2, Sign(near=False), Verify())))

    url = "http://a.example/p"
    assert survivor(Doc("a", ("one two",), url, 100), Doc("b", ("one",), url, 300), Doc("c", ("one",), url, None)) == {
        "b"
    }
    assert survivor(Doc("a", ("one two",), url, 100), Doc("b", ("one two three",), url, 100)) == {"b"}
    assert survivor(Doc("b", ("one two",), url, 100), Doc("a", ("three four",), url, 100)) == {"a"}


def test_a_document_of_the_preferred_source_survives_even_if_it_is_older() -> None:
    text = prose(5, 60)
    out = [gather(Sign(rank=rank)(batch([doc]), DirectContext(part=rank)))["signatures"][0] for rank, doc in (
        (1, Doc("new", (text,), fetched=900)), (0, Doc("old", (text,), fetched=100)))]  # fmt: skip
    clusters = pa.Table.from_batches(out)
    root = pa.array([0, 0], pa.uint64())
    clusters = clusters.add_column(0, "root", root).add_column(0, "key", root)
    ((_, rows),) = Verify()({"clusters": clusters})
    assert [(r["key"], r["survivor_id"]) for r in rows.to_pylist()] == [(1, "old")]


def test_dropped_documents_and_nodes_are_not_compared() -> None:
    text = prose(3, 50)
    docs = [
        Doc("a", (text,), "http://a.example/1", 300, keep=False),
        Doc("b", (text,), "http://a.example/1", 100),
        Doc("c", (text, prose(4, 50)), "http://a.example/2", 90, node_keep=(True, False)),
    ]
    assert drops_of(chain([docs], 1, Sign(), Verify())) == {"c": ("duplicate_text", "b")}


def test_pages_of_one_pdf_are_not_duplicates_of_each_other() -> None:
    docs = [Doc(f"p{n}", (prose(n, 60),), "http://a.example/x.pdf", 100, page=n) for n in range(3)]
    assert drops_of(chain([docs], 1, Sign(), Verify())) == {}
    copies = [Doc(f"q{n}", (prose(10 + n, 60),), "https://a.example/x.pdf", 50, page=n) for n in range(3)]
    assert drops_of(chain([docs, copies], 2, Sign(), Verify())) == {
        f"q{n}": ("duplicate_url", f"p{n}") for n in range(3)
    }


def test_pairs_are_compared_by_image_and_caption_alone() -> None:
    sign = Sign(by_url=False, by_text=False, near=False, by_pair=True)
    docs = [
        Doc("a", ("a red boat",), "http://p.example/", image="http://i.example/1.jpg"),
        Doc("b", ("a red boat",), "http://q.example/", image="http://i.example/1.jpg"),
        Doc("c", ("a red boat",), "http://p.example/", image="http://i.example/2.jpg"),
        Doc("d", ("A red boat",), "http://p.example/", image="http://i.example/1.jpg"),
    ]
    rows = chain([docs], 2, sign, Verify())
    assert drops_of(rows) == {"b": ("duplicate_pair", "a")}
    assert rows[0]["similarity"] is None


def test_rounds_limit_the_comparisons_of_a_cluster_and_no_document_is_dropped_without_a_comparison() -> None:
    """One band of boilerplate joins unlike documents. After `rounds` survivors only hashes are compared.

    Exact copies are dropped all the same.
    """
    docs = [Doc(f"{n:03d}", (prose(n, 30),), "http://a.example/same" if n % 7 == 0 else None) for n in range(30)]
    docs += [Doc(f"x{n:02d}", docs[n].texts) for n in range(30)]
    limited = drops_of(chain([docs], 1, Sign(bands=112, rows=1, shingle=1), Verify(0.9, rounds=3)))
    unlimited = drops_of(chain([docs], 1, Sign(bands=112, rows=1, shingle=1), Verify(0.9)))
    assert limited == unlimited
    # Of the 5 documents with one address, 4 are dropped. The copies of these 4 stay, since no other document has their
    # text.
    assert sum(reason == "duplicate_url" for reason, _ in limited.values()) == 4
    assert sum(reason == "duplicate_text" for reason, _ in limited.values()) == 26


def test_no_documents_give_no_duplicates() -> None:
    assert chain([[], []], 2, Sign(), Verify()) == []


def test_the_error_names_a_wrong_parameter() -> None:
    with pytest.raises(ValueError, match="threshold"):
        Verify(threshold=1.5)
    with pytest.raises(ValueError, match="bands"):
        Sign(bands=0)
    with pytest.raises(ValueError, match="nothing to look for"):
        Sign(by_url=False, by_text=False, near=False)
