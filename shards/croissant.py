"""``croissant.json``: the data set in the Croissant 1.1 vocabulary of MLCommons (https://docs.mlcommons.org/croissant), which search
engines and loaders of data sets read: every shard with its sha256, and the fields of every configuration's JSON.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from shards.fields import FIELDS
from shards.manifest import Manifest

NAME = "croissant.json"
CONFORMS = "http://mlcommons.org/croissant/1.1"

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float"}


def croissant(manifest: Manifest, name: str, license: str, url: str | None = None) -> bytes:
    """The file's content. url: where the data set is shown."""
    files: list[dict[str, Any]] = []
    records = []
    for config in sorted(manifest.configs):
        shards = [shard for split in sorted(manifest.configs[config]) for shard in manifest.shards(config, split)]
        if not shards:
            continue
        for shard in shards:
            files.append(
                {
                    "@type": "cr:FileObject",
                    "@id": shard.path,
                    "name": shard.path,
                    "contentUrl": shard.path,
                    "contentSize": f"{shard.bytes} B",
                    "encodingFormat": "application/x-tar",
                    "sha256": shard.sha256,
                }
            )
        held = {
            "@type": "cr:FileSet",
            "@id": f"{config}-json",
            "name": f"{config}-json",
            "containedIn": [{"@id": shard.path} for shard in shards],
            "encodingFormat": "application/json",
            "includes": "*.json",
        }
        files.append(held)
        fields = [_field(config, field) for field in FIELDS[config] if _kind(field.type) is not None]
        records.append({"@type": "cr:RecordSet", "@id": config, "name": config, "field": fields})
    whole = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name.rpartition("/")[2],
        "description": "Image and text, as documents, pairs and pages, in tar shards. Made with Panoramix.",
        "conformsTo": CONFORMS,
        "license": license,
        **({"url": url} if url else {}),
        "distribution": files,
        "recordSet": records,
    }
    return json.dumps(whole, indent=1).encode()


def _kind(kind: pa.DataType) -> str | None:
    """Croissant's type of a plain value or of a list of them; None for what it has no type for, which stays in the JSON."""
    return _TYPES.get(str(kind.value_type if pa.types.is_list(kind) else kind))


def _field(config: str, field: pa.Field) -> dict[str, Any]:
    out = {
        "@type": "cr:Field",
        "@id": f"{config}/{field.name}",
        "name": field.name,
        "dataType": _kind(field.type),
        "source": {"fileSet": {"@id": f"{config}-json"}, "extract": {"jsonPath": f"$.{field.name}"}},
    }
    return {**out, "isArray": True, "arrayShape": "-1"} if pa.types.is_list(field.type) else out
