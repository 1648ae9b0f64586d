"""Which of a set of signed documents resemble a given one: for a look by hand, or for checking a corpus against a
benchmark.

The index is datasketch's, filled with our signatures: they are minima like its own, and its index looks at nothing
else. It lives in memory, some kilobytes a document; a whole corpus goes through `dedup.group` instead.
"""

from __future__ import annotations

import datasketch
import numpy as np
import pyarrow as pa

from dedup.minhash import U32


class Lookup:
    """Documents by signature: ``signatures`` has the columns id and signature of `dedup.sign.signatures_schema`; rows
    without a signature are left out.

    ``bands`` x ``rows`` must be the length of a signature; fewer rows a band find less similar documents
    (`dedup.minhash.probability`).
    """

    def __init__(self, signatures: pa.Table, bands: int = 14, rows: int = 8) -> None:
        lists = signatures.column("signature").combine_chunks()
        size = lists.type.list_size
        if bands * rows != size:
            raise ValueError(f"{bands} bands of {rows} rows need signatures of {bands * rows}, these have {size}")
        self.size = size
        self.index = datasketch.MinHashLSH(num_perm=size, params=(bands, rows))
        ids = signatures.column("id").filter(lists.is_valid()).to_pylist()
        values = lists.flatten().to_numpy().reshape(-1, size)
        self.sketches = {i: sketch(v) for i, v in zip(ids, values, strict=True)}
        for i, s in self.sketches.items():
            self.index.insert(i, s)

    def resembling(self, signature: U32, threshold: float = 0.8) -> list[tuple[str, float]]:
        """(id, estimated similarity) of the documents at least ``threshold`` similar, most similar first, then by id."""
        asked = sketch(signature)
        found = [(i, float(asked.jaccard(self.sketches[i]))) for i in self.index.query(asked)]
        return sorted((f for f in found if f[1] >= threshold), key=lambda f: (-f[1], f[0]))


def sketch(signature: U32) -> datasketch.LeanMinHash:
    """A signature as datasketch's own kind ("affine32": 32-bit values, as ours are). To be compared with signatures of
    ours alone: its multipliers are others.
    """
    return datasketch.LeanMinHash(seed=0, hashvalues=np.asarray(signature, np.uint32), scheme="affine32")
