"""The ledger: a row for every document, and for every paragraph and image that was dropped, with the reason.

The last selection (`pipelines.select`) writes three tables. A run has them as ``ledger/NAME-TABLE-NNNNN.parquet``, by
the name of the source. Beside them are:

* ``NAME-refused-NNNNN.parquet``: inputs that never became documents (`manifests.schema.REFUSED`);
* ``fetch-outcomes-NNNNN.parquet``: the outcome of each image address (`manifests.schema.OUTCOME`);
* ``quarantine.parquet``: rows that raised an exception, crashed, hung or used all memory (QUARANTINE);
* ``files.parquet``: what became of the rows of each input file (FILES).
"""

import pyarrow as pa

REASON = pa.dictionary(pa.int16(), pa.string())

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),  # the name that the recipe gives it
        ("url", pa.string()),
        ("keep", pa.bool_()),
        ("split", pa.string()),  # train or validation; null where dropped
        ("reason", REASON),  # null where kept
        ("score", pa.float32()),  # the value that the rule compared; the similarity of duplicates
        ("threshold", pa.float32()),
        # id of the document of which this one is a duplicate; or the evaluation's item, as FILE:LINE
        ("survivor", pa.string()),
        ("images", pa.int32()),  # image nodes kept
        ("tokens", pa.int32()),  # text tokens kept
    ]
)

#: `text`: the first 200 characters
TEXTS = pa.schema({"id": pa.string(), "node": pa.int32(), "reason": REASON, "score": pa.float32(), "text": pa.string()})

IMAGES = pa.schema(
    [
        ("id", pa.string()),  # of the document
        ("node", pa.int32()),
        ("image", pa.string()),  # its address
        ("reason", REASON),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
    ]
)

#: `part`, `row`, `sub`: the position in the step `stage`. The columns from `id` on say what is known of the row: of a
#: document, or of a row of an input file
QUARANTINE = pa.schema(
    [
        ("stage", pa.string()), ("part", pa.int64()), ("row", pa.int64()), ("sub", pa.int64()), ("cause", pa.string()),
        ("source", pa.string()),  # null for steps that sources share
        ("id", pa.string()), ("url", pa.string()),
        ("file", pa.string()), ("offset", pa.int64()), ("page", pa.int64()),  # as in manifests.schema.PROVENANCE
    ]
)  # fmt: skip

KEPT, DROPPED, REFUSED, QUARANTINED = OUTCOMES = ("kept", "dropped", "refused", "quarantined")

#: rows of an input file with one outcome and one reason (null where kept; the step where quarantined). A file that
#: gave no row has one line here, with zero rows and without an outcome. `outcome`: one of OUTCOMES
FILES = pa.schema(
    {"source": pa.string(), "file": pa.string(), "outcome": pa.string(), "reason": pa.string(), "rows": pa.int64()}
)
