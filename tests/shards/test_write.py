import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from manifests.stage import DirectContext
from shards import tar, tokens
from shards.fields import INDEX
from shards.fit import fit
from shards.layout import LAYOUTS
from shards.tokens import END_OF_TOPIC
from shards.write import Pack
from tests.shards import made


def samples(out: dict[str, Any]) -> list[tuple[str, dict[str, bytes]]]:
    offsets = tar.read_index(out["tar.idx"], len(out["tar"]), "x.tar.idx")
    return [tar.parse(out["tar"][a:b], "x.tar") for a, b in pairwise(offsets)]


@pytest.fixture
def blobs(tmp_path: Path) -> made.Blobs:
    return made.Blobs(tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_have_every_key_with_its_type_for_any_order_of_rows(blobs: made.Blobs, layout: str) -> None:
    documents = [made.MAKE[layout](blobs, i, 3, 12) for i in range(9)]
    paths = blobs.write()
    out = made.pack(Pack("mine", layout), documents, paths, part=7)
    reversed_out = made.pack(Pack("mine", layout), documents[::-1], paths, part=7)
    assert all(out[name] == reversed_out[name] for name in out)
    assert out["refused"].num_rows == 0
    by_key = sorted(documents, key=lambda d: (d["key"], d["id"]))
    for i, (key, parts) in enumerate(samples(out)):
        assert key == f"{7:06d}{i:06d}"
        assert next(iter(parts)) == "json"
        fields = json.loads(parts["json"])
        assert set(fields) == set(LAYOUTS[layout].schema.names)
        assert pa.Table.from_pylist([fields], schema=LAYOUTS[layout].schema).to_pylist() == [fields]
        assert (fields["source"], fields["kind"], fields["layout"]) == ("mine", made.KINDS[layout], layout)
        assert fields["id"] == by_key[i]["id"]
        assert parts["json"] == json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_no_two_splits_of_a_source_share_a_key(blobs: made.Blobs) -> None:
    documents, paths = [made.pair(blobs, i) for i in range(3)], blobs.write()
    places = [(split, part) for split in ("train", "validation") for part in (0, 41)]
    keys = [
        made.pack(Pack("pairs", "pairs", split), documents, paths, part)["index"]["key"].to_pylist()
        for split, part in places
    ]
    assert len({key for part in keys for key in part}) == 12
    assert {len(key) for part in keys for key in part} == {12}
    assert all(part == sorted(part) for part in keys)
    assert keys[3][0] == "v00041000000"


def test_the_index_describes_the_samples(blobs: made.Blobs) -> None:
    documents = [made.interleaved(blobs, i, i) for i in range(4)]
    out = made.pack(Pack("news", "interleaved", "validation"), documents, blobs.write())
    assert out["index"].schema == INDEX
    offsets = tar.read_index(out["tar.idx"], len(out["tar"]), "x.tar.idx")
    for i, (row, (key, parts)) in enumerate(zip(out["index"].to_pylist(), samples(out), strict=True)):
        fields = json.loads(parts["json"])
        assert (row["key"], row["sample_index"], row["split"]) == (key, i, "validation")
        assert (row["source"], row["kind"], row["layout"]) == ("news", "web", "interleaved")
        assert (row["offset"], row["offset"] + row["size"]) == (offsets[i], offsets[i + 1])
        assert (row["id"], row["url"], row["n_images"]) == (fields["id"], fields["url"], len(parts) - 1)
        assert row["host"] == fields["url"].split("/")[2]
        assert row["n_text_tokens"] == sum(
            len(tokens.load("bytes").encode(t)) for t in fields["texts"] if t is not None
        )
        sizes = [Image.open(io.BytesIO(parts[f"{n}.jpg"])).size for n in range(row["n_images"])]
        assert list(zip(row["widths"], row["heights"], strict=True)) == sizes
        assert row["px_total"] == sum(w * h for w, h in sizes)
        assert (row["min_side"], row["max_side"]) == (min(map(min, sizes), default=0), max(map(max, sizes), default=0))
        assert row["bytes"] == sum(map(len, parts.values()))


def test_slots_keep_the_reading_order_merge_paragraphs_and_mark_breaks(blobs: made.Blobs) -> None:
    url = "https://i.example/a.jpg"
    nodes = [
        made.node("break"),
        made.text("One."),
        made.text("Two."),
        made.node("image", image=url, alt="A", caption="C"),
        made.node("break"),
        made.node("break"),
        made.text("Three."),
        made.text("Four."),
        made.node("break"),
    ]
    data = made.picture(1)
    out = made.pack(
        Pack("interleaved", "interleaved"), [made.document("d", nodes, [blobs.place(3, data, url)])], blobs.write()
    )
    ((_, parts),) = samples(out)
    fields = json.loads(parts["json"])
    assert fields["texts"] == ["One.\n\nTwo.", None, END_OF_TOPIC, "Three.\n\nFour."]
    assert fields["images"] == [None, "0.jpg", None, None]
    assert parts["0.jpg"] == data
    assert fields["n_text_tokens"] == len("One.\n\nTwo.") + 1 + len("Three.\n\nFour.")
    (meta,) = fields["image_meta"]
    assert (meta["url"], meta["alt"], meta["caption"], meta["width"], meta["original_height"]) == (
        url,
        "A",
        "C",
        64,
        48,
    )


def test_pairs_have_img2datasets_fields(blobs: made.Blobs) -> None:
    document = made.pair(blobs, 3)
    ((key, parts),) = samples(made.pack(Pack("pairs", "pairs"), [document], blobs.write()))
    fields = json.loads(parts["json"])
    caption = document["nodes"][1]["text"]
    assert (fields["caption"], parts["txt"].decode(), fields["key"], fields["status"]) == (
        caption,
        caption,
        key,
        "success",
    )
    assert (fields["url"], fields["page_url"]) == (document["images"][0]["url"], document["url"])
    assert (fields["width"], fields["height"], fields["sha256"]) == (56, 40, document["images"][0]["sha256"])
    assert list(parts) == ["json", "jpg", "txt"]


def test_ocr_pages_have_pdfas_words_and_lines(blobs: made.Blobs) -> None:
    document = made.page(blobs, 4, lines=2)
    ((_, parts),) = samples(made.pack(Pack("ocr", "ocr"), [document], blobs.write()))
    fields = json.loads(parts["json"])
    (page,) = fields["pages"]
    assert page["words"]["text"] == ["w00", "w01", "w02", "w03", "w10", "w11", "w12", "w13"]
    assert page["words"]["line_pos"][5] == [1, 1]
    assert page["lines"]["text"] == ["w00 w01 w02 w03", "w10 w11 w12 w13"]
    assert page["lines"]["word_slice"] == [[0, 4], [4, 8]]
    assert page["lines"]["bbox"][1] == [0.0, 0.1, 0.38, 0.05]
    assert fields["page_index"] == 4
    assert parts["txt"].decode() == fields["text"] == document["nodes"][1]["text"]


def test_a_jpeg_that_fits_is_stored_byte_for_byte() -> None:
    for data in (made.picture(1), made.picture(1, mode="L"), made.picture(2, quality=30, progressive=True)):
        assert fit(data, 64).data == data


def test_ocr_pages_have_how_they_were_read_and_where_their_pictures_are(blobs: made.Blobs) -> None:
    free, under = [0.5, 0.5, 0.25, 0.25], [0.0, 0.0, 0.5, 0.25]
    read = {
        "dpi": 150.0,
        "rotation": 90,
        "text_source": "ocr",
        "engine": "tesseract",
        "pages": 12,
        "images": [free, under],
    }
    documents = [made.page(blobs, 4), {**made.page(blobs, 5), "page": read}]
    out = made.pack(Pack("ocr", "ocr"), documents, blobs.write())
    plain, scanned = (
        json.loads(parts["json"])
        for _, parts in sorted(samples(out), key=lambda s: json.loads(s[1]["json"])["dpi"] is not None)
    )
    assert {k: scanned[k] for k in ("dpi", "rotation", "text_source", "engine", "num_pages")} == {
        "dpi": 150.0, "rotation": 90, "text_source": "ocr", "engine": "tesseract", "num_pages": 12,
    }  # fmt: skip
    assert scanned["pages"][0]["images_bbox"] == [free, under]
    assert scanned["pages"][0]["images_bbox_no_text_overlap"] == [free]
    assert [plain[k] for k in ("dpi", "rotation", "text_source", "engine", "num_pages")] == [None] * 5


def test_chug_can_read_ocr_samples() -> None:
    """chug 0.1 (doc_read_processor) reads `pages`, one for each picture, and in each page the `text` of `lines`."""
    page = LAYOUTS["ocr"].schema.field("pages").type.value_type
    assert {"words", "lines", "images_bbox", "images_bbox_no_text_overlap"} == {
        page.field(i).name for i in range(page.num_fields)
    }
    for name, own in (("words", "line_pos"), ("lines", "word_slice")):
        kinds = {page.field(name).type.field(i).name for i in range(page.field(name).type.num_fields)}
        assert kinds == {"text", "bbox", "score", own}


@pytest.mark.parametrize(
    ("format", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB"), ("GIF", "P"), ("JPEG", "CMYK"), ("PNG", "1")],
)
def test_other_formats_are_converted_to_rgb_jpegs(format: str, mode: str) -> None:
    data = made.picture(5, 80, 60, format, mode)
    fitted = fit(data, 980)
    image = Image.open(io.BytesIO(fitted.data))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (80, 60))
    assert fit(data, 980) == fitted
    before = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)
    if mode != "RGBA":
        assert np.abs(np.asarray(image, np.int16) - before).mean() < 6


def test_large_images_are_scaled_to_the_longest_side_and_exif_is_applied() -> None:
    fitted = fit(made.picture(1, 300, 150), 100)
    assert (fitted.width, fitted.height, fitted.original) == (100, 50, (300, 150))
    exif = Image.Exif()
    exif[0x0112], exif[0x8298] = 6, "(c) me"
    turned = fit(made.picture(1, 60, 40, exif=exif), 980)
    assert (turned.width, turned.height, turned.original) == (40, 60, (40, 60))
    assert json.loads(turned.exif) == {"Orientation": "6", "Copyright": "(c) me"}
    assert Image.open(io.BytesIO(turned.data)).getexif().get(0x0112) is None


def test_transparent_parts_are_white_and_sixteen_bits_are_scaled() -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(clear, "PNG")
    assert np.asarray(Image.open(io.BytesIO(fit(clear.getvalue(), 980).data))).min() > 250
    deep = io.BytesIO()
    Image.fromarray(np.full((32, 32), 32768, np.uint16)).save(deep, "PNG")
    assert abs(int(np.asarray(Image.open(io.BytesIO(fit(deep.getvalue(), 980).data))).mean()) - 128) <= 1


def test_documents_that_cannot_be_packed_are_refused_with_a_reason_and_the_others_are_packed(blobs: made.Blobs) -> None:
    good = made.pair(blobs, 0)
    noise = made.document("noise", made.pair(blobs, 1)["nodes"], [blobs.place(0, b"\xff\xd8 no image", "u")])
    damaged = made.pair(blobs, 2)
    damaged["images"][0]["sha256"] = "0" * 64
    blind = made.document("blind", made.pair(blobs, 3)["nodes"], [])
    mute = made.pair(blobs, 4)
    mute["nodes"][1]["text"] = ""
    out = made.pack(Pack("pairs", "pairs"), [good, noise, damaged, blind, mute], blobs.write())
    assert out["index"]["id"].to_pylist() == [good["id"]]
    reasons = sorted(row["reason"] for row in out["refused"].to_pylist())
    assert reasons == ["blob_damaged", "image_undecodable", "no_image", "no_text"]
    assert all(row["url"] and row["provenance"] for row in out["refused"].to_pylist())


def test_a_row_in_quarantine_is_not_packed(blobs: made.Blobs) -> None:
    documents = sorted((made.pair(blobs, i) for i in range(3)), key=lambda d: d["key"])
    ctx = DirectContext(part=0, skip=frozenset({(1, 0)}))
    out = list(Pack("pairs", "pairs")({"documents": made.table(documents), "blobs": blobs.write()}, ctx))
    (index,) = [piece for name, piece in out if name == "index"]
    assert index["id"].to_pylist() == [documents[0]["id"], documents[2]["id"]]
    assert index["key"].to_pylist() == ["000000000000", "000000000001"]


def test_a_partition_without_documents_makes_no_shard(blobs: made.Blobs) -> None:
    assert list(Pack("pairs", "pairs")({"documents": made.table([]), "blobs": blobs.write()})) == []


def test_a_partition_whose_documents_are_all_refused_is_a_valid_archive(blobs: made.Blobs) -> None:
    out = made.pack(Pack("pairs", "pairs"), [made.document("blind", made.pair(blobs, 3)["nodes"], [])], blobs.write())
    assert (out["tar"], out["tar.idx"], out["index"].num_rows, out["refused"].num_rows) == (tar.END, bytes(8), 0, 1)


def test_a_wrong_layout_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="layout 'pair': one of interleaved, conversations, text, pairs, ocr"):
        Pack("pairs", "pair")


def test_documents_of_text_are_slots_without_images(blobs: made.Blobs) -> None:
    """An image node of such a document is left out, whether it has bytes or not."""
    nodes = [made.text("One."), made.node("image", image="u"), made.text("Two."), made.node("break"), made.text("3.")]
    for images in ([], [blobs.place(1, made.picture(1), "u")]):
        document = made.document("d", nodes, images, kind="text")
        out = made.pack(Pack("books", "text"), [document, made.document("e", [], [], kind="text")], blobs.write())
        ((_, members),) = samples(out)
        fields = json.loads(members["json"])
        assert list(members) == ["json"]
        assert (fields["texts"], fields["images"]) == (["One.\n\nTwo.", END_OF_TOPIC, "3."], [None] * 3)
        assert (fields["image_meta"], fields["n_images"], fields["kind"]) == ([], 0, "text")
        assert out["refused"]["reason"].to_pylist() == ["no_text"]
