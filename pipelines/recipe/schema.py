"""Recipes: what a run is to do, as tables. `pipelines.recipe.load` takes one from its file.

Every key has a default that is right for most; a recipe says only what differs. ``--set
web.rules.document.words.min=20`` changes one key.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from filters.blocklist import Blocklist
from filters.onnx import DEVIATION, MEAN
from filters.perplexity import Perplexity
from filters.quality import Quality
from filters.rules import Rule, RuleError, Rules, load
from filters.scores import IMAGE_SIMILARITY, LEVELS
from filters.text import SCORES
from manifests.schema import DOCUMENT
from pipelines.adapted.models import text_models
from pipelines.adapted.scores import Scores, by_filter, by_function

#: what a recipe may take documents from, by key
SOURCES = ("web", "pairs", "pdf", "conversations")


class RecipeError(Exception):
    """A recipe that cannot be run: one line that names the key and what to do."""


def _listed(value: Any) -> Any:
    """A single path or address is a list of one."""
    return [value] if isinstance(value, str) else value


Strings = Annotated[list[str], BeforeValidator(_listed)]


class _Table(BaseModel):
    # a default is what it would be if it were given (30 a float): a run's manifest gives the recipe back, and stages
    # are known by it
    model_config = ConfigDict(extra="forbid", strict=False, validate_default=True)


class Near(_Table):
    """MinHash near-duplicates, each checked against the document that stays.

    Defaults: FineWeb's 112 permutations and word 5-grams, cut into 28 bands of 4 rather than 14 of 8. Bands only bring
    candidates together; what is dropped is decided by `threshold`. Copies with 3 % of their words changed: 90 % found,
    against 15 % with 14 of 8 at 0.8 (python -m bench dedup).
    """

    on: bool = True
    threshold: float = Field(
        0.7, gt=0, le=1, description="estimated Jaccard similarity from which a document is a copy"
    )
    bands: int = Field(28, ge=1)
    rows: int = Field(4, ge=1)
    shingle: int = Field(5, ge=1, description="words")


ScoreName = Annotated[
    str, Field(pattern="^[a-z][a-z0-9_]*$", description="what the score's columns are called by, in rules and reasons")
]


class DatatroveFilter(_Table):
    """A datatrove filter as a score: a rule `<name>_passes: {min: 1}` drops what it does not let pass."""

    name: ScoreName
    filter: str = Field(description="import path of a filter class, such as datatrove.pipeline.filters.C4QualityFilter")
    arguments: dict[str, Any] = Field({}, description="its keyword arguments")


class Function(_Table):
    """A function of a document's text that returns a number: a rule `<name>: {min: 0.5}` drops by it."""

    name: ScoreName
    function: str = Field(description="import path, such as my.module:score")


class Text(_Table):
    language_model: str | None = Field(
        None,
        description="path of a fastText model such as lid.176.bin; without one a small default, named in the report",
    )
    datatrove: list[DatatroveFilter] = Field(
        [], description="datatrove filters, each a score that the document rules may name"
    )
    functions: list[Function] = Field(
        [], description="functions of one's own, each a score that the document rules may name"
    )
    quality_model: str | None = Field(
        None, description="path of a model by `panoramix classifier train`: gives the document score `quality`"
    )
    perplexity_model: str | None = Field(
        None, description="path of a KenLM model: gives the document score `perplexity`"
    )
    perplexity_pieces: str | None = Field(
        None, description="path of the SentencePiece model that the KenLM model was made with"
    )
    flagged_words: dict[str, str] = Field(
        {}, description="files of flagged words by language: {de: words_de.txt}; others by a short English list"
    )
    common_words: dict[str, str] = Field(
        {}, description="{en: wordfreq}, by that package, or a file of words: gives the score `common_words`"
    )
    redact: list[Literal["email", "iban", "card", "ip", "phone"]] = Field(
        [], description="what is replaced by its name in kept texts: [email, ip]"
    )


class Crawl(_Table):
    """The polite crawl of `web.seeds`. It stays on the seeds' hosts."""

    max_pages: int = Field(1000, ge=1, description="a host")
    max_depth: int = Field(5, ge=0)
    delay_s: float = Field(0.5, ge=0, description="between two requests to a host; robots.txt may ask for more")
    deadline_s: float = Field(30, gt=0, description="total, an address")
    max_bytes: int = Field(50 << 20, ge=1, description="of one answer")
    crawl_delay_cap_s: float = Field(30, ge=0, description="a robots.txt Crawl-delay above it counts as this much")


class Datatrove(_Table):
    """Documents that a datatrove reader reads, beside those of the web pages."""

    reader: str = Field(description="import path of a reader class, such as datatrove.pipeline.readers.JsonlReader")
    arguments: dict[str, Any] = Field(
        {}, description="its keyword arguments, such as {data_folder: my/texts, glob_pattern: '*.jsonl.gz'}"
    )
    shards: int = Field(
        1, ge=1, description="how finely a reader that reads no files is cut (HuggingFaceDatasetReader)"
    )
    paragraphs: Literal["lines", "blank_lines"] = Field(
        "lines", description="a paragraph is a line, or what stands between blank lines"
    )


class CommonCrawl(_Table):
    """Pages of Common Crawl, chosen in its columnar index before anything is fetched."""

    index: Strings = Field(
        description="Parquet files of the index: paths, globs or fsspec URLs, such as s3://commoncrawl/cc-index/table/..."
    )
    where: dict[str, Any] = Field(
        {},
        description="column of the index -> value, list of values, {min, max} or null; successful HTML pages where it does not say",
    )
    prefix: str = Field(
        "https://data.commoncrawl.org/", description="where the WARC files are: https, s3://commoncrawl/, or a folder"
    )
    threads: int = Field(8, ge=1, description="requests at the same time, a part")


class Release(_Table):
    """Documents that others have published."""

    format: Literal["obelics", "mint1t", "mmc4"]
    files: Strings = Field(
        description="paths, globs or fsspec URLs: Parquet (obelics, mint1t), .tar (mint1t's PDF part), JSON lines (mmc4)"
    )


class Web(_Table):
    """Interleaved documents from web pages."""

    warc: Strings = Field([], description="WARC files: paths, globs or fsspec URLs")
    seeds: Strings = Field([], description="addresses to crawl from")
    crawl: Crawl = Crawl()
    commoncrawl: CommonCrawl | None = None
    datatrove: Datatrove | None = Field(
        None, description="documents of a datatrove reader, which go the way of the pages"
    )
    releases: list[Release] = Field(
        [], description="documents of OBELICS, MINT-1T or mmc4, which go the way of the pages"
    )
    preset: str = "obelics"
    rules: dict[str, Any] = Field(
        {}, description="changes to the preset: {document: {words: {min: 20}}, node: ..., image: ...}"
    )
    text: Text = Text()
    near: Near = Near()
    blocklist: str | None = Field(
        None, description="file of hosts and beginnings of addresses, one a line; their pages go, as blocked_host"
    )
    refuse_optout: bool = Field(
        True, description="leave out pages that reserve themselves (robots noai, TDM reservation)"
    )
    paragraph_uses: int = Field(
        2, ge=0, description="pages of one host a paragraph may stand on before it goes everywhere (OBELICS: 2); 0: any"
    )


class Pairs(_Table):
    """Image-text pairs, from the same pages and from lists of addresses."""

    from_pages: bool = True
    urls: Strings = Field([], description="CSV, TSV, JSONL or Parquet files with url and text columns")
    text_uses: int = Field(
        10, ge=0, description="pairs that may share one text before all of them go (COYO: 10); 0: any"
    )
    preset: str = "pairs"
    rules: dict[str, Any] = {}
    text: Text = Text()


class Pdf(_Table):
    """PDF pages: page images with words and boxes."""

    from_pages: bool = Field(True, description="also the PDFs met in WARC files and crawls")
    paths: Strings = Field([], description="PDF files, folders or globs")
    dpi: int = Field(150, ge=36, le=600)
    longest_side: int = Field(980, ge=64, description="pixels of a page image; rendered at what the shards hold")
    max_pages: int = Field(50, ge=1, description="of one PDF; MINT-1T takes 50")
    ocr: Literal["auto", "never"] = Field(
        "auto", description="Tesseract where it is installed and a page has no text layer"
    )
    preset: str = "pdf"
    rules: dict[str, Any] = {}
    text: Text = Text()
    near: Near = Near()


class ConversationSet(_Table):
    """A dataset of questions and answers about images, as The Cauldron's or LLaVA's (pipelines/formats/dialogue.py)."""

    name: str = Field(
        pattern="^[a-z0-9][a-z0-9_.-]*$", description="what its documents' addresses and the report call it"
    )
    files: Strings = Field(description="Parquet, JSON lines or JSON arrays: paths, globs or fsspec URLs")
    repeat: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="how often its documents are there for training: 4, or 0.01 (Idefics2's table 14)",
    )
    images: str | None = Field(
        None, description="folder that relative paths of images are below; that of the file if not given"
    )


class Conversations(_Table):
    """Conversations for fine-tuning: turns of a user and an assistant, with images."""

    sets: list[ConversationSet] = []
    together: int = Field(
        7, ge=1, description="questions of one row in one document, where each stands for itself (The Cauldron)"
    )
    preset: str = "conversations"
    rules: dict[str, Any] = {}
    text: Text = Text()


class Fetch(_Table):
    """Fetching images, each address once."""

    deadline_s: float = Field(20, gt=0, description="total, an address")
    max_bytes: int = Field(20 << 20, ge=1)
    max_pixels: int = Field(100_000_000, ge=1)
    threads: int = Field(32, ge=1)
    per_host: int = Field(2, ge=1)
    robots: bool = True
    allow_private: Strings = Field([], description="private address ranges that may be reached, such as 10.1.0.0/16")
    addresses_a_part: int = Field(5000, ge=1)


class Decontaminate(_Table):
    """Evaluations that must not be in the data: questions, answers and pictures, as `trainer.answers` reads them
    (dedup/decontaminate.py).
    """

    files: Strings = Field(
        description="JSON lines with image (a path relative to the file), question, answers; paths, globs or fsspec URLs"
    )
    words: int = Field(
        13, ge=1, description="words in a row that a document and an evaluation may not share (GPT-3: 13)"
    )
    whole: int = Field(
        8, ge=1, description="shorter texts of an evaluation count as a whole, from so many words on (GPT-3: 8)"
    )
    common: int = Field(
        10,
        ge=1,
        description="documents of a source that may share such words: what more have is a template (NeMo Curator: 10)",
    )
    bits: int | None = Field(
        3,
        ge=0,
        le=16,
        description="of a perceptual hash's 64, up to which an image is an evaluation's; null: pictures are not compared",
    )


Three = tuple[float, float, float]


class _Model(_Table):
    side: int = Field(224, ge=1, description="pixels of the square that the model takes")
    mean: Three = Field(MEAN, description="of red, green and blue, from 0 to 1; CLIP's if not given")
    deviation: Three = Field(DEVIATION, description="by which what is left is divided")
    whole: bool = Field(False, description="the whole image squeezed into the square, and not its centre square")


class ImageModel(_Model):
    """A score of images by a model in an ONNX file: a rule `<name>: {max: 0.9}` drops by it."""

    name: ScoreName
    model: str = Field(description="path of an ONNX file: images in, a row for each out")
    column: int = Field(0, ge=0, description="of the row, which is the score")
    softmax: bool = Field(False, description="over the row, before the column is taken")
    share_above: float | None = Field(
        None, description="the score is the share of the row above it: of a text detector's map, the area of text"
    )


class Similarity(_Model):
    """CLIP or SigLIP in two ONNX files: the image scores `similarity` and `relevance_rank`."""

    image_model: str = Field(description="path of the ONNX file of the image half")
    text_model: str = Field(description="path of the ONNX file of the text half")
    tokenizer: str = Field(description="path of its tokenizer.json")
    tokens: int = Field(77, ge=1, description="of a text that are read; texts are filled up to as many")
    of: list[Literal["web", "pairs"]] = Field(
        ["web", "pairs"], description="whose images; `web` reads every kept paragraph of pages with images"
    )


class Images(_Table):
    """Scores of fetched images, for the rules at the level `image`. PDF pages are scored where their rules ask for it."""

    pixels: bool = Field(
        False, description="entropy, blur, solid and qr of every image; they are measured anyway where a rule names one"
    )
    models: list[ImageModel] = Field([], description="each gives a score of the name it has")
    similarity: Similarity | None = None
    gpus: float = Field(0, ge=0, description="share of a GPU that one part of a model takes, on Ray")


class Shards(_Table):
    bytes: int = Field(1_000_000_000, ge=1, description="about, of one shard")
    longest_side: int = Field(980, ge=14, description="pixels; larger images are scaled down (Idefics2: 980)")
    validation: float = Field(0.01, ge=0, lt=1, description="share of registered domains held out")


class Recipe(_Table):
    name: str = "run"
    license: str = Field(
        "other", description="of the dataset, as the Hub names licences; the pages keep their own, document by document"
    )
    web: Web | None = None
    pairs: Pairs | None = None
    pdf: Pdf | None = None
    conversations: Conversations | None = None
    fetch: Fetch = Fetch()
    images: Images = Images()
    decontaminate: Decontaminate | None = None
    shards: Shards = Shards()
    tokenizer: str = Field("bytes", description="`bytes`, or the path of a tokenizer.json")
    mixtures: dict[str, Any] = Field(
        {"stage1": "stage1", "stage2": "stage2"}, description="training stage -> preset, or a whole mixture"
    )
    seed: int = 0
    forget: str | None = Field(
        None,
        description="a block-list: ids, addresses, hosts and images' sha256, one a line; nothing of them is fetched or packed",
    )

    def repeats(self, source: str) -> tuple[tuple[str, float], ...]:
        """How often the documents of each conversation set are trained on."""
        return (
            tuple((s.name, s.repeat) for s in self.conversations.sets)
            if source == "conversations" and self.conversations
            else ()
        )

    def text_uses(self, source: str) -> int:
        """Documents that may share one paragraph (of a page, on a host) or caption; 0: any."""
        return (
            self.web.paragraph_uses
            if source == "web" and self.web
            else self.pairs.text_uses
            if source == "pairs" and self.pairs
            else 0
        )

    def rules(self, source: str) -> Rules:
        table = getattr(self, source)
        own = {
            "document": [c.name for s in self.scores(source) for c in s.columns() if pa.types.is_floating(c.type)],
            "node": [],
            "image": [m.name for m in self.images.models],
        }
        try:
            rules = load({"preset": table.preset, **table.rules}, [name for names in own.values() for name in names])
        except RuleError as e:
            raise RecipeError(f"{source}.{e}") from None
        similar = self.images.similarity is not None and source in self.images.similarity.of
        for level, known in LEVELS.items():
            for rule in getattr(rules, level):
                where = f"{source}.rules.{level}.{rule.score}"
                if rule.score in own[level]:
                    if rule.any_of is not None:
                        raise RecipeError(f"{where}.any_of: a number; give min or max")
                elif rule.score in own["document"]:
                    raise RecipeError(
                        f"{where}: a score of whole documents; its rule goes under {source}.rules.document"
                    )
                elif rule.score in own["image"]:
                    raise RecipeError(f"{where}: a score of images; its rule goes under {source}.rules.image")
                elif rule.score not in known:
                    which = (
                        "images.models" if level == "image" else f"{source}.text.datatrove or {source}.text.functions"
                    )
                    raise RecipeError(f"{where}: nothing gives this score; name it in {which}")
                elif level == "image" and rule.score in IMAGE_SIMILARITY and not similar:
                    raise RecipeError(
                        f"{where}: nothing gives this score; name two models in images.similarity, with {source} in its `of`"
                    )
        # no entry of the list is among the allowed ones, of which there are none
        if source == "web" and table.blocklist is not None:
            rules = dataclasses.replace(
                rules, document=(Rule(Blocklist.name, any_of=(), source="web.blocklist"), *rules.document)
            )
        return rules

    def scores(self, source: str) -> tuple[Scores | Blocklist | Quality | Perplexity, ...]:
        """The models, filters and functions that a source names. Raises RecipeError where one is not to be had."""
        text = getattr(self, source).text
        if source == "pdf" and text.redact:
            raise RecipeError(
                "pdf.text.redact: the page images would still show it; leave pages out by a rule, such as {emails: {max: 0}}"
            )
        made: list[Scores | Blocklist | Quality | Perplexity] = []
        try:
            made += text_models(text, self.web.blocklist if source == "web" and self.web is not None else None)
        except ValueError as e:
            raise RecipeError(f"{source}.{e}") from None
        taken = {*DOCUMENT.names, *SCORES.names, *(c for s in made for c in s.columns().names)}
        for key, entries in (("datatrove", text.datatrove), ("functions", text.functions)):
            for i, entry in enumerate(entries):
                where = f"{source}.text.{key}.{i} ({entry.name})"
                try:
                    score = (
                        by_filter(entry.name, entry.filter, entry.arguments)
                        if key == "datatrove"
                        else by_function(entry.name, entry.function)
                    )
                except ValueError as e:
                    raise RecipeError(f"{where}: {e}") from None
                if twice := [c for c in score.columns().names if c in taken]:
                    raise RecipeError(f"{where}: there is a column {twice[0]!r} already; give it another name")
                taken.update(score.columns().names)
                made.append(score)
        return tuple(made)
