"""Tars with images, read as pairs."""

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from manifests.schema import document_id
from manifests.stage import InputError
from pipelines.formats.lines import MAX_LINE
from pipelines.formats.pieces import INPUTS, pieces
from pipelines.formats.tars import REASONS, Tars
from pipelines.formats.urllist import MAX_TEXT
from tests.pipelines.html.test_stages import run
from tests.pipelines.image_tars import about, img2dataset, jpeg, sample, tar, url_of
from tests.trainer.pictures import picture

IMAGE = jpeg(1)


def read(path: Path, stage: Tars | None = None) -> dict[str, Any]:
    file = {"path": str(path), "file": path.name, "size": path.stat().st_size, "changed": ""}
    return run(stage or Tars(), pieces(file, file["size"] or 1), INPUTS)


def texts(out: dict[str, Any]) -> list[str]:
    return [document["nodes"][1]["text"] for document in out["documents"]]


def refused(out: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The key behind the name of the file, or the address; the reason; the number of the sample."""
    return [(r["url"].removeprefix("pairs:a.tar/"), r["reason"], r["provenance"]["offset"]) for r in out["refused"]]


def one(path: Path, *members: tuple[str, bytes]) -> dict[str, Any]:
    """What is read of a good sample with number 0, and these members."""
    return read(tar(path / "a.tar", [("good.jpg", IMAGE), ("good.txt", b"a boat"), *members]))


def test_img2datasets_samples_bring_their_images(tmp_path: Path) -> None:
    out = read(img2dataset(tmp_path / "00000.tar", range(3)))
    assert out["refused"] == [] and texts(out) == [picture(seed)[1] for seed in range(3)]
    for seed, (document, outcome) in enumerate(zip(out["documents"], out["outcomes"], strict=True)):
        address = f"sha256:{hashlib.sha256(jpeg(seed)).hexdigest()}"
        assert document["nodes"][0]["image"] == outcome["url"] == address
        assert document["url"] == url_of(seed)
        assert document["id"] == document_id("pairs", url_of(seed), picture(seed)[1].encode())
        assert (document["provenance"]["file"], document["provenance"]["offset"]) == ("00000.tar", seed)
        assert outcome["status"] == "ok" and outcome["format"] == "jpeg"
        assert out["blobs"][outcome["offset"] : outcome["offset"] + outcome["length"]] == jpeg(seed)


def test_a_tar_that_webdataset_writes(tmp_path: Path) -> None:
    writer = pytest.importorskip("webdataset").TarWriter(str(tmp_path / "a.tar"))
    for seed in range(3):
        row = json.loads(about(seed))
        writer.write({"__key__": f"set/{seed:05d}", "jpg": jpeg(seed), "txt": picture(seed)[1], "json": row})
    writer.close()
    out = read(tmp_path / "a.tar")
    assert texts(out) == [picture(seed)[1] for seed in range(3)] and out["refused"] == []
    assert [document["url"] for document in out["documents"]] == [url_of(seed) for seed in range(3)]


def test_an_image_is_stored_once(tmp_path: Path) -> None:
    out = one(tmp_path, ("b.jpg", IMAGE), ("b.txt", b"a ship"))
    assert len(out["documents"]) == 2 and len(out["outcomes"]) == 1 and out["blobs"] == IMAGE


def test_keys_have_folders_and_end_at_the_first_dot(tmp_path: Path) -> None:
    names = ["a.b/c", "./d e/f", "g#h", "ünder"]
    members = [(f"{name}.{ending}", c) for name in names for ending, c in (("JPG", IMAGE), ("Txt", name.encode()))]
    members += [("k.left.jpg", IMAGE), ("k.txt", b"k"), ("k.right.png", IMAGE)]
    members += [("._a.jpg", b"resource"), ("README", b"x"), ("__meta__/a.json", b"{}"), ("no.d/file", b"x")]
    out = read(tar(tmp_path / "a.tar", members))
    assert texts(out) == names and refused(out) == [("k", "no_image", 4)]
    urls = ["pairs:a.tar/a.b/c", "pairs:a.tar/d%20e/f", "pairs:a.tar/g%23h", "pairs:a.tar/%C3%BCnder"]
    assert [document["url"] for document in out["documents"]] == urls
    assert texts(read(tmp_path / "a.tar", Tars(image=("right.png",), text=("txt",)))) == ["k"]


def test_a_pax_header_and_compression(tmp_path: Path) -> None:
    name = "long/" * 60 + "é"
    members = [(f"{name}.jpg", IMAGE), (f"{name}.txt", b"a boat"), *sample(2)]
    for file in ("a.tar", "a.tar.gz"):
        out = read(tar(tmp_path / file, members, tarfile.PAX_FORMAT))
        assert texts(out) == ["a boat", picture(2)[1]] and out["refused"] == []
    assert b"PaxHeader" in (tmp_path / "a.tar").read_bytes()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("b.txt", b"a"), ("b.json", about(3, status="failed_to_download"))], "no_image"),
        ([("b.jpg", IMAGE), ("b.PNG", IMAGE), ("b.txt", b"a")], "several_images"),
        ([("b.jpg", IMAGE), ("b.jpg", IMAGE), ("b.txt", b"a")], "several_images"),
        ([("b.jpg", IMAGE)], "no_text"),
        ([("b.jpg", IMAGE), ("b.txt", b" \n")], "no_text"),
        ([("b.jpg", IMAGE), ("b.json", b'{"caption": 3}')], "no_text"),
        ([("b.jpg", IMAGE), ("b.txt", b"a" * (MAX_TEXT + 1))], "text_too_long"),
        ([("b.jpg", IMAGE), ("b.txt", b" " * MAX_LINE + b"a")], "text_too_long"),
        ([("b.jpg", IMAGE), ("b.txt", b"a"), ("b.json", b"{}" + b" " * MAX_LINE)], "bad_json"),
        ([("b.jpg", IMAGE), ("b.txt", b"a"), ("b.json", b"[1]")], "bad_json"),
        ([("b.jpg", IMAGE), ("b.txt", b"a"), ("b.json", b'{"a": ')], "bad_json"),
        ([("b.jpg", IMAGE), ("b.txt", b"\xff\xfe")], "bad_row"),
        ([("b.jpg", IMAGE), ("b.txt", b"a"), ("b.txt", b"b")], "repeated_key"),
        ([("good.jpg", IMAGE), ("c.jpg", IMAGE), ("c.txt", b"c"), ("good.txt", b"b")], "repeated_key"),
    ],
)  # fmt: skip
def test_a_sample_that_does_not_fit_has_its_reason(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: str
) -> None:
    first = [("first.jpg", IMAGE), ("first.txt", b"a boat")]
    if members[0][0] == "good.jpg":  # out of order: the text comes behind another sample
        out = read(tar(tmp_path / "a.tar", [*first, *members, *sample(5)]))
        assert refused(out) == [("good", "no_text", 1), ("good", "repeated_key", 3)]
        assert texts(out) == ["a boat", "c", picture(5)[1]]
        return
    out = read(tar(tmp_path / "a.tar", [*first, *members, *sample(5)]))
    url = url_of(3) if reason == "no_image" else "b"
    assert refused(out) == [(url, reason, 1)] and reason in REASONS
    assert texts(out) == ["a boat", picture(5)[1]]


def test_the_text_comes_from_a_member_or_from_the_json(tmp_path: Path) -> None:
    rows = [{"caption": "one", "text": "x"}, {"text": "two"}, {"caption": "", "text": "three", "url": "ftp://e.com/a"}]
    members = [m for i, r in enumerate(rows) for m in ((f"{i}.webp", IMAGE), (f"{i}.json", json.dumps(r).encode()))]
    members += [("3.jpeg", IMAGE), ("3.caption", b"\xef\xbb\xbfa   caption\n"), ("3.json", b'{"caption": "x"}')]
    out = read(tar(tmp_path / "a.tar", members))
    assert texts(out) == ["one", "two", "three", "a caption"] and out["documents"][2]["url"] == "pairs:a.tar/2"
    out = read(tmp_path / "a.tar", Tars(text_column="text"))
    assert texts(out) == ["x", "two", "three"] and refused(out) == [("3", "no_text", 3)]
    with pytest.raises(InputError, match=r"a\.tar: no text column \('tekst'\) among .*`text_column`$"):
        read(tmp_path / "a.tar", Tars(text_column="tekst"))


def test_an_image_that_cannot_be_read_has_its_status(tmp_path: Path) -> None:
    bad = {"b": b"", "c": b"<html>", "d": IMAGE[:2000], "e": b"\xff\xd8\xff" + b"x" * 80_000}
    members = [m for key, data in bad.items() for m in ((f"{key}.jpg", data), (f"{key}.txt", b"a boat"))]
    out = read(tar(tmp_path / "a.tar", [*sample(1), *members]), Tars(max_bytes=len(IMAGE) + 1000))
    assert [o["status"] for o in out["outcomes"]] == ["ok", "empty", "not_image", "truncated", "too_large"]
    assert len(out["documents"]) == 5 and out["blobs"] == IMAGE


def test_a_link_is_no_image(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", sample(0))
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "000000000.jpg"
        archive.addfile(link)
    assert refused(read(tmp_path / "a.tar")) == [("b", "no_image", 1)]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_stands_before_a_damage_is_kept(tmp_path: Path, ending: str) -> None:
    path = img2dataset(tmp_path / f"a.tar{ending}", range(4))
    data = path.read_bytes()
    for share in (0.3, 0.55, 0.8):
        path.write_bytes(data[: int(len(data) * share)])
        out = read(path)
        kept = len(out["documents"])
        assert 0 < kept < 4 and texts(out) == [picture(seed)[1] for seed in range(kept)]
        assert [(r["reason"], r["provenance"]["offset"]) for r in out["refused"]] == [("file_broken", kept)]
    path.write_bytes(b"<html>no tar</html>" * 100)
    out = read(path)
    assert [r["reason"] for r in out["refused"]] == ["file_broken"] and not out["documents"]


def test_a_damaged_header_or_a_missing_end_is_no_end(tmp_path: Path) -> None:
    path = img2dataset(tmp_path / "a.tar", range(3))
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        headers = {member.name: member.offset for member in archive}
        end = archive.offset - tarfile.BLOCKSIZE
    data[headers["000000001.jpg"]] ^= 0xFF
    path.write_bytes(data)
    assert (texts(read(path)), read(path)["refused"][0]["reason"]) == ([], "file_broken")  # 0 may go on behind it
    data[headers["000000001.jpg"]] ^= 0xFF
    path.write_bytes(data[:end])  # whole members, but the archive goes on where it was cut
    out = read(path)
    assert texts(out) == [picture(seed)[1] for seed in range(2)] and refused(out)[0][1:] == ("file_broken", 2)


def test_tars_behind_one_another_are_read_to_the_end(tmp_path: Path) -> None:
    first, second = (img2dataset(tmp_path / f"{i}.tar", range(i, i + 2)).read_bytes() for i in (0, 2))
    (tmp_path / "a.tar").write_bytes(first + second)
    assert texts(read(tmp_path / "a.tar")) == [picture(seed)[1] for seed in range(4)]


def test_a_tar_without_images_is_one_line(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", [("0.pdf", b"x"), ("0.JSON", b"{}"), ("README", b"x")])
    line = r"a\.tar: no member ends in jpg, jpeg, png, webp, but there are pdf, \(none\); .* `members`"
    with pytest.raises(InputError, match=line):
        read(tmp_path / "a.tar")
    failed = tar(tmp_path / "a.tar", [("0.json", about(0, status="failed_to_download"))])
    assert refused(read(failed)) == [(url_of(0), "no_image", 0)]
    out = read(tar(tmp_path / "a.tar", []))
    assert out["documents"] == out["refused"] == []


def test_a_long_tar_is_read_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    noise = os.urandom(1 << 20)
    members = [m for i in range(40) for m in ((f"{i}.jpg", noise), (f"{i}.txt", b"a boat"))]
    path = tar(tmp_path / "a.tar", [*members, *((f"39.{i}", b"") for i in range(20_000))])
    tracemalloc.start()
    out = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(out["documents"]) == 40 and peak < 6 << 20, peak
