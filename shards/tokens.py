"""Tokenizers by name: ``bytes``, which needs no file, and ``tokenizer.json`` files.

The index of a shard holds the length of every sample in tokens, so reader and writer must use the same tokenizer. It is
identified by its name and the sha256 of its definition. Each text slot of a sample is encoded alone; the turns of a
conversation by the template of shards/turns.py. No text of a page is ever read as a special token, however it is
spelled, except a slot that is exactly `END_OF_TOPIC`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
IMAGE, FAKE, END_OF_UTTERANCE = "<image>", "<fake_token_around_image>", "<end_of_utterance>"
#: the text slot of a break: the topic of the page ends here (the end-of-document token of OBELICS, appendix A.1)
END_OF_TOPIC = "<|end_of_topic|>"
#: the start of the slot of a conversation's turn; `END_OF_TOPIC` separates the turns
USER, ASSISTANT = "User:", "Assistant:"
#: those that the base vocabulary lacks are appended to it, in this order
SPECIALS = (PAD, BOS, EOS, IMAGE, FAKE, END_OF_UTTERANCE, END_OF_TOPIC)


class Tokenizer(Protocol):
    name: str
    sha256: str  #: of the definition; the lengths in an index hold for this definition only
    vocab_size: int  #: base vocabulary and specials
    specials: dict[str, int]  #: id of each name of `SPECIALS`
    appended: frozenset[str]  #: the names of `SPECIALS` that the base vocabulary lacks

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def count(self, texts: pa.Array | Sequence[str]) -> np.ndarray:
        """Tokens of each text, int32 (n,); a null has none."""
        ...


class Bytes:
    """Each byte of the UTF-8 text is one token: no file, no training, every language."""

    name = "bytes"

    def __init__(self) -> None:
        self.specials = {name: 256 + i for i, name in enumerate(SPECIALS)}
        self.appended = frozenset(SPECIALS)
        self.vocab_size = 256 + len(SPECIALS)
        self.sha256 = hashlib.sha256("\n".join(("utf-8 bytes, then:", *SPECIALS)).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        return [self.specials[END_OF_TOPIC]] if text == END_OF_TOPIC else list(text.encode("utf-8", "replace"))

    def decode(self, ids: Iterable[int]) -> str:
        pieces = (bytes([i]) if i < 256 else SPECIALS[i - 256].encode() for i in map(int, ids))
        return b"".join(pieces).decode("utf-8", "replace")

    def count(self, texts: pa.Array | Sequence[str]) -> np.ndarray:
        lengths = [
            0 if s is None else 1 if s == END_OF_TOPIC else len(s) if s.isascii() else len(s.encode("utf-8", "replace"))
            for s in _strings(texts)
        ]
        return np.array(lengths, np.int32)


class File:
    """A Hugging Face ``tokenizer.json``, by the `tokenizers` library. Raises ImportError without it, ValueError."""

    def __init__(self, path: str | Path) -> None:
        try:
            from tokenizers import Tokenizer as Native
        except ImportError as error:
            text = f"{path}: a tokenizer file needs the package tokenizers: pip install tokenizers"
            raise ImportError(text) from error
        definition = Path(path).read_bytes()
        self.name = str(path)
        self.sha256 = hashlib.sha256(definition).hexdigest()
        try:
            native: Any = Native.from_str(definition.decode())
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path}: not a tokenizer.json ({error})") from error
        native.no_padding()
        native.no_truncation()
        native.encode_special_tokens = True  # "<s>" on a page is text
        self._native = native
        vocabulary: dict[str, int] = native.get_vocab(with_added_tokens=True)
        base = max(vocabulary.values(), default=-1) + 1
        missing = [name for name in SPECIALS if name not in vocabulary]
        self.appended = frozenset(missing)
        self._added = dict(enumerate(missing, base))
        self.specials = {name: vocabulary[name] for name in SPECIALS if name in vocabulary}
        self.specials |= {name: i for i, name in self._added.items()}
        self.vocab_size = base + len(missing)

    def encode(self, text: str) -> list[int]:
        if text == END_OF_TOPIC:
            return [self.specials[END_OF_TOPIC]]
        return list(self._native.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        out, run = "", list[int]()
        for i in map(int, ids):
            if i in self._added:
                out += self._native.decode(run, skip_special_tokens=False) + self._added[i]
                run = []
            else:
                run.append(i)
        return out + str(self._native.decode(run, skip_special_tokens=False))

    def count(self, texts: pa.Array | Sequence[str]) -> np.ndarray:
        strings = _strings(texts)
        encoded = self._native.encode_batch([text or "" for text in strings], add_special_tokens=False)
        pairs = zip(strings, encoded, strict=True)
        return np.fromiter((0 if s is None else 1 if s == END_OF_TOPIC else len(e.ids) for s, e in pairs), np.int32)


def _strings(texts: pa.Array | Sequence[str]) -> list[str | None]:
    return texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else list(texts)


@lru_cache(maxsize=8)
def load(name_or_path: str | Path) -> Tokenizer:
    """``bytes``, or the path of a tokenizer.json. Raises FileNotFoundError, and what `File` raises."""
    if name_or_path == "bytes":
        return Bytes()
    if not Path(name_or_path).is_file():
        raise FileNotFoundError(f"tokenizer {str(name_or_path)!r}: neither `bytes` nor a file")
    return File(name_or_path)
