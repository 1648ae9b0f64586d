"""The ledger: a row for every document, and for every paragraph and image that left, with its reason.

Three tables, written beside the data by the stage that decides last (`pipelines.select`), named in the run as
``ledger/<source>-<table>-NNNNN.parquet``. What never became a document is in ``ledger/<source>-refused-NNNNN.parquet``
(`manifests.schema.REFUSED`), what became of each image address in ``ledger/fetch-outcomes-NNNNN.parquet``
(`manifests.schema.OUTCOME`), and rows that crashed or hung native code in ``ledger/quarantine.parquet``.
"""

from __future__ import annotations

import pyarrow as pa

REASON = pa.dictionary(pa.int16(), pa.string())

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("keep", pa.bool_()),
        ("split", pa.string()),  # train or validation; null where dropped
        ("reason", REASON),  # null where kept
        ("score", pa.float32()),  # what the rule saw; a similarity for duplicates
        ("threshold", pa.float32()),
        # id of the document this one is a duplicate of; or the evaluation's item, as FILE:LINE
        ("survivor", pa.string()),
        ("images", pa.int32()),  # image nodes kept
        ("tokens", pa.int32()),  # text tokens kept
    ]
)

TEXTS = pa.schema(
    [
        ("id", pa.string()),
        ("node", pa.int32()),
        ("reason", REASON),
        ("score", pa.float32()),
        ("text", pa.string()),  # the first 200 characters
    ]
)

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

QUARANTINE = pa.schema(
    [("stage", pa.string()), ("part", pa.int64()), ("row", pa.int64()), ("sub", pa.int64()), ("cause", pa.string())]
)
