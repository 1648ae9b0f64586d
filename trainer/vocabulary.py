"""Whether the shards' tokenizer is that of the decoder that a run starts from."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Native
from transformers import AutoConfig
from transformers.utils import cached_file

from shards import tokens
from trainer import schema
from trainer.config import RecipeError
from trainer.export import encoder

FILE = "tokenizer.json"
#: the parts of a tokenizer.json that decide the numbers of a text's tokens
_PARTS = ("normalizer", "pre_tokenizer", "model")


def check(stage: str, start: schema.Model, tokenizer: tokens.Tokenizer, root: str) -> None:
    """Raises RecipeError, before weights are loaded, if the decoder would read the shards' numbers as other words.

    A decoder without a tokenizer.json must have as many words as the tokenizer, with or without the special tokens that
    the tokenizer appended. root: of the shards, for the message.
    """
    if start.pretrained:
        key, name = "model.pretrained", start.pretrained
    elif start.backbones:
        key, name = "model.backbones.text", start.backbones.text
    else:
        return
    file = _file(name)
    if file is not None:
        if same(tokenizer, file):
            return
        theirs = f"tokenizer {file} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]})"
    else:
        words = AutoConfig.from_pretrained(name).get_text_config().vocab_size
        if words in (tokenizer.vocab_size, tokenizer.vocab_size - len(tokenizer.appended)):
            return
        theirs = f"{words:,} words"
    ours = f"{tokenizer.name} (sha256 {tokenizer.sha256[:12]}, {tokenizer.vocab_size:,} words)"
    remedy = f"panoramix run RECIPE --set tokenizer={file or f'PATH/{FILE}'} --out FOLDER makes shards with it"
    fault = f"{name} has {theirs}, but the shards of {root} were counted with {ours}"
    raise RecipeError(f"{stage}: {key}: {fault}: {remedy}")


def _file(name: str) -> Path | None:
    """The tokenizer.json of a model's folder, or of a name on the Hub; None if it has none."""
    folder = Path(name)
    if folder.is_dir():
        return folder / FILE if (folder / FILE).is_file() else None
    quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    found = cached_file(name, FILE, **quiet)
    return Path(found) if found else None


def same(tokenizer: tokens.Tokenizer, file: Path) -> bool:
    """Whether the tokenizer.json gives the same number for every token, special tokens that it has included.

    A file that transformers has written again differs in its bytes, so the parts that decide the tokens are compared.
    """
    if hashlib.sha256(file.read_bytes()).hexdigest() == tokenizer.sha256:
        return True
    theirs, ours = json.loads(Native.from_file(str(file)).to_str()), encoder(tokenizer)
    definition: dict[str, Any] = json.loads(ours.to_str())
    if any(_plain(theirs[part]) != _plain(definition[part]) for part in _PARTS):
        return False
    numbers = {**ours.get_vocab(with_added_tokens=True), **tokenizer.specials}
    # the library numbers added tokens anew, so their numbers are read from the file
    added = json.loads(file.read_text(encoding="utf-8"))["added_tokens"]
    return all(numbers.get(token["content"]) == token["id"] for token in added)


def _plain(part: Any) -> Any:
    """The part without the scheme of SentencePiece's mark, which ``export.encoder`` changes for texts alone."""
    if isinstance(part, dict):
        rest = {key: _plain(value) for key, value in part.items() if key != "prepend_scheme"}
        return {**rest, "prepend_scheme": "never"} if part.get("prepend_scheme") == "never" else rest
    return [_plain(item) for item in part] if isinstance(part, list) else part
