"""The last decision: which images stay, which documents have enough left, what each holds when it is packed, and why
the rest left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dedup.decontaminate import Evaluated
from filters.image import image_columns
from filters.pii import redact_document
from filters.rules import Rule, Rules, decide
from filters.scores import IMAGE_ON_PAGE
from manifests.ledger import DOCUMENTS, IMAGES, TEXTS
from manifests.schema import DOCUMENT, IMAGE, SELECTED, STATUSES, TEXT, key64
from manifests.sketch import sketch
from manifests.stage import NO_ENGINE, StageContext
from pipelines.engine.stage import Output
from pipelines.select.domain import split_of
from pipelines.select.links import kept_rows
from pipelines.select.repeat import REASON as SAMPLED_OUT
from pipelines.select.repeat import Repeats
from pipelines.select.samples import Samples
from shards.forget import REASON, Forgotten
from shards.tokens import load

Row = dict[str, Any]

#: rows turned into Python at a time
_AT_ONCE = 256


@dataclass(frozen=True)
class Select:
    """Exchange by part: `documents`, `decisions`, and what came home of them (`duplicates`, `images`, maybe
    `paragraphs`) ->

    `train` and `validation` (manifests.schema.SELECTED), the ledger's `documents` (one row a document), `texts` and
    `images` (one row for each that left), `sketches` (manifests.sketch.SKETCH) and `samples`
    (pipelines.select.samples.SAMPLE).

    With `repeat`, also `sets` (pipelines.select.repeat.SETS).

    `forgotten`, where it is given, is a list of takedowns (shards.forget): what it covers leaves first, and is not
    shown in `samples`. `evaluated` (dedup.decontaminate.EVALUATED), where it is given, has the pictures of evaluations:
    what is at most `bits` of its perceptual hash away from one leaves. `contaminated` (CONTAMINATED) has the documents
    that share a text with them. `pages`, where it is given, says how each document's page was read (ocr.stages.PAGE).

    `images`: least and most images of a document (OBELICS: 1 to 30), counted after images left. `one_image`: the
    document is nothing without its image, so it goes for its image's reason (pairs, pages, conversations); others do by
    a rule that says ``drops: document``. `uses`: documents that may show one image; None: any number, and one may show
    it again and again. `by_image`: it is images, not domains, of which a share is held out.
    """

    rules: Rules
    images: tuple[float, float] = (0, float("inf"))
    one_image: bool = False
    uses: int | None = 10
    bits: int | None = 3
    text_uses: int = 0  # documents that might have shared a text of `paragraphs`
    tokenizer: str = "bytes"
    validation: float = 0.01
    by_image: bool = False
    seed: int = 0
    # set -> how often its documents are trained on (pipelines.select.repeat)
    repeat: tuple[tuple[str, float], ...] = ()
    redact: tuple[str, ...] = ()  # kinds of personal data (filters.pii) that are replaced by their names

    files: ClassVar[tuple[str, ...]] = ("tokenizer",)
    libraries: ClassVar[tuple[str, ...]] = ("tldextract",)  # its list of public suffixes

    def __call__(self, tables: Mapping[str, pa.Table], ctx: StageContext = NO_ENGINE) -> Iterator[Output]:
        documents, decisions = tables["documents"], tables["decisions"]
        tokenizer = load(self.tokenizer)
        forgotten = Forgotten.of(tables.get("forgotten"))
        pictures = Evaluated(tables["evaluated"]) if "evaluated" in tables and self.bits is not None else None
        placed = self._images(tables["images"], forgotten, pictures)
        contaminated: dict[int, list[Row]] = {}
        for r in tables["contaminated"].to_pylist() if "contaminated" in tables else ():
            contaminated.setdefault(r["row"], []).append(r)
        duplicates = {r["row"]: r for r in tables["duplicates"].to_pylist()}
        kept = set(kept_rows(tables).tolist())
        repeated: dict[int, dict[int, int]] = {}
        for r in tables["paragraphs"].to_pylist() if "paragraphs" in tables else ():
            repeated.setdefault(r["row"], {})[r["node"]] = r["uses"]
        samples, repeats = Samples(), Repeats(self.repeat, self.seed, tokenizer)
        seen: dict[str, list[float]] = {}
        for start in range(0, documents.num_rows, _AT_ONCE):
            ledger: dict[str, list[Row]] = {"documents": [], "texts": [], "images": []}
            out: dict[str, list[Row]] = {"train": [], "validation": []}
            pairs = zip(
                documents.slice(start, _AT_ONCE).to_pylist(), decisions.slice(start, _AT_ONCE).to_pylist(), strict=True
            )
            pages = tables["pages"].slice(start, _AT_ONCE).select(_PAGE).to_pylist() if "pages" in tables else []
            for row, (document, decision) in enumerate(pairs, start):
                if self.redact:
                    document = redact_document(document, self.redact)
                images = placed.get(row, {})
                entry: Row = {"id": document["id"], "source": document["source"], "url": document["url"], "keep": False}
                if forgotten.document(document["id"], document["url"]):
                    ledger["documents"].append({**entry, "reason": REASON})
                    continue
                if row not in kept:
                    self._dropped(entry, decision, duplicates.get(row))
                elif row in contaminated:
                    shared = contaminated[row]
                    entry.update(
                        reason="contaminated_text",
                        score=sum(r["runs"] for r in shared),
                        survivor=min(r["item"] for r in shared),
                    )
                elif self.one_image and row in repeated:
                    entry.update(reason="text_repeated", score=max(repeated[row].values()), threshold=self.text_uses)
                if "reason" in entry:
                    ledger["documents"].append(entry)
                    samples.add(entry, document, decision, images)
                    continue
                for n, uses in repeated.get(row, {}).items():
                    decision["node_keep"][n], decision["node_reason"][n], decision["node_score"][n] = (
                        False,
                        "paragraph_repeated",
                        uses,
                    )
                selected, split = self._selected(entry, document, decision, images, ledger, tokenizer)
                copies = [] if selected is None else repeats.of(selected, split)
                if selected is not None and not copies:
                    entry.update(
                        keep=False,
                        split=None,
                        images=None,
                        tokens=None,
                        reason=SAMPLED_OUT,
                        threshold=repeats.factor(document),
                    )
                samples.add(entry, document, decision, images)
                ledger["documents"].append(entry)
                for copy in copies:
                    out[split].append({**copy, "page": pages[row - start] if pages else None})
                for copy in copies[:1]:
                    _measure(seen, copy)
            for split, rows in out.items():
                yield split, pa.RecordBatch.from_pylist(rows, schema=SELECTED)
            for name, schema in (("documents", DOCUMENTS), ("texts", TEXTS), ("images", IMAGES)):
                yield name, pa.RecordBatch.from_pylist(ledger[name], schema=schema)
        yield "sketches", sketch({name: np.array(values) for name, values in sorted(seen.items())})
        yield "samples", samples.batch()
        if self.repeat:
            yield "sets", repeats.batch()

    def _images(
        self, counted: pa.Table, forgotten: Forgotten, evaluated: Evaluated | None
    ) -> dict[int, dict[int, Row]]:
        """Image rows by document row and node, each with the `drop` its rules gave: reason, score and threshold, or
        None.
        """
        if not counted.num_rows:
            return {}
        columns = {**image_columns(counted), "uses": counted["uses"].combine_chunks()}
        # what the page says comes first: an image it ruled out was never fetched
        rules = sorted(self.rules.image, key=lambda r: r.score not in IMAGE_ON_PAGE)
        fetched = Rule("status", any_of=("ok",))
        first = [r for r in rules if r.score in IMAGE_ON_PAGE]
        rest = [r for r in rules if r.score not in IMAGE_ON_PAGE and r.score != "status"]
        used = Rule("uses", max=float("inf") if self.uses is None else self.uses)
        decided = decide((*first, fetched, *rest, used), columns, counted.num_rows)
        out: dict[int, dict[int, Row]] = {}
        answers = [column.to_pylist() for column in decided]
        for r, keep, reason, score, threshold in zip(counted.to_pylist(), *answers, strict=True):
            if forgotten.image(r["url"], r["sha256"]):
                keep, reason, score, threshold = False, REASON, None, None
            elif not keep and reason == "status":
                reason, score, threshold = r["status"], None, None
            # nothing is known of it, which no rule takes for a fault: its fetch was quarantined
            elif keep and r["status"] is None:
                keep, reason = False, "not_fetched"
            elif keep and evaluated is not None and (near := evaluated.picture(r["phash"], self.bits or 0)) is not None:
                keep, reason, score, threshold = False, "contaminated_image", near[1], self.bits
            elif keep and r["repeated"] and self.uses is not None:
                keep, reason = False, "repeated_in_document"
            r["drop"] = None if keep else (reason, score, threshold)
            out.setdefault(r["row"], {})[r["node"]] = r
        return out

    def _dropped(self, entry: Row, decision: Row, duplicate: Row | None) -> None:
        if duplicate is not None:
            entry.update(reason=duplicate["reason"], score=duplicate["similarity"], survivor=duplicate["survivor_id"])
        else:
            reason = decision["reason"] or "quarantined"
            if self.one_image and reason == "images_low":  # say what was wrong with the one there was
                reason = next((r for r in decision["node_reason"] or () if r), reason)
            entry.update(reason=reason, score=decision["score"], threshold=decision["threshold"])

    def _selected(
        self,
        entry: Row,
        document: Row,
        decision: Row,
        images: dict[int, Row],
        ledger: dict[str, list[Row]],
        tokenizer: Any,
    ) -> tuple[Row | None, str]:
        nodes: list[Row] = []
        placed: list[Row] = []
        gone = None  # why an image left that the document goes with
        fatal = {
            r
            for rule in self.rules.image
            if rule.drops_document
            for r in (STATUSES if rule.score == "status" else rule.reasons())
        }
        weight = 512
        for n, (node, keep) in enumerate(zip(document["nodes"], decision["node_keep"], strict=True)):
            if node["kind"] == TEXT and not keep:
                text = (node["text"] or "")[:200]
                ledger["texts"].append(
                    {
                        "id": document["id"],
                        "node": n,
                        "reason": decision["node_reason"][n],
                        "score": decision["node_score"][n],
                        "text": text,
                    }
                )
            elif node["kind"] == IMAGE:
                image = images.get(n)
                drop = (
                    image["drop"]
                    if image is not None
                    else (decision["node_reason"][n] or "no_address", decision["node_score"][n], None)
                )
                if image is None or drop is not None:
                    reason, score, threshold = drop
                    gone = gone or (drop if self.one_image or reason in fatal else None)
                    ledger["images"].append(
                        {
                            "id": document["id"],
                            "node": n,
                            "image": node["image"],
                            "reason": reason,
                            "score": score,
                            "threshold": threshold,
                        }
                    )
                    continue
                placed.append({**{f: image[f] for f in _PLACED}, "node": len(nodes), "part": image["blob_part"]})
                weight += image["length"]
                nodes.append(node)
            elif keep:
                nodes.append(node)
                weight += len(node["text"] or "")
        if gone is not None:
            entry.update(reason=gone[0], score=gone[1], threshold=gone[2])
            return None, ""
        if not any(n["kind"] == TEXT for n in nodes):  # its paragraphs were all the host's
            entry.update(reason="words_low", score=0.0, threshold=1.0)
            return None, ""
        low, high = self.images
        if not low <= len(placed) <= high:
            under = len(placed) < low
            entry.update(
                reason="images_low" if under else "images_high", score=len(placed), threshold=low if under else high
            )
            return None, ""
        tokens = int(tokenizer.count([n["text"] or "" for n in nodes if n["kind"] == TEXT]).sum())
        split = split_of(self._unit(document, placed), self.validation, self.seed)
        entry.update(keep=True, split=split, images=len(placed), tokens=tokens)
        own = {f.name: document[f.name] for f in DOCUMENT}
        key = key64(f"order {self.seed} {document['id']}")
        return {**own, "nodes": nodes, "key": key, "weight": weight, "images": placed, "tokens": tokens}, split

    def _unit(self, document: Row, placed: list[Row]) -> str:
        """What is held out whole: no domain, and no image, is on both sides."""
        if not self.by_image:
            return str(document["url"])
        return str(placed[0]["sha256"] if placed else document["id"])


_PAGE = [field.name for field in SELECTED.field("page").type]
_PLACED = ("url", "sha256", "width", "height", "format", "offset", "length")


def _measure(seen: dict[str, list[float]], selected: Row) -> None:
    """What the report draws of a kept document."""
    texts = [n["text"] or "" for n in selected["nodes"] if n["kind"] == TEXT]
    seen.setdefault("tokens", []).append(selected["tokens"])
    seen.setdefault("words", []).append(sum(len(t.split()) for t in texts))
    seen.setdefault("images", []).append(len(selected["images"]))
    for image in selected["images"]:
        sides = sorted((image["width"] or 0, image["height"] or 0))
        seen.setdefault("short side", []).append(sides[0])
        seen.setdefault("aspect", []).append(sides[1] / max(sides[0], 1))
        seen.setdefault("image bytes", []).append(image["length"])
