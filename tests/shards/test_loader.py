import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards import loader as module
from shards import source, tokens
from shards.loader import Batch, Loader, LoaderError, Sample, decode
from tests.shards import made

IMAGE = {"mode": "native", "longest": 64, "shortest": 16}


def mixture(**lengths: int) -> dict[str, Any]:
    weights = {"interleaved": 0.5, "pairs": 0.3, "ocr": 0.2}
    sources = {
        name: {"weight": weights[name], "sequence_length": length, "image": IMAGE} for name, length in lengths.items()
    }
    return {"stage": "test", "seed": 3, "batch_sequences": 8, "tokens_per_image": 4, "sources": sources}


ALL = mixture(interleaved=512, pairs=256, ocr=256)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("run"), {"interleaved": [15, 9, 12], "pairs": [20, 11], "ocr": [13]})


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (source, module):
        monkeypatch.setattr(place, "BLOCK_SAMPLES", 20)


def names(batches: list[Batch]) -> list[list[list[tuple[str, int]]]]:
    """(key, piece) of each sample, by batch and sequence."""
    return [
        [[(s.source + s.key, s.piece[0] if s.piece else 0) for s in sequence] for sequence in b.sequences]
        for b in batches
    ]


def key_counts(batches: list[Batch]) -> Counter[str]:
    return Counter(s.source + s.key for b in batches for sequence in b.sequences for s in sequence)


def keys_of(run: Path, config: str) -> set[str]:
    shards = json.loads((run / "manifest.json").read_text())["sources"][config]["splits"]["train"]
    return {f"{config}{part:06d}{i:06d}" for part, shard in enumerate(shards) for i in range(shard["samples"])}


def length(sample: Sample, per_image: int = 4) -> int:
    count = tokens.load("bytes").encode
    return 2 + sum(per_image + 2 if isinstance(part, int) else len(count(part)) for part in sample.parts())


@pytest.mark.parametrize("config", ["interleaved", "pairs", "ocr"])
def test_an_epoch_has_every_sample_once_and_the_next_has_another_order(run: Path, config: str) -> None:
    spec = mixture(**{config: 512})
    one_epoch = list(Loader(run, spec, epochs=1))
    assert key_counts(one_epoch) == Counter(keys_of(run, config))
    two_epochs = list(Loader(run, spec, epochs=2))
    assert key_counts(two_epochs) == Counter(dict.fromkeys(keys_of(run, config), 2))
    assert [b.step for b in two_epochs] == list(range(len(two_epochs)))
    first = [key for b in names(two_epochs) for sequence in b for key, _ in sequence][: len(keys_of(run, config))]
    assert sorted(first) != first
    assert len(Loader(run, spec)) == len(one_epoch)


def test_an_epoch_of_several_sources_has_all_samples_and_the_shares_are_the_weights(run: Path) -> None:
    loader = Loader(run, ALL, epochs=1)
    batches = list(loader)
    assert set(key_counts(batches)) == keys_of(run, "interleaved") | keys_of(run, "pairs") | keys_of(run, "ocr")
    assert len(batches) == len(loader)
    assert all(
        (s.source, s.layout) == (b.source, b.layout) for b in batches for sequence in b.sequences for s in sequence
    )
    batches_ = list(islice(Loader(run, ALL), 100))
    shares = Counter(b.source for b in batches_)
    assert {name: n / 100 for name, n in shares.items()} == pytest.approx(
        {"interleaved": 0.5, "pairs": 0.3, "ocr": 0.2}, abs=0.03
    )
    assert Loader(run, ALL).shares(100) == {name: n / 100 for name, n in shares.items()}


def test_a_preset_selects_sources_by_layout_and_not_by_name(tmp_path: Path) -> None:
    layouts = {"news": "interleaved", "pairs": "interleaved", "ocr": "pairs", "docvqa": "conversations", "web": "text"}
    folder = made.run(tmp_path, {name: [4] for name in layouts}, layouts=layouts)
    lines: list[str] = []
    stage1 = Loader(folder, "stage1", batch_sequences=2, sequence_length={"interleaved": 700}, say=lines.append)
    assert list(stage1.mixture.sources) == ["news", "pairs", "ocr"]
    assert stage1.mixture.weights()[2] == pytest.approx(0.3)
    assert [entry.sequence_length for entry in stage1.mixture.sources.values()] == [700, 700, 1536]
    all_sources = {name: {"weight": 1, "sequence_length": 700} for name in layouts}
    samples = [s for b in Loader(folder, {"sources": all_sources}, epochs=1) for q in b.sequences for s in q]
    assert {s.source: s.layout for s in samples} == layouts
    assert all((s.json["source"], s.json["layout"]) == (s.source, s.layout) for s in samples)
    for sample in samples:
        texts = [part for part in sample.parts() if isinstance(part, str)]
        assert (sample.layout == "conversations") == texts[0].startswith("User: ")
        assert (sample.layout == "pairs") == ("caption" in sample.json)
        assert sample.layout != "text" or not sample.images
    assert lines == []


def test_samples_have_all_their_texts_and_images(run: Path) -> None:
    for batch in Loader(run, ALL, epochs=1):
        for sequence in batch.sequences:
            assert sum(length(sample) for sample in sequence) <= batch.sequence_length
            for sample in sequence:
                parts = sample.parts()
                assert [p for p in parts if isinstance(p, int)] == list(range(len(sample.images)))
                assert len(sample.images) == sample.json["n_images"]
                texts = [p for p in parts if isinstance(p, str)]
                assert sum(len(t.encode()) for t in texts) == sample.json["n_text_tokens"]
                for data in sample.images:
                    assert decode(data, **batch.image).shape[2] == 3
        assert batch.image == IMAGE
        assert batch.sequence_length == ALL["sources"][batch.source]["sequence_length"]


def interleave(parts: list[list[Batch]]) -> list[list[list[tuple[str, int]]]]:
    """The global batches, joined from the batches of the ranks."""
    batches = []
    for ranks in zip(*(names(part) for part in parts), strict=True):
        deepest = max(len(rank) for rank in ranks)
        batches.append([rank[i] for i in range(deepest) for rank in ranks if i < len(rank)])
    return batches


@pytest.mark.parametrize("world", [2, 4, 8])
def test_every_rank_has_the_same_steps_and_together_they_have_the_global_batches(run: Path, world: int) -> None:
    full = list(islice(Loader(run, ALL, seed=5), 30))
    ranks = [list(islice(Loader(run, ALL, seed=5, rank=r, world=world), 30)) for r in range(world)]
    assert interleave(ranks) == names(full)
    assert all(len(b.sequences) == 8 // world for rank in ranks for b in rank)
    assert all([b.source for b in rank] == [b.source for b in full] for rank in ranks)
    finite = [list(Loader(run, ALL, rank=r, world=world, epochs=1)) for r in range(world)]
    assert len({len(rank) for rank in finite}) == 1
    assert interleave(finite) == names(list(Loader(run, ALL, epochs=1)))


@pytest.mark.parametrize("at", [0, 1, 7, 23, 40])
def test_a_loader_resumes_at_any_batch_on_any_number_of_ranks_with_the_same_samples(run: Path, at: int) -> None:
    full = names(list(islice(Loader(run, ALL), 60)))
    first = [Loader(run, ALL, rank=r, world=4) for r in range(4)]
    assert interleave([list(islice(loader, at)) for loader in first]) == full[:at]
    states = [json.dumps(loader.state_dict()) for loader in first]
    assert len(set(states)) == 1
    assert len(states[0]) < 1000
    assert str(run) not in states[0]
    for world in (1, 2, 8):
        ranks = [Loader(run, ALL, rank=r, world=world) for r in range(world)]
        for loader in ranks:
            loader.load_state_dict(json.loads(states[0]))
        assert interleave([list(islice(loader, 60 - at)) for loader in ranks]) == full[at:]


def test_a_state_is_a_few_hundred_bytes_without_paths(run: Path) -> None:
    states = [b.state for b in islice(Loader(run, ALL), 30)]
    sizes = {len(json.dumps(state)) for state in states}
    assert max(sizes) < 1000
    assert max(sizes) - min(sizes) < 20  # the size does not grow with the steps
    assert str(run) not in json.dumps(states)


def test_a_loader_continues_where_the_last_loop_stopped_and_starts_again_after_its_epochs(run: Path) -> None:
    full = names(list(islice(Loader(run, ALL), 6)))
    loader = Loader(run, ALL)
    assert names(list(islice(loader, 2))) + names(list(islice(loader, 4))) == full
    finite = Loader(run, ALL, epochs=1)
    assert names(list(finite)) == names(list(finite))


def test_another_seed_is_another_order_of_the_same_samples(run: Path) -> None:
    spec = mixture(pairs=256)
    a, b = (list(Loader(run, spec, seed=seed, epochs=1)) for seed in (0, 1))
    assert names(a) != names(b)
    assert key_counts(a) == key_counts(b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"batch_sequences": 16}, "batch_sequences was 8, is 16"),
        ({"tokens_per_image": 9}, "tokens_per_image was 4, is 9"),
        ({"sequence_length": {"pairs": 300}}, r"sources.pairs was \[0.3, 256, 'drop'\], is \[0.3, 300, 'drop'\]"),
        ({"mixture": mixture(interleaved=512, pairs=256)}, r"sources\.ocr was .*, is None"),
    ],
)
def test_a_state_of_another_order_is_refused_with_what_changed(
    run: Path, options: dict[str, Any], message: str
) -> None:
    state = Loader(run, ALL).state_dict()
    with pytest.raises(LoaderError, match=message):
        Loader(run, **{"mixture": ALL, **options}).load_state_dict(state)


def test_a_state_for_other_shards_is_refused(run: Path, tmp_path: Path) -> None:
    other = made.run(tmp_path, {"interleaved": [4], "pairs": [5], "ocr": [3]})
    with pytest.raises(LoaderError, match="shards was"):
        Loader(other, ALL).load_state_dict(Loader(run, ALL).state_dict())


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run(tmp_path_factory.mktemp("long"), {"interleaved": [8], "pairs": [6]}, images=2, words=150)


@pytest.mark.parametrize("config", ["interleaved", "pairs"])
def test_long_samples_are_split_into_pieces_that_fit_and_have_all_words_and_images(lengthy: Path, config: str) -> None:
    spec = mixture(**{config: 300})
    spec["sources"][config]["long"] = "chunk"
    loader = Loader(lengthy, spec, epochs=1)
    pieces: dict[str, dict[int, Sample]] = {}
    for batch in loader:
        for sequence in batch.sequences:
            assert sum(map(length, sequence)) <= 300
            for sample in sequence:
                pieces.setdefault(sample.key, {})[sample.piece[0] if sample.piece else 0] = sample
    full = {s.key: s for b in Loader(lengthy, mixture(**{config: 9000}), epochs=1) for q in b.sequences for s in q}
    assert set(pieces) == set(full)
    n_lost = 0
    for key, by_number in pieces.items():
        assert sorted(by_number) == list(range(next(iter(by_number.values())).piece[1]))  # type: ignore[index]
        words = [w for i in sorted(by_number) for p in by_number[i].parts() if isinstance(p, str) for w in p.split()]
        expected = [w for p in full[key].parts() if isinstance(p, str) for w in p.split()]
        n_lost += len(expected) - len(words)
        assert set(words) <= set(expected)
        images = [data for i in sorted(by_number) for data in by_number[i].images]
        assert images == (full[key].images if config == "interleaved" else full[key].images * len(by_number))
    assert n_lost == 0
    assert loader.counts[f"{config}/cut_tokens"] == 0
    assert loader.counts[f"{config}/chunked"] == sum(map(len, pieces.values()))


def test_a_window_has_an_image_fits_and_changes_with_the_epoch(lengthy: Path) -> None:
    spec = mixture(interleaved=300)
    spec["sources"]["interleaved"]["long"] = "window"
    samples = [s for b in Loader(lengthy, spec, epochs=3) for q in b.sequences for s in q]
    assert Counter(s.key for s in samples) == Counter(dict.fromkeys({s.key for s in samples}, 3))
    assert all(length(s) <= 300 for s in samples)
    by_key: dict[str, set[str]] = {}
    for sample in samples:
        by_key.setdefault(sample.key, set()).add(json.dumps(sample.json))
    assert max(map(len, by_key.values())) > 1
    full = {s.key: s for b in Loader(lengthy, mixture(interleaved=9000), epochs=1) for q in b.sequences for s in q}
    assert all(bool(s.images) == bool(full[s.key].images) for s in samples)


@pytest.mark.parametrize("long", ["chunk", "window", "drop"])
def test_images_stay_within_the_budget_of_patches(lengthy: Path, run: Path, long: str) -> None:
    spec = mixture(interleaved=300)
    spec["sources"]["interleaved"] |= {
        "long": long,
        "patches": 20,
        "patch": 16,
        "image": {"mode": "native", "longest": 64, "shortest": 48},
    }
    images = 0
    for folder in (lengthy, run):
        loader = Loader(folder, spec, epochs=1)
        if long == "drop" and folder == lengthy:
            with pytest.raises(LoaderError, match="no sample fits a sequence of 300 tokens and 20 patches"):
                list(loader)
            continue
        for sequence in (q for b in loader for q in b.sequences):
            sizes = [decode(image, "native", 64, 48).shape for s in sequence for image in s.images]
            assert sum(-(-h // 16) * -(-w // 16) for h, w, _ in sizes) <= 20
            assert sum(map(length, sequence)) <= 300
            images += len(sizes)
    assert images > 5
    assert "patches" not in json.dumps(Loader(run, ALL).state_dict())
    with pytest.raises(LoaderError, match=r"sources.interleaved was .* 20, 16, 'native', 64, 48\], is"):
        Loader(run, mixture(interleaved=300)).load_state_dict(Loader(run, spec).state_dict())


def test_dropped_samples_are_counted(lengthy: Path, run: Path) -> None:
    with pytest.raises(LoaderError, match="pairs: no sample fits a sequence of 300 tokens"):
        next(iter(Loader(lengthy, mixture(pairs=300))))
    short = Loader(run, mixture(pairs=72), epochs=1)
    assert short.dropped()["pairs"] == 31 - sum(key_counts(list(short)).values()) > 0


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_an_epoch_is_exact_if_no_sample_of_a_block_fits(tmp_path: Path, shard: int) -> None:
    folder = made.run(tmp_path, {"pairs": [20, 20, 20]})
    index = folder / f"index/pairs-train-{shard:06d}.parquet"
    table = pq.read_table(index)
    at = table.schema.get_field_index("n_text_tokens")
    pq.write_table(
        table.set_column(at, table.schema.field(at), pa.array([9999] * 20, table.schema.field(at).type)), index
    )
    expected_keys = {key for key in keys_of(folder, "pairs") if not key.startswith(f"pairs{shard:06d}")}
    loader = Loader(folder, mixture(pairs=256), epochs=2)
    assert key_counts(list(loader)) == Counter(dict.fromkeys(expected_keys, 2))
    assert loader.dropped() == {"pairs": 20}


def with_damaged_sample(run: Path, tmp_path: Path) -> Path:
    folder = made.run(tmp_path, {"pairs": [10]})
    shard = folder / "shards/pairs/train-000000.tar"
    data = bytearray(shard.read_bytes())
    at = data.index(b"000000000004.jpg")
    data[at + 124 : at + 136] = b"7" * 11 + b"\0"
    shard.write_bytes(data)
    return folder


def test_a_damaged_sample_is_an_error_that_names_it_or_is_skipped_and_counted(run: Path, tmp_path: Path) -> None:
    folder = with_damaged_sample(run, tmp_path)
    with pytest.raises(LoaderError, match=r"train-000000\.tar at byte \d+: a member of 8589934591 bytes does not fit"):
        list(Loader(folder, mixture(pairs=256), epochs=1))
    loader = Loader(folder, mixture(pairs=256), epochs=1, on_error="skip")
    assert key_counts(list(loader)) == Counter(keys_of(folder, "pairs") - {"pairs000000000004"})
    assert loader.counts["pairs/skipped"] == 1


@pytest.mark.parametrize("threads", [0, 2])
def test_a_failing_storage_or_tokenizer_is_raised_and_not_skipped(tmp_path: Path, threads: int) -> None:
    folder = made.run(tmp_path / "gone", {"pairs": [6, 4]})
    (folder / "shards/pairs/train-000001.tar").unlink()
    with pytest.raises(LoaderError, match=r"train-000001\.tar at byte \d+: .*No such file"):
        list(Loader(folder, mixture(pairs=256), epochs=1, on_error="skip", threads=threads))
    lengthy = made.run(tmp_path / "long", {"pairs": [6]}, words=200)
    raw = json.loads((lengthy / "manifest.json").read_text())
    raw["tokenizer"]["name"] = "nowhere"
    (lengthy / "manifest.json").write_text(json.dumps(raw))
    spec = mixture(pairs=256)
    spec["sources"]["pairs"]["long"] = "chunk"
    with pytest.raises(FileNotFoundError, match="tokenizer 'nowhere'"):
        list(Loader(lengthy, spec, epochs=1, on_error="skip", threads=threads))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 3, "world": 3}, "rank 3 of 3"),
        ({"world": 3}, "batch a multiple"),
        ({"on_error": "ignore"}, "'raise' or 'skip'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"sequence_length": {"pears": 9}}, "'pears' is no source"),
        ({"split": "test"}, "none of its sources"),
    ],
)
def test_wrong_arguments_are_one_clear_line(run: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Loader(run, ALL, **options)


def test_another_tokenizer_is_refused(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    pytest.importorskip("tokenizers").Tokenizer(pytest.importorskip("tokenizers").models.BPE()).save(str(path))
    with pytest.raises(LoaderError, match="the lengths in the index were counted with bytes"):
        Loader(run, ALL, tokenizer=path)


def test_any_filesystem_gives_the_same_batches_as_the_disk(run: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in run.rglob("*"):
        if path.is_file():
            memory.pipe(f"/copy/{path.relative_to(run)}", path.read_bytes())
    remote, local = list(Loader("memory://copy", ALL, epochs=1)), list(Loader(run, ALL, epochs=1))
    assert names(remote) == names(local)
    assert remote == local


def test_decode_gives_the_shape_that_the_mode_asks_for() -> None:
    data = made.picture(1, 400, 200)
    assert decode(data, "square", 96, 0).shape == (96, 96, 3)
    assert decode(data, "native", 100, 40).shape == (50, 100, 3)
    assert decode(made.picture(1, 40, 20), "native", 200, 50).shape == (50, 100, 3)
    assert decode(made.picture(1, 400, 20), "native", 200, 50).shape == (10, 200, 3)
    exact = decode(data, "native", 400, 0)
    assert np.abs(exact.astype(int) - decode(made.picture(1, 400, 200, "PNG"), "native", 400, 0)).mean() < 5


def test_loading_leaves_no_file_open(run: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    loader = Loader(run, ALL)
    list(islice(loader, 5))
    del loader
    assert len(os.listdir("/proc/self/fd")) <= before
