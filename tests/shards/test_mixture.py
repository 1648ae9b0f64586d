"""Mixtures: the presets, how entries become sources, and the errors of a wrong mixture."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards import mixture
from shards.manifest import Shard, SourceShards
from shards.mixture import Entry, Match, Mixture, MixtureError


def test_the_presets_are_the_papers_and_survive_json() -> None:
    for name, shares in (("stage1", [0.70, 0.30]), ("stage2", [0.45, 0.35, 0.20])):
        preset = mixture.load(name)
        assert preset.weights() == pytest.approx(shares)
        assert mixture.load(json.loads(preset.to_json())) == preset
    lengths = {name: s.sequence_length for name, s in mixture.load("stage2").sources.items()}
    assert lengths == {"interleaved": 2048, "pairs": 1536, "ocr": 1024}


def source(layout: str, tokens: int = 10, images: int = 0, tag: str | None = None, **splits: int) -> SourceShards:
    """A source with one shard in each split (by default `train`) with these numbers of text tokens and images."""
    shard = Shard("a.tar", "a.parquet", 1, 1, "", images, tokens)
    return SourceShards("web", layout, tag, {split: (shard,) * n for split, n in (splits or {"train": 1}).items()})


def test_sources_without_samples_are_reported_and_their_share_goes_to_the_others() -> None:
    lines: list[str] = []
    sources = {"web": source("interleaved"), "scans": source("ocr"), "captions": source("pairs", validation=1)}
    resolved = mixture.load("stage2").resolve(sources, lines.append)
    assert list(resolved.sources) == ["web", "scans"]
    assert resolved.weights() == pytest.approx([0.45 / 0.65, 0.20 / 0.65])
    assert lines == ["mixture stage2: no samples of pairs (layout 'pairs'); the rest is web 69%, scans 31%"]
    assert list(mixture.load("stage2").resolve(sources, lines.append, "validation").sources) == ["captions"]
    with pytest.raises(MixtureError, match="none of its sources"):
        mixture.load("stage1").resolve({"scans": source("ocr")})


def test_sources_that_an_entry_matches_share_its_weight_by_packed_length() -> None:
    sources = {
        "news": source("interleaved", 1000, 5),  # 1000 + 5 * 64 = 1320
        "blogs": source("interleaved", 340, 5),  # 340 + 5 * 64 = 660
        "captions": source("pairs", 7, 1),
    }
    lines: list[str] = []
    resolved = mixture.load("stage1").resolve(sources, lines.append)
    assert list(resolved.sources) == ["blogs", "news", "captions"]
    assert resolved.weights() == pytest.approx([0.7 / 3, 1.4 / 3, 0.3])
    assert lines == []
    assert all(entry.match is None and entry.weight > 0 for entry in resolved.sources.values())
    assert '"match"' not in resolved.to_json()
    assert mixture.load(json.loads(resolved.to_json())) == resolved == resolved.resolve(sources)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4),
        st.builds(
            source,
            st.sampled_from(["interleaved", "pairs", "text"]),
            st.integers(0, 10**9),
            st.integers(0, 10**6),
            st.sampled_from([None, "x"]),
            train=st.integers(0, 2),
        ),
        min_size=1,
    ),
    st.lists(st.floats(0.01, 9.0), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_weights_sum_to_one_and_keep_their_proportions(
    sources: dict[str, SourceShards], weights: list[float], random: Random
) -> None:
    """Entries share by weight. Sources of an entry share by size. The order of the sources does not matter."""
    layouts = dict(zip(["interleaved", "pairs", "text"], weights, strict=True))
    spec = Mixture("test", {layout: Entry(w, 64, match=Match(layout)) for layout, w in layouts.items()})
    sources_ = {name: s for name, s in sources.items() if s.shards("train")}
    if not sources_:
        with pytest.raises(MixtureError, match="none of its sources"):
            spec.resolve(sources, lambda line: None)
        return
    resolved = spec.resolve(sources, lambda line: None)
    shares = dict(zip(resolved.sources, resolved.weights(), strict=True))
    assert set(shares) == set(sources_)
    assert sum(shares.values()) == pytest.approx(1)
    used = sum(layouts[layout] for layout in {s.layout for s in sources_.values()})
    for layout, weight in layouts.items():
        members = [name for name, s in sources_.items() if s.layout == layout]
        sizes = [
            sum(shard.tokens + 64 * shard.images for shard in sources_[name].shards("train")) or 1 for name in members
        ]
        assert not members or sum(shares[name] for name in members) == pytest.approx(weight / used)
        for name, size in zip(members, sizes, strict=True):
            assert shares[name] == pytest.approx(weight / used * size / sum(sizes))
            assert shares[name] > 0
    shuffled = list(sources.items())
    random.shuffle(shuffled)
    assert spec.resolve(dict(shuffled), lambda line: None) == resolved


def test_an_entry_is_a_name_a_layout_or_a_tag() -> None:
    entry = {"weight": 1, "sequence_length": 64}
    sources = {"a": source("text", tag="clean"), "b": source("pairs", tag="clean"), "c": source("text")}

    def names(**entries: dict[str, str] | None) -> list[str]:
        table = {label: {**entry, **({"match": match} if match else {})} for label, match in entries.items()}
        return list(mixture.load({"sources": table}).resolve(sources, lambda line: None).sources)

    assert names(c=None, a=None) == ["c", "a"]
    assert names(x={"tag": "clean"}) == ["a", "b"]
    assert names(x={"tag": "clean", "layout": "text"}, c=None, y={"tag": "dirty"}) == ["a", "c"]
    with pytest.raises(MixtureError, match="two entries stand for the source 'a'"):
        names(a=None, x={"tag": "clean"})


def test_a_name_that_no_source_has_is_an_error_with_the_nearest() -> None:
    sources = {"docvqa": source("conversations"), "web": source("interleaved")}
    entry = {"weight": 1, "sequence_length": 64}
    for label, message in [
        ("docvqq", "no source 'docvqq'; did you mean 'docvqa'?"),
        ("pairs", "no source 'pairs'; one of docvqa, web; for every source of that layout: match: {layout: pairs}"),
    ]:
        with pytest.raises(MixtureError) as caught:
            mixture.load({"sources": {label: entry, "web": entry}}).resolve(sources)
        assert message in str(caught.value)


def test_shares_of_batches_are_those_of_the_schedule() -> None:
    assert mixture.load("stage2").shares(1000) == pytest.approx(
        {"interleaved": 0.45, "pairs": 0.35, "ocr": 0.20}, abs=0.005
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wieght": 1}, "sources.pairs: unknown 'wieght'; did you mean 'weight'"),
        ({"weight": 0}, "sources.pairs: weight is 0, not a positive number"),
        ({"weight": -1}, "weight is -1, not a positive number"),
        ({"weight": float("nan")}, "weight is nan, not a positive number"),
        ({"weight": float("inf")}, "weight is inf, not a positive number"),
        ({"weight": 10**400}, "not a positive number up to 1e+09"),
        ({"weight": 1e308}, "weight is 1e+308, not a positive number up to 1e+09"),
        ({"weight": None}, "weight is None, not a positive number"),
        ({"weight": True}, "weight is True"),
        ({"sequence_length": "64"}, "sequence_length is '64', not a positive whole number"),
        ({"image": None}, "sources.pairs.image: None is no mapping"),
        ({"match": {"layout": ["ocr"]}}, "give a layout, a tag or both, as strings"),
        ({"sequence_length": 1.5}, "sequence_length is 1.5, not a positive whole number"),
        ({"patches": 0}, "sources.pairs: patches is 0, not a positive whole number"),
        ({"long": "cut"}, "sources.pairs.long: 'cut' is not one of chunk, window, drop"),
        ({"image": {"mode": "round"}}, "sources.pairs.image.mode: 'round'"),
        ({"split": 2}, "sources.pairs.split is 2, not between 0 and 1"),
        ({"match": {}}, "sources.pairs.match is {}: give a layout, a tag or both"),
        ({"match": {"layout": "ocrr"}}, "sources.pairs.match.layout: 'ocrr' is not one of interleaved"),
        ({"match": {"name": "a"}}, "sources.pairs.match: unknown 'name'; one of layout, tag"),
    ],
)
def test_a_wrong_mixture_is_one_line_that_names_the_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(MixtureError) as caught:
        mixture.load({"sources": {"pairs": {"weight": 1, "sequence_length": 64, **change}}})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"sorces": {}}, "mixture: unknown 'sorces'; did you mean 'sources'"),
        ({"sources": {}}, "mixture: sources is absent or empty"),
        ({"sources": ["pairs"]}, "mixture: sources is absent or empty"),
        ({"sources": {"pairs": 1}}, "mixture: sources.pairs: 1 is no mapping"),
        ({"sources": {"pairs": None}}, "mixture: sources.pairs: None is no mapping"),
        ({"seed": 1.5, "sources": {"a": {}}}, "mixture: seed is 1.5, not a whole number"),
        ({"stage": False, "sources": {"a": {}}}, "mixture: stage is False, not text; put it in quotes"),
        (None, "None: expected one of stage1, stage2, sft, a file, or a mixture"),
        (7, "7: expected one of stage1"),
        (["stage1"], "['stage1']: expected one of stage1"),
    ],
)
def test_a_value_that_is_no_mixture_is_one_line(raw: Any, message: str) -> None:
    with pytest.raises(MixtureError) as caught:
        mixture.load(raw)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    raw = {"sources": {"a": {"weight": 7e-1, "sequence_length": 1e3}}, "batch_sequences": 64.0}
    loaded = mixture.load(raw)
    assert (loaded.sources["a"].sequence_length, loaded.batch_sequences) == (1000, 64)
    assert loaded == mixture.load(json.loads(loaded.to_json()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not JSON"),
        (b"sources:\n  a: {}", "not JSON"),
        (b'{"stage": "caf\xe9"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "[] is no mapping"),
        (b'{"sources": {"a": {"weight": 1, "weight": 2}}}', "the key 'weight' stands twice"),
        (b'{"sources": {"a": {"weight": NaN, "sequence_length": 1}}}', "weight is nan"),
    ],
)
def test_a_file_that_is_no_mixture_is_one_line_that_names_the_file(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(data)
    with pytest.raises(MixtureError) as caught:
        mixture.load(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["stage11", "x" * 5000, "a\0b", ".", ""])
def test_a_file_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such mixture file, and not one of stage1, stage2, sft"):
        mixture.load(name)


def test_a_file_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(mixture.load("stage1").to_json(), "utf-8-sig")
    assert mixture.load(tmp_path / "mine.json") == mixture.load("stage1")


def test_a_tag_that_no_source_of_a_recipe_has_is_an_error() -> None:
    raw = {"sources": {"x": {"match": {"tag": "claen"}, "weight": 1, "sequence_length": 64}}}
    mixture.load(raw).check(["web"])  # a mixture for many runs may name tags of others
    with pytest.raises(MixtureError, match=r"sources.x.match: no source has the tag 'claen'; did you mean 'clean'?"):
        mixture.load(raw).check(["web"], ["clean"])
    with pytest.raises(MixtureError, match="no source has the tag 'claen'; one of none"):
        mixture.load(raw).check(["web"], [])
