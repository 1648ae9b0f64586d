"""``croissant.json``: the data set in the Croissant 1.1 vocabulary of MLCommons (https://docs.mlcommons.org/croissant),
which search engines and loaders of data sets read: every shard with its sha256, and three kinds of records for each
configuration, which go together by their key: rows of the index, the JSON of the samples, and their images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from shards.fields import FIELDS, INDEX
from shards.manifest import Manifest, Shard

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
#: Croissant's types of the index's plain columns
_TYPES = {"string": "sc:Text", "uint16": "sc:Integer", "uint32": "sc:Integer", "uint64": "sc:Integer"}
#: a member's key: its name up to the first dot
_KEY = {"regex": "^([^.]+)\\..*$"}


def croissant(manifest: Manifest, name: str, license: str, url: str | None = None) -> bytes:
    """The file's content. url: where the data set is shown."""
    files: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for config in sorted(manifest.configs):
        shards = [shard for split in sorted(manifest.configs[config]) for shard in manifest.shards(config, split)]
        if not shards:
            continue
        files += [_shard(shard) for shard in shards]
        within = {"containedIn": [{"@id": shard.path} for shard in shards]}
        files += [
            _set(f"{config}-index", "application/x-parquet", f"index/{config}-*.parquet"),
            {**_set(f"{config}-json", "application/json", "*.json"), **within},
            {**_set(f"{config}-jpg", "image/jpeg", "*.jpg"), **within},
        ]
        columns = [
            _field(f"{config}-index", c.name, _TYPES[str(c.type)], {"column": c.name})
            for c in INDEX
            if str(c.type) in _TYPES
        ]
        about = f"The JSON of a sample, with the fields {', '.join(FIELDS[config].names)}."
        records += [
            {
                **_records(f"{config}-index", columns),
                "description": "A row a sample: where it lies in its shard, where it is from, its size.",
            },
            {
                **_records(f"{config}-json", [_key(f"{config}-json"), _content(f"{config}-json", "json", "sc:Text")]),
                "description": about,
            },
            _records(f"{config}-jpg", [_key(f"{config}-jpg"), _content(f"{config}-jpg", "image", "sc:ImageObject")]),
        ]
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


def _shard(shard: Shard) -> dict[str, Any]:
    said = {
        "contentUrl": shard.path,
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": "application/x-tar",
        "sha256": shard.sha256,
    }
    return {"@type": "cr:FileObject", "@id": shard.path, "name": shard.path, **said}


def _set(name: str, kind: str, includes: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": kind, "includes": includes}


def _records(files: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Named for the file set that they are read from."""
    return {"@type": "cr:RecordSet", "@id": f"{files}-records", "name": f"{files}-records", "field": fields}


def _key(files: str) -> dict[str, Any]:
    return _field(files, "key", "sc:Text", {"fileProperty": "filename"}, {"transform": _KEY})


def _content(files: str, name: str, kind: str) -> dict[str, Any]:
    return _field(files, name, kind, {"fileProperty": "content"})


def _field(
    files: str, name: str, kind: str, extract: dict[str, str], more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    own = f"{files}-records/{name}"
    return {
        "@type": "cr:Field",
        "@id": own,
        "name": own,
        "dataType": kind,
        "source": {"fileSet": {"@id": files}, "extract": extract, **more},
    }
