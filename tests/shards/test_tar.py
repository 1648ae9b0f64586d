import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards import tar

PARTS = [("json", b'{"a":1}'), ("0.jpg", b"x" * 700), ("1.jpg", b"")]


def archive(*samples: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(samples) + tar.END)


def test_the_standard_library_reads_our_archives() -> None:
    first, second = tar.sample("000000000000", PARTS), tar.sample("000000000001", [("json", b"{}")])
    with tarfile.open(fileobj=archive(first, second)) as file:
        members = file.getmembers()
        assert [m.name for m in members] == [
            "000000000000.json",
            "000000000000.0.jpg",
            "000000000000.1.jpg",
            "000000000001.json",
        ]
        assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname, m.type) for m in members} == {
            (0, 0, 0, 0o644, "", "", b"0")
        }
        assert file.extractfile(members[1]).read() == b"x" * 700  # type: ignore[union-attr]


def test_a_sample_is_read_back_by_its_offsets() -> None:
    samples = [tar.sample(f"{i:012d}", PARTS[: i + 1]) for i in range(3)]
    data = archive(*samples).getvalue()
    starts = np.cumsum([0, *map(len, samples)])
    offsets = tar.read_index(tar.index_bytes(starts.tolist()), len(data), "x.tar.idx")
    for i, (start, end) in enumerate(pairwise(offsets)):
        assert tar.parse(data[start:end], "x.tar") == (f"{i:012d}", dict(PARTS[: i + 1]))


def test_scan_and_groups_agree_with_the_writer() -> None:
    members = list(tar.scan(archive(tar.sample("a", PARTS), tar.sample("b", PARTS)), "x.tar"))
    assert [(m.name, m.size) for m in members[:3]] == [("a.json", 7), ("a.0.jpg", 700), ("a.1.jpg", 0)]
    assert [(key, len(run)) for key, run in tar.groups(iter(members), "x.tar")] == [("a", 3), ("b", 3)]


@pytest.mark.parametrize(
    ("key", "part"), [("a.b", "jpg"), ("a/b", "jpg"), ("A", "jpg"), ("a", "../x"), ("a", "x/y"), ("a", ""), ("", "x")]
)
def test_the_writer_refuses_names_that_readers_split_wrongly(key: str, part: str) -> None:
    with pytest.raises(tar.TarError):
        tar.sample(key, [(part, b"")])


def tar_with_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **options: object) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as file:  # type: ignore[call-overload]
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        file.addfile(info)
    return out


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\x07b"])
def test_unsafe_names_are_errors_that_name_the_file(name: str) -> None:
    with pytest.raises(tar.TarError, match=r"bad\.tar: unsafe member name"):
        list(tar.scan(tar_with_member(name, format=tarfile.USTAR_FORMAT), "bad.tar"))


def test_links_and_folders_are_left_out() -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
        assert list(tar.scan(tar_with_member("a.jpg", kind, "target" * (kind != tarfile.DIRTYPE)), "bad.tar")) == []


def test_extended_names_are_refused() -> None:
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with pytest.raises(tar.TarError, match=r"bad\.tar"):
            list(tar.scan(tar_with_member("n" * 300, format=format), "bad.tar"))


def with_size(claimed: bytes) -> io.BytesIO:
    data = bytearray(archive(tar.sample("a", [("json", b"{}")])).getvalue())
    data[124:136] = claimed
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return io.BytesIO(bytes(data))


def test_a_member_that_claims_too_much_is_an_error_before_it_is_read() -> None:
    with pytest.raises(tar.TarError, match="more than the 1000 allowed"):
        list(tar.scan(with_size(b"77777777777\0"), "bad.tar", limit=1000))
    with pytest.raises(tar.TarError, match="truncated"):
        list(tar.scan(with_size(b"00000100000\0"), "bad.tar"))
    with pytest.raises(tar.TarError, match="not octal"):
        list(tar.scan(with_size(b"\x80" + bytes(10) + b"\x09"), "bad.tar"))


def test_a_truncated_archive_is_an_error_that_names_it() -> None:
    data = archive(tar.sample("a", PARTS)).getvalue()
    for cut in (len(data) - 512, len(data) - 1024, 900, 100):
        with pytest.raises(tar.TarError, match=r"bad\.tar: truncated"):
            list(tar.scan(io.BytesIO(data[:cut]), "bad.tar"))


@pytest.mark.parametrize(
    "bad", [b"", b"1234567", tar.index_bytes([0, 512, 512]), tar.index_bytes([0, 100]), tar.index_bytes([0, 1 << 40])]
)
def test_an_index_that_does_not_fit_its_archive_is_refused(bad: bytes) -> None:
    with pytest.raises(tar.TarError, match=r"x\.tar\.idx"):
        tar.read_index(bad, 4096, "x.tar.idx")


def outcome(read: Callable[[], object]) -> object:
    """The result, or None on a TarError; any other exception fails the test."""
    with suppress(tar.TarError):
        return read()
    return None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2559), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_damage_gives_a_tar_error_or_members_within_the_sample(damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(tar.sample("a", PARTS))
    for at, value in damage:
        damaged[at % len(damaged)] = value
    read = outcome(lambda: tar.parse(bytes(damaged), "bad.tar"))
    assert read is None or sum(map(len, read[1].values())) <= len(damaged)  # type: ignore[index]
    members = outcome(lambda: list(tar.scan(archive(bytes(damaged)), "bad.tar")))
    assert members is None or all(m.size <= len(damaged) for m in members)  # type: ignore[attr-defined]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_noise_is_not_a_sample(noise: bytes) -> None:
    assert outcome(lambda: tar.parse(noise, "bad.tar")) is None
    assert outcome(lambda: list(tar.scan(io.BytesIO(noise), "bad.tar"))) in (None, [])
