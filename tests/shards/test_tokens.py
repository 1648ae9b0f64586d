import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import tokens
from shards.tokens import SPECIALS, Tokenizer


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tokenizer]:
    lib = pytest.importorskip("tokenizers")
    native = lib.Tokenizer(lib.models.BPE())
    native.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    native.decoder = lib.decoders.ByteLevel()
    alphabet = lib.pre_tokenizers.ByteLevel.alphabet()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    native.train_from_iterator(["the river and the mill"] * 9, trainer)
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    native.save(str(path))
    return path, tokens.load(path)


def both(bpe: tuple[Path, Tokenizer]) -> list[Tokenizer]:
    return [tokens.load("bytes"), bpe[1]]


def test_specials_have_names_and_come_after_the_base_vocabulary(bpe: tuple[Path, Tokenizer]) -> None:
    plain = tokens.load("bytes")
    assert [plain.specials[name] for name in SPECIALS] == list(range(256, 256 + len(SPECIALS)))
    assert plain.vocab_size == 263
    file = bpe[1]
    assert (file.specials["<s>"], file.specials["</s>"]) == (0, 1)  # the tokens that the file has keep their numbers
    added = [file.specials[name] for name in SPECIALS if name not in ("<s>", "</s>")]
    assert added == list(range(file.vocab_size - 5, file.vocab_size))


def test_text_is_decoded_unchanged_and_never_gives_a_special_token(bpe: tuple[Path, Tokenizer]) -> None:
    for tokenizer in both(bpe):
        special = set(tokenizer.specials.values())
        for text in (
            "the mill <image> <s>turns</s>",
            "Kürbis 🎃 <fake_token_around_image>",
            "",
            "a <|end_of_topic|> b",
        ):
            ids = tokenizer.encode(text)
            assert tokenizer.decode(ids) == text
            assert not special & set(ids)
        assert tokenizer.encode(tokens.END_OF_TOPIC) == [tokenizer.specials[tokens.END_OF_TOPIC]]
        assert tokenizer.decode([*tokenizer.encode("a"), tokenizer.specials["<image>"]]) == "a<image>"


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=8))
def test_count_is_the_length_of_encode(texts: list[str | None]) -> None:
    tokenizer = tokens.load("bytes")
    expected = [0 if text is None else len(tokenizer.encode(text)) for text in texts]
    assert tokenizer.count(pa.array(texts, pa.string())).tolist() == expected


def test_count_of_a_file_is_the_length_of_encode(bpe: tuple[Path, Tokenizer]) -> None:
    texts = ["the river", None, "", "x <s> y", tokens.END_OF_TOPIC]
    expected = [0 if text is None else len(bpe[1].encode(text)) for text in texts]
    assert bpe[1].count(pa.array(texts)).tolist() == expected


def test_the_sha256_is_that_of_the_definition(bpe: tuple[Path, Tokenizer]) -> None:
    assert bpe[1].sha256 == hashlib.sha256(bpe[0].read_bytes()).hexdigest()
    assert tokens.load("bytes").sha256 == "4b5503625f6fe79ec8de2b9deac3b2491873e591bcede1dbc4c70f09d7bd420c"


def test_a_file_that_is_not_a_tokenizer_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tokenizer 'bites': neither `bytes` nor a file"):
        tokens.load("bites")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ValueError, match=r"t\.json: not a tokenizer\.json"):
        tokens.load(tmp_path / "t.json")
