import hashlib
import io
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from manifests.schema import OUTCOME, STATUSES, key64
from manifests.stage import DirectContext
from pipelines.fetch import images as fetch_module
from pipelines.fetch.images import Fetch
from tests.pipelines.crawl.conftest import LOOPBACK, Local, Origin, assert_within
from tests.pipelines.crawl.server import bomb, picture


def run(
    urls: list[str], stage: Fetch, previous: list[str] | None = None, ctx: DirectContext | None = None
) -> tuple[dict[str, Any], bytes]:
    tables = {
        "wanted": pa.table({"key": pa.array([key64(u) for u in urls], pa.uint64()), "url": pa.array(urls, pa.string())})
    }
    if previous is not None:
        tables["previous"] = pa.table({"url": pa.array(previous, pa.string())})
    rows: list[dict[str, Any]] = []
    blobs = b""
    for name, data in stage(tables, ctx or DirectContext()):
        if name == "blobs":
            blobs += data
        else:
            assert name == "outcomes"
            assert data.schema == OUTCOME
            rows += data.to_pylist()
    assert [r["url"] for r in rows] == sorted({r["url"] for r in rows})
    assert {r["status"] for r in rows} <= set(STATUSES)
    for r in rows:
        if r["status"] == "ok":
            body = blobs[r["offset"] : r["offset"] + r["length"]]
            assert hashlib.sha256(body).hexdigest() == r["sha256"]
            assert len(body) == r["bytes"]
        else:
            assert r["offset"] is r["sha256"] is r["part"] is None
    return {r["url"]: r for r in rows}, blobs


QUICK = Fetch(deadline_s=0.6, allow_private=LOOPBACK, max_bytes=2**20, threads=8)


def test_each_url_has_an_outcome_and_each_image_is_stored_once(proxied: Local) -> None:
    web = proxied.web
    jpeg = picture(seed=1)
    gif = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(
        gif, "GIF", save_all=True, append_images=[Image.open(io.BytesIO(picture(seed=2)))]
    )
    image = {"Content-Type": "image/jpeg"}
    web.pages |= {
        "a.example/1.jpg": (image, jpeg),
        "b.example/same.jpg": ({"Content-Type": "text/html"}, jpeg),
        "a.example/2.gif": (image, gif.getvalue()),
        "a.example/bomb": (image, bomb()),
        "a.example/html": (image, b"<html>"),
        "a.example/svg": (image, b"<svg/>"),
        "a.example/empty": (image, b""),
        "a.example/half": (image, jpeg[: len(jpeg) // 2]),
        "a.example/big": (image, bytes(2**20 + 1)),
        "a.example/noai": ({**image, "X-Robots-Tag": "max-image-preview:large, noai"}, jpeg),
        "a.example/tdm": ({**image, "TDM-Reservation": "1"}, jpeg),
        "c.example/robots.txt": ({}, b"User-agent: *\nDisallow: /secret"),
        "c.example/secret/1.jpg": (image, jpeg),
        "c.example/1.jpg": (image, jpeg),
        "d.example/robots.txt": ({"status": "500"}, b""),
    }
    expected = {
        "http://a.example/1.jpg": "ok",
        "http://b.example/same.jpg": "ok",
        "http://a.example/2.gif": "ok",
        "http://a.example/to?http://b.example/same.jpg": "ok",
        "http://a.example/bomb": "too_many_pixels",
        "http://a.example/html": "not_image",
        "http://a.example/svg": "not_image",
        "http://a.example/empty": "empty",
        "http://a.example/half": "truncated",
        "http://a.example/cut": "truncated",
        "http://a.example/big": "too_large",
        "http://a.example/noai": "optout",
        "http://a.example/tdm": "optout",
        "http://a.example/404": "http_404",
        "http://a.example/410": "http_410",
        "http://a.example/loop": "redirects",
        "http://a.example/hang": "timeout",
        "http://a.example/drip": "timeout",
        "http://a.example/to?http://127.0.0.1/x": "private_address",
        "http://10.0.0.1/x": "private_address",
        "file:///etc/passwd": "bad_url",
        "http://c.example/secret/1.jpg": "robots",
        "http://c.example/1.jpg": "ok",
        "http://a.example/to?http://c.example/secret/1.jpg": "robots",
        "http://d.example/1.jpg": "robots",
    }
    stage = Fetch(deadline_s=0.6, max_bytes=2**20, threads=8)
    rows, blobs = run(sorted(expected, reverse=True), stage, ctx=DirectContext(part=7))
    assert {u: r["status"] for u, r in rows.items()} == expected
    assert len(blobs) == len(jpeg) + len(gif.getvalue())
    assert rows["http://a.example/2.gif"]["frames"] == 2
    assert {r["part"] for r in rows.values() if r["status"] == "ok"} == {7}
    assert rows["http://a.example/noai"]["optout"] == "noai"
    assert rows["http://a.example/tdm"]["optout"] == "tdm-reservation"
    assert rows["http://a.example/to?http://b.example/same.jpg"]["final_url"] == "http://b.example/same.jpg"
    assert (rows["http://a.example/bomb"]["status"], rows["http://a.example/bomb"]["phash"]) == (
        "too_many_pixels",
        None,
    )
    assert web.paths("c.example").count("/secret/1.jpg") == 0
    assert web.paths("d.example") == ["/robots.txt"]
    assert web.paths("a.example").count("/robots.txt") == 1


def test_the_same_answers_give_the_same_bytes(proxied: Local) -> None:
    urls = [f"http://h{i % 5}.example/image/{'x' * (i % 20)}" for i in range(60)]
    stage = Fetch(threads=16)
    assert run(urls, stage) == run(urls[::-1], stage)


def test_previous_urls_are_not_requested_and_no_url_gives_an_empty_table(proxied: Local) -> None:
    rows, _ = run(
        ["http://a.example/image/1", "http://a.example/image/22"],
        Fetch(),
        previous=["http://a.example/image/1", "http://z.example/"],
    )
    assert list(rows) == ["http://a.example/image/22"]
    assert "/image/1" not in proxied.web.paths()
    assert run(["http://a.example/image/1"], Fetch(), previous=["http://a.example/image/1"]) == ({}, b"")
    assert run([], Fetch()) == ({}, b"")


def test_urls_without_a_host_have_outcomes(proxied: Local) -> None:
    rows, _ = run([f"http:///{i}.jpg" for i in range(10)] + ["no address at all"], QUICK)
    assert Counter(r["status"] for r in rows.values()) == {"bad_url": 11}


def test_a_host_gets_a_limited_number_of_requests_at_a_time(proxied: Local) -> None:
    proxied.web.slow = 0.02
    urls = [f"http://h{i % 3}.example/image/{i}" for i in range(60)]
    urls += [f"http://h0.example/to?http://h1.example/image/{i}" for i in range(20)]
    rows, _ = run(urls, Fetch(threads=24, per_host=2))
    assert Counter(r["status"] for r in rows.values()) == {"ok": 80}
    assert max(proxied.web.peak.values()) == 2


def test_only_temporary_faults_get_a_second_try(proxied: Local) -> None:
    kinds = ["500", "503", "429", "reset", "404", "403", "cut", "loop"]
    run([f"http://a.example/{k}" for k in kinds], Fetch(robots=False, threads=8, deadline_s=5))
    requests = Counter(p.strip("/") for p in proxied.web.paths())
    # if a reused connection closes without an answer, the request is sent again on a new connection
    assert 2 <= requests.pop("reset") <= 4
    assert requests == {"500": 2, "503": 2, "429": 2, "404": 1, "403": 1, "cut": 1, "loop": 1}


def test_a_host_that_does_not_answer_is_given_up(proxied: Local) -> None:
    rows, _ = run([f"http://a.example/hang/{i}" for i in range(40)], Fetch(deadline_s=0.2, per_host=2, give_up_after=4))
    assert {r["status"] for r in rows.values()} == {"timeout"}
    assert len(proxied.web.paths()) <= 1 + 6


def test_requests_without_an_end_stop_at_the_deadline(proxied: Local) -> None:
    urls = [f"http://h{i}.example/{kind}" for i in range(10) for kind in ("hang", "drip", "driphead")]

    def work() -> None:
        rows, _ = run(urls, Fetch(deadline_s=0.5, robots=False, threads=30, per_host=3))
        assert {r["status"] for r in rows.values()} == {"timeout"}

    assert_within(2.5, work)


def test_a_quarantined_row_is_left_out_and_its_bytes_are_not_read(
    proxied: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"http://a.example/image/{'x' * i}" for i in range(3)]
    rows, _ = run(urls, Fetch(), ctx=DirectContext(skip=frozenset({(1, 0)})))
    assert list(rows) == [sorted(urls)[0], sorted(urls)[2]]


def test_an_error_of_the_code_is_raised_and_does_not_hang(proxied: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    urls = [f"http://a.example/image/{i}" for i in range(200)]
    for name in ("look", "reserved"):
        with monkeypatch.context() as patch:
            patch.setattr(fetch_module, name, broken)
            with pytest.raises(ZeroDivisionError, match="ours"):
                run(urls, Fetch(threads=4))


def test_the_functions_of_img2dataset_are_replaced_only_while_the_loop_runs(proxied: Local) -> None:
    from img2dataset import downloader

    names = ("download_image_with_retry", "download_image", "urllib")
    before = [getattr(downloader, name) for name in names]
    assert run(["http://a.example/image/1"], Fetch())[0]["http://a.example/image/1"]["status"] == "ok"
    assert [getattr(downloader, name) for name in names] == before


EXPECTED = {
    "jpeg": "ok", "webp": "ok", "png": "ok", "cmyk": "ok", "rotated": "ok", "gif": "ok", "wrong_type": "ok",
    "pixel": "ok", "ratio": "ok", "missing": "http_404", "forbidden": "http_403", "gone": "http_410",
    "too_many": "http_429", "error": "http_5xx", "hang": "timeout", "reset": "refused", "html": "not_image",
    "svg": "not_image", "truncated": "truncated", "empty": "empty", "bomb": "too_many_pixels", "noai": "optout",
    "loop": "redirects", "private": "private_address",
}  # fmt: skip


@pytest.mark.real
def test_each_kind_of_image_of_the_origin_has_its_outcome(origin: Origin) -> None:
    web = origin.module
    urls: list[str] = []
    urls_of_kind: Counter[str] = Counter()
    for i in range(6000):  # a few of every kind
        url = f"http{'s' if i % 5 == 0 else ''}://images{i % 30}.example/photo/{i}.jpg"
        kind = web.kind_of(url)
        if urls_of_kind[kind] < (2 if kind in ("hang", "drip") else 6):
            urls_of_kind[kind] += 1
            urls.append(url)
    assert set(urls_of_kind) == {*web.FAULTS, "jpeg"}
    slow = ("hang", "drip")
    # the origin generates an image at its first request
    run([u for u in urls if web.kind_of(u) not in slow], Fetch(deadline_s=120, threads=4))
    rows, _ = run(urls, Fetch(deadline_s=8, per_host=2))
    for url in urls:
        kind, row = web.kind_of(url), rows[url]
        if web.digest(url.split("/")[2]) % 16 == 0:
            assert row["status"] == "robots"
        elif kind == "redirect":  # the target of the redirect has another address and another kind
            assert row["status"] in ("redirects", EXPECTED.get(web.kind_of(row["final_url"]), "ok"))
        elif kind == "drip":  # 1 KiB a second: a small image may end in time
            assert row["status"] in ("timeout", "ok")
        else:
            assert row["status"] == EXPECTED[kind], (url, kind, row)
        if kind == "gif" and row["status"] == "ok":
            assert row["frames"] == 2


@pytest.mark.real
def test_the_origin_sees_two_requests_of_a_host_at_most(fresh_origin: Origin) -> None:
    import json

    from tests.pipelines.crawl.conftest import get

    web = fresh_origin.module
    slow = ("hang", "drip")  # the origin still counts requests that the client gave up
    urls = [f"http://calm{i % 3}.example/{i}.jpg" for i in range(200)]
    urls = [u for u in urls if web.kind_of(u) not in slow]
    run(urls, Fetch(per_host=2, deadline_s=120))
    busiest = json.loads(get("http://origin.example/stats", deadline_s=10, max_bytes=2**20).body)["busiest_host"]
    assert busiest[1] <= 2, busiest
