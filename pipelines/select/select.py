"""The last decision: which images stay, which documents have enough left, what is packed of them, why the rest left."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.decontaminate import Evaluated
from filters.image import image_columns
from filters.pii import redact_document
from filters.rules import Rule, Rules, decide
from filters.scores import IMAGE_ON_PAGE
from manifests.ledger import DOCUMENTS, IMAGES, TEXTS
from manifests.schema import DOCUMENT, IMAGE, SELECTED, STATUSES, TEXT, key64
from manifests.sketch import SKETCH, sketch
from manifests.stage import NO_ENGINE, Output, StageContext
from manifests.words import count_words
from pipelines.select.domain import split_of
from pipelines.select.links import surviving_rows
from pipelines.select.repeat import ANSWERS, Repeats
from pipelines.select.repeat import REASON as SAMPLED_OUT
from pipelines.select.samples import SAMPLE, Samples
from shards.forget import REASON as FORGOTTEN
from shards.forget import Forgotten
from shards.tokens import load

Row = dict[str, Any]

#: documents of an input file that left with one reason; null where kept
OF_FILES = pa.schema({"file": pa.string(), "reason": pa.string(), "rows": pa.int64()})

#: documents turned into Python at a time
_CHUNK = 256
_PAGE = [field.name for field in SELECTED.field("page").type]
_PLACED = ("url", "sha256", "width", "height", "format", "offset", "length")


@dataclass(frozen=True)
class Select:
    """Exchange by part: `documents`, `decisions`, `duplicates`, and optionally the inputs below ->

    * `train` and `validation` (manifests.schema.SELECTED): what is packed;
    * the ledger's `documents` (a row a document), `texts` and `images` (a row for each that left);
    * `sketches` (manifests.sketch.SKETCH), `samples` (pipelines.select.samples.SAMPLE), `files` (OF_FILES: documents of
      each input file by reason) and, with `repeat`, `answers` (pipelines.select.repeat.ANSWERS).

    Optional inputs:

    * `images`: image rows with outcomes, counts and scores (pipelines.select.join.Count);
    * `paragraphs`: texts that too many documents share (dedup.paragraphs.REPEATED);
    * `forgotten`: takedowns (shards.forget). What they cover leaves first, and is not shown in `samples`;
    * `evaluated` (dedup.decontaminate.EVALUATED): an image whose perceptual hash differs in at most `bits` bits from
      one of an evaluation leaves;
    * `contaminated` (CONTAMINATED): documents that share a text with an evaluation;
    * `pages` (ocr.stages.PAGE): how each document's page was read.
    """

    source: str  # the recipe's name of the source
    rules: Rules
    images: tuple[float, float] = (0, float("inf"))  # least and most images of a document, counted after images left
    one_image: bool = False  # the document is nothing without its image, and leaves for the image's reason
    uses: int | None = 10  # documents that may show one image; None: any number, and one may show it twice
    bits: int | None = 3
    text_uses: int = 0  # documents that may share a text of `paragraphs`
    tokenizer: str = "bytes"
    validation: float = 0.01  # share that is held out
    by_image: bool = False  # a share of the images is held out, not of the domains
    seed: int = 0
    repeat: float | None = None  # times that a document is packed (pipelines.select.repeat)
    redact: tuple[str, ...] = ()  # kinds of personal data (filters.pii) that are replaced by their names

    files: ClassVar[tuple[str, ...]] = ("tokenizer",)
    libraries: ClassVar[tuple[str, ...]] = ("tldextract",)  # its list of public suffixes

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        tables = {"train": SELECTED, "validation": SELECTED, "documents": DOCUMENTS, "texts": TEXTS, "images": IMAGES}
        tables |= {"sketches": SKETCH, "samples": SAMPLE, "files": OF_FILES}
        return tables if self.repeat is None else {**tables, "answers": ANSWERS}

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        documents, decisions = tables["documents"], tables["decisions"]
        tokenizer = load(self.tokenizer)
        part = _Part(self, tables, tokenizer)
        samples, repeats = Samples(), Repeats(self.repeat, self.seed, tokenizer)
        measures: dict[str, list[float]] = {}
        files: Counter[tuple[str, str | None]] = Counter()
        for start in range(0, documents.num_rows, _CHUNK):
            ledger: dict[str, list[Row]] = {"documents": [], "texts": [], "images": []}
            selected: dict[str, list[Row]] = {"train": [], "validation": []}
            pages = tables["pages"].slice(start, _CHUNK).select(_PAGE).to_pylist() if "pages" in tables else []
            chunk = (table.slice(start, _CHUNK).to_pylist() for table in (documents, decisions))
            for row, (document, decision) in enumerate(zip(*chunk, strict=True), start):
                if self.redact:
                    document = redact_document(document, self.redact)
                entry: Row = {"id": document["id"], "source": self.source, "url": document["url"], "keep": False}
                ledger["documents"].append(entry)
                if part.forgotten.document(document["id"], document["url"]):
                    entry["reason"] = FORGOTTEN
                    continue
                copies: list[Row] = []
                if not part.dropped(entry, row, document, decision):
                    packed, split = part.select(entry, row, document, decision, ledger)
                    copies = [] if packed is None else repeats.copies(packed, split)
                    if packed is not None and not copies:
                        entry.update(dict.fromkeys(("split", "images", "tokens")), keep=False)
                        entry.update(reason=SAMPLED_OUT, threshold=repeats.factor)
                samples.add(entry, document, decision, part.images.get(row, {}))
                for copy in copies:
                    selected[split].append({**copy, "page": pages[row - start] if pages else None})
                if copies:
                    _measure(measures, copies[0])
            names = pc.struct_field(documents["provenance"].slice(start, _CHUNK), "file").to_pylist()
            files.update((name, entry.get("reason")) for name, entry in zip(names, ledger["documents"], strict=True))
            for name, rows in (*selected.items(), *ledger.items()):
                yield name, pa.RecordBatch.from_pylist(rows, schema=self.tables[name])
        yield "sketches", sketch({name: np.array(values) for name, values in sorted(measures.items())})
        yield "samples", samples.batch()
        yield (
            "files",
            pa.RecordBatch.from_pylist(
                [dict(zip(OF_FILES.names, (*k, n), strict=True)) for k, n in files.items()], OF_FILES
            ),
        )
        if self.repeat is not None:
            yield "answers", repeats.batch()


class _Part:
    """One partition: what is known of its rows, and the decision on each."""

    def __init__(self, stage: Select, tables: Mapping[str, pa.Table], tokenizer: Any) -> None:
        self.stage, self.tokenizer = stage, tokenizer
        self.forgotten = Forgotten.of(tables.get("forgotten"))
        self.survivors = set(surviving_rows(tables).tolist())
        self.duplicates = {r["row"]: r for r in tables["duplicates"].to_pylist()}
        self.contaminated: dict[int, list[Row]] = {}
        for r in _rows(tables, "contaminated"):
            self.contaminated.setdefault(r["row"], []).append(r)
        self.repeated: dict[int, dict[int, int]] = {}  # row -> node -> documents that share its text
        for r in _rows(tables, "paragraphs"):
            self.repeated.setdefault(r["row"], {})[r["node"]] = r["uses"]
        evaluated = Evaluated(tables["evaluated"]) if "evaluated" in tables and stage.bits is not None else None
        self.images = self._images(tables["images"], evaluated) if "images" in tables else {}
        #: reasons of images with which their document leaves
        self.fatal = {
            reason
            for rule in stage.rules.image
            if rule.drops_document
            for reason in (STATUSES if rule.score == "status" else rule.reasons())
        }

    def _images(self, counted: pa.Table, evaluated: Evaluated | None) -> dict[int, dict[int, Row]]:
        """Image rows by document row and node. `drop` of each is None, or the reason, score and threshold."""
        stage = self.stage
        columns = {**image_columns(counted), "uses": counted["uses"].combine_chunks()}
        # rules on what the page says come first: an image that they refuse was never fetched
        on_page = [r for r in stage.rules.image if r.score in IMAGE_ON_PAGE]
        others = [r for r in stage.rules.image if r.score not in IMAGE_ON_PAGE and r.score != "status"]
        uses = Rule("uses", max=float("inf") if stage.uses is None else stage.uses)
        decided = decide((*on_page, Rule("status", any_of=("ok",)), *others, uses), columns, counted.num_rows)
        rows: dict[int, dict[int, Row]] = {}
        answers = [column.to_pylist() for column in decided]
        for r, keep, reason, score, threshold in zip(counted.to_pylist(), *answers, strict=True):
            if self.forgotten.image(r["url"], r["sha256"]):
                keep, reason, score, threshold = False, FORGOTTEN, None, None
            elif not keep and reason == "status":
                reason, score, threshold = r["status"], None, None
            elif keep and r["status"] is None:  # its fetch was quarantined, and rules never drop what is not known
                keep, reason = False, "not_fetched"
            elif keep and evaluated and (near := evaluated.picture(r["phash"], stage.bits or 0)) is not None:
                keep, reason, score, threshold = False, "contaminated_image", near[1], stage.bits
            elif keep and r["repeated"] and stage.uses is not None:
                keep, reason = False, "repeated_in_document"
            r["drop"] = None if keep else (reason, score, threshold)
            rows.setdefault(r["row"], {})[r["node"]] = r
        return rows

    def dropped(self, entry: Row, row: int, document: Row, decision: Row) -> bool:
        """Whether the document leaves before its images are asked; then `entry` says why."""
        if row in self.duplicates:
            duplicate = self.duplicates[row]
            entry.update(reason=duplicate["reason"], score=duplicate["similarity"], survivor=duplicate["survivor_id"])
        elif row not in self.survivors:
            reason = decision["reason"] or "quarantined"
            if self.stage.one_image and reason == "images_low":  # the reason of the one image that there was
                reason = next((r for r in decision["node_reason"] or () if r), reason)
            entry.update(reason=reason, score=decision["score"], threshold=decision["threshold"])
        elif row in self.contaminated:
            shared = self.contaminated[row]
            item = min(r["item"] for r in shared)
            entry.update(reason="contaminated_text", score=sum(r["runs"] for r in shared), survivor=item)
        elif self.stage.one_image and row in self.repeated:
            uses = max(self.repeated[row].values())
            entry.update(reason="text_repeated", score=uses, threshold=self.stage.text_uses)
        return "reason" in entry

    def select(
        self, entry: Row, row: int, document: Row, decision: Row, ledger: dict[str, list[Row]]
    ) -> tuple[Row | None, str]:
        """The document as it is packed, and its split; None where it leaves after all. `entry` says which, and why."""
        for n, uses in self.repeated.get(row, {}).items():
            decision["node_keep"][n], decision["node_reason"][n] = False, "paragraph_repeated"
            decision["node_score"][n] = uses
        nodes, placed, weight, gone = self._nodes(document, decision, self.images.get(row, {}), ledger)
        texts = [n["text"] or "" for n in nodes if n["kind"] == TEXT]
        low, high = self.stage.images
        if gone is not None:
            entry.update(reason=gone[0], score=gone[1], threshold=gone[2])
        elif not texts:
            entry.update(reason="paragraph_repeated" if row in self.repeated else "no_text")
        elif not low <= len(placed) <= high:
            reason, limit = ("images_low", low) if len(placed) < low else ("images_high", high)
            entry.update(reason=reason, score=len(placed), threshold=limit)
        if "reason" in entry:
            return None, ""
        tokens = int(self.tokenizer.count(texts).sum())
        # no domain (or, with `by_image`, no image) is in both splits
        unit = document["url"]
        if self.stage.by_image:
            unit = placed[0]["sha256"] if placed else document["id"]
        split = split_of(unit, self.stage.validation, self.stage.seed)
        entry.update(keep=True, split=split, images=len(placed), tokens=tokens)
        return {
            **{f.name: document[f.name] for f in DOCUMENT},
            "source": self.stage.source,
            "nodes": nodes,
            "key": key64(f"order {self.stage.seed} {document['id']}"),
            "weight": weight,
            "images": placed,
            "tokens": tokens,
        }, split

    def _nodes(
        self, document: Row, decision: Row, images: dict[int, Row], ledger: dict[str, list[Row]]
    ) -> tuple[list[Row], list[Row], int, tuple[Any, ...] | None]:
        """The nodes that stay, their images, about how many bytes they take, and why the document leaves with an image
        that left (None where it does not).
        """
        nodes: list[Row] = []
        placed: list[Row] = []
        gone = None
        weight = 512
        reasons, scores = decision["node_reason"], decision["node_score"]
        for n, (node, keep) in enumerate(zip(document["nodes"], decision["node_keep"], strict=True)):
            if node["kind"] == IMAGE:
                image = images.get(n)
                drop = image["drop"] if image is not None else (reasons[n] or "no_address", scores[n], None)
                if image is None or drop is not None:
                    reason, score, threshold = drop
                    gone = gone or (drop if self.stage.one_image or reason in self.fatal else None)
                    where = {"id": document["id"], "node": n, "image": node["image"]}
                    ledger["images"].append({**where, "reason": reason, "score": score, "threshold": threshold})
                    continue
                placed.append({**{f: image[f] for f in _PLACED}, "node": len(nodes), "part": image["blob_part"]})
                weight += image["length"]
                nodes.append(node)
            elif keep:
                nodes.append(node)
                weight += len(node["text"] or "")
            elif node["kind"] == TEXT:
                text = (node["text"] or "")[:200]
                where = {"id": document["id"], "node": n, "text": text}
                ledger["texts"].append({**where, "reason": reasons[n], "score": scores[n]})
        return nodes, placed, weight, gone


def _rows(tables: Mapping[str, pa.Table], name: str) -> Any:
    return tables[name].to_pylist() if name in tables else []


def _measure(measures: dict[str, list[float]], selected: Row) -> None:
    """What the report draws of a kept document."""
    texts = [n["text"] or "" for n in selected["nodes"] if n["kind"] == TEXT]
    measures.setdefault("tokens", []).append(selected["tokens"])
    measures.setdefault("words", []).append(sum(map(count_words, texts)))
    measures.setdefault("images", []).append(len(selected["images"]))
    for image in selected["images"]:
        sides = sorted((image["width"] or 0, image["height"] or 0))
        measures.setdefault("short side", []).append(sides[0])
        measures.setdefault("aspect", []).append(sides[1] / max(sides[0], 1))
        measures.setdefault("image bytes", []).append(image["length"])
