"""How often the documents of a source are packed, and how many answer tokens that makes.

The fine-tuning mixture of Idefics2 (arXiv 2405.02246, table 14) has a factor for each dataset: some are there four
times, of others a hundredth. The whole part of a factor is copies of every document; its fraction is one more copy of
the documents that a hash of their id chooses.
"""

from typing import Any

import pyarrow as pa

from manifests.schema import key64
from shards.tokens import Tokenizer

Row = dict[str, Any]

#: why a document is packed not even once
REASON = "sampled_out"
#: what one partition packed for training
ANSWERS = pa.schema([("documents", pa.int64()), ("samples", pa.int64()), ("answer_tokens", pa.int64())])


class Repeats:
    """The copies of one partition's documents. factor: None for sources whose documents are packed once, uncounted."""

    def __init__(self, factor: float | None, seed: int, tokenizer: Tokenizer) -> None:
        self.factor = factor
        self._seed, self._tokenizer = seed, tokenizer
        self._sums = [0, 0, 0]

    def copies(self, document: Row, split: str) -> list[Row]:
        """The selected document as often as it is packed, each copy with a key of its own in the shuffle.

        Held-out documents are packed once.
        """
        if split != "train" or self.factor is None:
            return [document]
        whole = int(self.factor)
        fraction = self.factor - whole
        times = whole + (key64(f"repeat {self._seed} {document['id']}") < fraction * 2**64)
        answers = [node["text"] for node in document["nodes"] if node["role"] == "assistant"]
        tokens = int(self._tokenizer.count(answers).sum())
        for i, more in enumerate((times > 0, times, times * tokens)):
            self._sums[i] += more
        order = f"order {self._seed} {document['id']}"
        return [{**document, "key": key64(f"{order} {n}")} if n else document for n in range(times)]

    def batch(self) -> pa.RecordBatch:
        """One row of ANSWERS."""
        return pa.RecordBatch.from_pylist([dict(zip(ANSWERS.names, self._sums, strict=True))], ANSWERS)
