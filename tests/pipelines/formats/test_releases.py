"""Small files in the layouts of OBELICS, MINT-1T and mmc4, read as documents."""

import contextlib
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.nodes import Node, image_node, text_node
from manifests.stage import DirectContext, InputError
from pipelines.formats import pieces as dividing
from pipelines.formats.pieces import pieces
from pipelines.formats.releases import BAD_ROW, FORMATS, INPUTS, REASONS, Releases, release_format
from tests.pipelines.html.test_stages import run

IMAGE = {
    "document_url": "https://e.com/lake.html", "unformatted_src": "a.jpg", "src": "https://e.com/a.jpg",
    "formatted_filename": "a", "alt_text": "A  boat", "rendered_width": 640, "rendered_height": "50%",
    "original_width": 1200, "original_height": 800, "format": "jpeg",
}  # fmt: skip
OBELICS = [
    {
        "images": [None, "https://e.com/a.jpg", None],
        "metadata": json.dumps([None, IMAGE, None]),
        "general_metadata": json.dumps(
            {"url": "https://e.com/lake.html", "warc_filename": "w", "warc_record_offset": 1, "warc_record_length": 2}
        ),
        "texts": ["The lake.\n\nIt is  deep.", None, "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED\n\nAnother topic."],
    },
    {"images": [None], "metadata": "[null]", "general_metadata": "{}", "texts": ["No address."]},
    {"images": ["https://e.com/a.jpg"], "metadata": "[null]", "general_metadata": "{}", "texts": [None]},
    {"images": [None, None], "metadata": "[null]", "general_metadata": "{}", "texts": ["Not parallel."]},
    {"images": [None], "metadata": "not json", "general_metadata": "{}", "texts": ["Broken."]},
]
MMC4 = {
    "text_list": ["First sentence.", "Second sentence.", "Third."],
    "url": "http://e.com/hofi-48.html",
    "image_info": [
        {
            "face_detections": None,
            "image_name": "b.jpg",
            "matched_sim": 0.27,
            "matched_text_index": 2,
            "raw_url": "http://e.com/90.jpg",
        },
        {
            "face_detections": None,
            "image_name": "d.jpg",
            "matched_sim": 0.32,
            "matched_text_index": 1,
            "raw_url": "http://e.com/91.jpg",
        },
        {
            "face_detections": None,
            "image_name": "f.jpg",
            "matched_sim": 0.3,
            "matched_text_index": 1,
            "raw_url": "http://e.com/92.jpg",
        },
    ],
    "similarity_matrix": [[0.2, 0.3, 0.27]] * 3,
    "could_have_url_duplicate": 0,
}


def parquet(path: Path, rows: list[dict[str, Any]], group: int = 2) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def read(path: Path, layout: str, stage: Releases = Releases(), ctx: DirectContext | None = None) -> dict[str, Any]:  # noqa: B008
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return run(stage, pieces(file, format=layout), INPUTS, ctx)


def content(document: dict[str, Any]) -> list[str | None]:
    return [n["text"] or n["image"] or n["kind"] for n in document["nodes"]]


def reasons(out: dict[str, Any]) -> list[tuple[int, str]]:
    refusals = [(r["provenance"]["offset"], r["reason"]) for r in out.get("refused", [])]
    assert {reason for _, reason in refusals} <= set(REASONS)
    return refusals


def test_rows_of_obelics(tmp_path: Path) -> None:
    out = read(parquet(tmp_path / "o.parquet", OBELICS), "obelics")
    first, second = out["documents"]
    assert content(first) == ["The lake.", "It is deep.", "https://e.com/a.jpg", "break", "Another topic."]
    image = first["nodes"][2]
    assert (image["alt"], image["width"], image["height"]) == ("A boat", 640, None)
    assert (first["url"], first["kind"], first["provenance"]["file"], first["provenance"]["offset"]) == (
        "https://e.com/lake.html", "web", "o.parquet", 0,
    )  # fmt: skip
    assert second["url"] == "release:o.parquet/1"
    assert reasons(out) == [(2, "no_text"), (3, "bad_row"), (4, "bad_row")]


def test_row_groups_are_divided_and_numbered_as_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "o.parquet", OBELICS, group=1)
    from_file = read(path, "obelics")
    monkeypatch.setattr(dividing, "PIECE", path.stat().st_size // 3)
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    parts = pieces(file, format="obelics")
    assert len(parts) == 3
    outs = [run(Releases(), [part], INPUTS) for part in parts]
    assert [d for out in outs for d in out.get("documents", [])] == from_file["documents"]
    assert [r for out in outs for r in reasons(out)] == reasons(from_file)


def test_rows_of_mint1t_html(tmp_path: Path) -> None:
    rows = [
        {
            "url": "https://e.com/x",
            "texts": [None, "A text."],
            "images": ["https://e.com/i.png", None],
            "previous_word_count": 2,
        }
    ]
    out = read(parquet(tmp_path / "shard_0000.parquet", rows), "mint1t")
    assert [(d["url"], content(d)) for d in out["documents"]] == [
        ("https://e.com/x", ["https://e.com/i.png", "A text."])
    ]


def test_rows_of_mint1t_pdf(tmp_path: Path) -> None:
    row = {
        "texts": ["Page one.", None, "Page two."], "images": [None, "page_0_image_85", None], "url": "https://e.com/a.pdf",
        "image_metadata": [{"height": 10, "width": 10, "page": 0, "sha256": "0", "xref": 85}],
    }  # fmt: skip
    path = tmp_path / "CC-MAIN-2023-06-shard-0.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (
            ("0a.json", json.dumps(row).encode()),
            ("0a.tiff", b"II*\0"),
            ("0b.json", b"not json"),
            ("0b.tiff", b""),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out = read(path, "mint1t")
    assert [(d["url"], content(d)) for d in out["documents"]] == [("https://e.com/a.pdf", ["Page one.", "Page two."])]
    assert reasons(out) == [(1, "bad_row")]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zip"])
def test_rows_of_mmc4(tmp_path: Path, kind: str) -> None:
    no_sentence = {**MMC4, "image_info": [{**MMC4["image_info"][0], "matched_text_index": 3}]}  # type: ignore[index]
    lines = "\n".join(
        [
            json.dumps(MMC4),
            "",
            "{",
            json.dumps(no_sentence),
            json.dumps({**MMC4, "image_info": None, "url": None}),
            "[1]",
        ]
    ).encode()
    path = tmp_path / f"docs_no_face_shard_0_v3.{kind}"
    if kind.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("docs_no_face_shard_0_v3.jsonl", lines)
    else:
        path.write_bytes(gzip.compress(lines) if kind.endswith("gz") else lines)
    out = read(path, "mmc4")
    assert [content(d) for d in out["documents"]] == [
        [
            "First sentence.",
            "http://e.com/91.jpg",
            "http://e.com/92.jpg",
            "Second sentence.",
            "http://e.com/90.jpg",
            "Third.",
        ]
    ]
    assert reasons(out) == [(1, "bad_row"), (2, "bad_row"), (3, "bad_row"), (4, "bad_row")]


def test_the_rest_of_a_broken_file_is_refused(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({**MMC4, "url": f"http://e.com/{i}", "text_list": [f"{i} {k}" for k in range(40)]}) + "\n"
        for i in range(300)
    )
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines.encode())[:-4000])
    out = read(path, "mmc4")
    assert 0 < len(out["documents"]) < 300
    assert reasons(out) == [(len(out["documents"]), "file_broken")]
    (tmp_path / "b.parquet").write_bytes(b"PAR1" + b"x" * 100)
    assert reasons(read(tmp_path / "b.parquet", "obelics")) == [(0, "file_broken")]


def test_a_file_of_another_layout_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.parquet: no column 'texts'; it is not of the obelics layout"):
        read(parquet(tmp_path / "a.parquet", [{"text": "x"}]), "obelics")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"a\.txt: files of the format mint1t are \.parquet or \.tar"):
        read(tmp_path / "a.txt", "mint1t")


def test_a_limit_and_a_quarantined_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({**MMC4, "url": f"http://e.com/{i}"}) + "\n" for i in range(5)))
    assert len(read(path, "mmc4", Releases(limit=2))["documents"]) == 2
    assert [d["url"] for d in read(path, "mmc4", ctx=DirectContext(skip=frozenset({(0, 1)})))["documents"]] == [
        f"http://e.com/{i}" for i in (0, 2, 3, 4)
    ]


def alternating(row: dict[str, Any]) -> tuple[str, list[Node]]:
    """A format that the user writes: a list of texts and addresses."""
    return row["page"], [image_node(x) if x.startswith("http") else text_node(x) for x in row["body"]]


alternating.suffixes = (".ndjson",)  # type: ignore[attr-defined]


def test_a_format_by_import_path(tmp_path: Path) -> None:
    name = f"{__name__}:alternating"
    assert release_format(name).suffixes == (".ndjson",)
    path = tmp_path / "a.ndjson"
    rows = [{"page": "https://e.com/1", "body": ["One.", "https://e.com/a.jpg"]}, {"page": None, "body": [3]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = Releases((name, "obelics"))
    out = read(path, name, stage)
    assert [(d["url"], content(d)) for d in out["documents"]] == [("https://e.com/1", ["One.", "https://e.com/a.jpg"])]
    assert reasons(out) == [(1, "bad_row")]
    assert list(stage.programs()) and Releases().programs() == {}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("obelic", "no release format `obelic`; did you mean `obelics`"),
        ("x", "no release format `x`; there are: mint1t, mmc4, obelics"),
        ("no.such.module:f", "cannot be imported|no module"),
        ("json:__name__", "is not a function"),
    ],
)
def test_an_unknown_format_is_one_line(name: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as e:
        release_format(name)
    assert "\n" not in str(e.value)


def test_the_suffixes_of_the_built_in_formats() -> None:
    assert {name: release_format(name).suffixes for name in FORMATS} == {
        "obelics": (".parquet",),
        "mint1t": (".parquet", ".tar"),
        "mmc4": (".jsonl", ".jsonl.gz", ".jsonl.zip"),
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.just("https://e.com/a.jpg"),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["url", "raw_url", "matched_text_index"]), v),
    max_leaves=8,
)
KEYS = ("texts", "images", "metadata", "general_metadata", "url", "text_list", "image_info")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), values), max_size=4))
def test_any_json_is_a_document_or_a_refused_row(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = read(path, "mmc4")
    assert len(out["documents"]) + len(out["refused"]) == len(rows)
    for read_row in (FORMATS["obelics"].read, FORMATS["mint1t"].read):
        for row in rows:
            with contextlib.suppress(*BAD_ROW):
                assert all(isinstance(node, Node) for node in read_row(row)[1])
