"""The recipe tables that all kinds of sources share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from filters.rules import RulesTable
from manifests.names import LONGEST, checked_name
from manifests.strict_yaml import printable


class RecipeError(Exception):
    """A recipe that cannot be run. The message is one line that names the key and what to do."""

    def __init__(self, line: str) -> None:
        super().__init__(printable(line))  # names and values of the recipe are part of it


@contextmanager
def fault_of(key: str, *faults: type[Exception]) -> Iterator[None]:
    """Raise a ValueError, or one of `faults`, as the RecipeError of a key. key: with the separator behind it."""
    kinds: tuple[type[Exception], ...] = (ValueError, *faults)
    try:
        yield
    except kinds as e:
        raise RecipeError(f"{key}{e}") from None


def _as_list(value: Any) -> Any:
    """A single path or address is a list of one."""
    return [value] if isinstance(value, str) else value


Strings = Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
#: names that become parts of paths. The schema shows the pattern; `checked_name` refuses the rest
FileName = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(checked_name)]
PlainName = Annotated[FileName, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
ScoreName = Annotated[
    FileName, Field(pattern="^[a-z][a-z0-9_]*$", description="name of the score's column, in rules and in reasons")
]


class Table(BaseModel):
    # Defaults are validated, so that an integer default of a float field is a float: the manifest stores the recipe,
    # and fingerprints are computed from it.
    model_config = ConfigDict(extra="forbid", strict=False, validate_default=True, allow_inf_nan=False)


class Near(Table):
    """MinHash near-duplicates. Each candidate is checked against the document that stays.

    Defaults: FineWeb's 112 permutations and word 5-grams, in 28 bands of 4 rows instead of FineWeb's 14 bands of 8.
    Bands only bring candidates together; `threshold` decides what is dropped. Of copies with 3 % of their words
    changed, these defaults find 90 %; 14 bands of 8 at a threshold of 0.8 find 15 % (python -m bench dedup).
    """

    # not `on`, which YAML reads as `true`
    enabled: bool = True
    threshold: float = Field(0.7, gt=0, le=1, description="estimated Jaccard similarity that makes a document a copy")
    bands: int = Field(28, ge=1)
    rows: int = Field(4, ge=1)
    shingle: int = Field(5, ge=1, description="words")


class DatatroveFilter(Table):
    """A datatrove filter as a score: a rule `<name>_passes: {min: 1}` drops what the filter rejects."""

    name: ScoreName
    filter: str = Field(description="import path of a filter class, such as datatrove.pipeline.filters.C4QualityFilter")
    arguments: dict[str, Any] = Field({}, description="its keyword arguments")


class Score(Table):
    """A score of your own: a function or class by import path (filters/own.py). A rule `<name>: {min: 0.5}` uses it."""

    name: ScoreName
    function: str = Field(description="import path of a function or class, such as my.module:score")
    level: Literal["text", "document", "image"] | None = Field(
        None, description="what it is given; the attribute `level` of the function, else text, if not given"
    )
    arguments: dict[str, Any] = Field({}, description="its keyword arguments")


class Output(Table):
    """A file beside each shard, written by a class of your own (shards/output.py)."""

    name: PlainName = Field(description="folder below outputs/SOURCE/")
    writer: str = Field(description="import path of a class, such as my.module:Captions")
    arguments: dict[str, Any] = Field({}, description="its keyword arguments")


class Text(Table):
    """How texts are measured, and what is replaced in them."""

    language_model: str | None = Field(
        None, description="path of a fastText model such as lid.176.bin; a small built-in model if not given"
    )
    datatrove: list[DatatroveFilter] = Field([], description="datatrove filters, each a score for document rules")
    quality_model: str | None = Field(None, description="path of a `panoramix classifier` model: the score `quality`")
    perplexity_model: str | None = Field(None, description="path of a KenLM model: gives the score `perplexity`")
    perplexity_pieces: str | None = Field(None, description="path of the SentencePiece model of the KenLM model")
    flagged_words: dict[str, str] = Field(
        {}, description="files of flagged words by language: {de: words_de.txt}; a short English list if not given"
    )
    common_words: dict[str, str] = Field(
        {}, description="{en: wordfreq}, from that package, or a file of words: gives the score `common_words`"
    )
    redact: list[Literal["email", "iban", "card", "ip", "phone"]] = Field(
        [], description="personal data that is replaced by its type in kept texts: [email, ip]"
    )


class Datatrove(Table):
    """Documents that a datatrove reader reads."""

    reader: str = Field(description="import path of a reader class, such as datatrove.pipeline.readers.JsonlReader")
    arguments: dict[str, Any] = Field(
        {}, description="its keyword arguments, such as {data_folder: my/texts, glob_pattern: '*.jsonl.gz'}"
    )
    shards: int = Field(1, ge=1, description="partitions of a reader that reads no files (HuggingFaceDatasetReader)")
    paragraphs: Literal["lines", "blank_lines"] = Field(
        "lines", description="a paragraph is a line, or what stands between blank lines"
    )


class SourceTable(Table):
    """The keys that every source has, whatever its kind."""

    preset: str = Field(description="rules to start from: a file of filters/presets")
    rules: RulesTable = Field(
        RulesTable(), description="changes to the preset: {document: {words: {min: 20}}, node: ..., image: ...}"
    )
    text: Text = Text()
    scores: list[Score] = Field([], description="scores of your own, by import path")
    blocklist: str | None = Field(
        None, description="file of hosts and address prefixes, one a line; their documents go as blocked_host"
    )
    duplicate_key: str | None = Field(
        None, description="import path of a function of a document; those with the same returned string are duplicates"
    )
    outputs: list[Output] = Field([], description="further files, beside the tar shards")
    tag: str | None = Field(None, description="a label that mixtures can match, beside the layout")
    layout: Literal["interleaved", "pairs", "ocr", "conversations", "text"] | None = Field(
        None, description="how samples are laid out in the shards; the kind's default if not given"
    )


class Fetch(Table):
    """Fetching images, each address once."""

    deadline_s: float = Field(20, gt=0, description="total, for one address")
    max_bytes: int = Field(20 << 20, ge=1)
    max_pixels: int = Field(100_000_000, ge=1)
    threads: int = Field(32, ge=1)
    per_host: int = Field(2, ge=1)
    robots: bool = True
    allow_private: Strings = Field([], description="private address ranges that may be reached, such as 10.1.0.0/16")
    addresses_a_part: int = Field(5000, ge=1)
    user_agent: str = Field("panoramix/0.1", description="product token that robots.txt is read for, and a version")
    contact: str | None = Field(None, description="mail address or page in requests, for a site's owner to reach you")
