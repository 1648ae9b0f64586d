"""The tar format of shards: written with reproducible bytes, read by offset, safe on any input.

Shards are uncompressed POSIX USTAR with regular files only, mtime 0, uid and gid 0, no owner names, mode 0644, so that
equal samples give equal bytes. A sample is a run of members ``{key}.{part}``. The key has no dot and no slash, and
everything after the first dot is the part: webdataset, Hugging Face datasets and Energon group members so.

Each ``x.tar`` has an ``x.tar.idx`` (Energon's format): little-endian uint64 offsets, the start of each sample, then the
end of the last one. A reader takes one sample with one ``pread``.

Nothing here writes to disk or extracts, and every size is checked against the bytes that are there, so a hostile
archive can cause a `TarError` and nothing else.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import BinaryIO, NamedTuple

import numpy as np

BLOCK = 512
#: two zero blocks end an archive
END = bytes(2 * BLOCK)
#: bytes; writer and readers refuse a larger sample
MAX_SAMPLE = 1 << 30
#: members of one sample
MAX_MEMBERS = 4096

KEY = re.compile(r"[0-9a-z_-]+\Z")
PART = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*\Z")

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_OCTAL = re.compile(rb"[ 0]*([0-7]*)[ \0]*\Z")
_TYPE = 156


class TarError(ValueError):
    """An archive that cannot be read; the message names the file and the fault."""


class Member(NamedTuple):
    name: str
    header: int  #: offset of its header, bytes
    offset: int  #: offset of its content
    size: int


def header(name: str, size: int) -> bytes:
    """The 512-byte USTAR header of a regular file. name: at most 100 ASCII bytes. size: below 8 GiB."""
    raw = name.encode("ascii")
    if len(raw) > 100 or not 0 <= size < 8**11:
        raise TarError(f"{name}: a member name has at most 100 bytes and a member less than 8 GiB")
    fields = (raw, b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"00000000000\0")
    tail = (b"0", b"", b"ustar\0", b"00", b"", b"", b"0000000\0", b"0000000\0", b"")
    block = _HEADER.pack(*fields, b" " * 8, *tail)
    return _HEADER.pack(*fields, b"%06o\0 " % sum(block), *tail)


def sample(key: str, parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The members of one sample, in the order of `parts`: (name after the key's dot, content)."""
    if not KEY.match(key):
        raise TarError(f"key {key!r}: only lower-case letters, digits, '_' and '-'")
    out = []
    for part, content in parts:
        if not PART.match(part):
            raise TarError(f"{key}: part name {part!r} is not letters, digits, '_', '-' and single dots")
        out += [header(f"{key}.{part}", len(content)), content, bytes(-len(content) % BLOCK)]
    joined = b"".join(out)
    if len(joined) > MAX_SAMPLE or len(parts) > MAX_MEMBERS:
        limits = f"a sample has at most {MAX_SAMPLE} and {MAX_MEMBERS}"
        raise TarError(f"{key}: {len(joined)} bytes in {len(parts)} members; {limits}")
    return joined


def index_bytes(offsets: Sequence[int]) -> bytes:
    """A ``.tar.idx``: the starts of N samples and the end, little-endian uint64."""
    return np.asarray(offsets, dtype="<u8").tobytes()


def read_index(data: bytes, size: int, where: str) -> np.ndarray:
    """Offsets (N + 1,) int64 of a ``.tar.idx``, checked against the archive's size in bytes."""
    if len(data) % 8 or not data:
        raise TarError(f"{where}: {len(data)} bytes are not a list of uint64 offsets")
    offsets = np.frombuffer(data, dtype="<u8")
    if offsets[-1] > size or np.any(offsets % BLOCK) or np.any(offsets[1:] <= offsets[:-1]):
        raise TarError(f"{where}: the offsets do not lie in order within an archive of {size} bytes")
    return offsets.astype(np.int64)


def parse(buffer: bytes, where: str) -> tuple[str, dict[str, bytes]]:
    """One sample, as `sample` writes it: (key, part name -> content). `buffer` holds its members and nothing else."""
    key, parts, offset, end = "", {}, 0, len(buffer)
    while offset < end:
        name = buffer[offset : offset + 100].split(b"\0", 1)[0]
        octal = _OCTAL.match(buffer[offset + 124 : offset + 136])
        if end - offset < BLOCK or octal is None or buffer[offset + _TYPE : offset + _TYPE + 1] not in (b"0", b"\0"):
            raise TarError(f"{where}: no header of a regular file at byte {offset} of the sample")
        size = int(octal[1] or b"0", 8)
        start = offset + BLOCK
        if size > end - start:
            raise TarError(f"{where}: a member of {size} bytes does not fit the sample's {end} bytes")
        stem, dot, part = name.decode("latin-1").partition(".")
        if not dot or (key and stem != key) or part in parts:
            raise TarError(f"{where}: member {name[:120]!r} does not belong to sample {key!r}")
        key = stem
        parts[part] = buffer[start : start + size]
        offset = start + size + -size % BLOCK
    if not key:
        raise TarError(f"{where}: an empty sample")
    return key, parts


def scan(file: BinaryIO, where: str, limit: int = MAX_SAMPLE) -> Iterator[Member]:
    """The regular files of any tar, in order, by their headers. file: seekable. limit: most bytes of a member.

    Pax headers are skipped, unless they rename or resize a member: that, and GNU's long names, are errors, since the
    name in the header would be wrong. Directories and links are left out. An absolute name, ``..`` and control
    characters are errors.
    """
    end = file.seek(0, 2)
    offset = 0
    while True:
        file.seek(offset)
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise TarError(f"{where}: truncated: no end of archive after byte {offset}")
        if block.count(0) == BLOCK:
            if file.read(BLOCK) != bytes(BLOCK):
                raise TarError(f"{where}: truncated or damaged: a lone zero block at byte {offset}")
            return
        member, kind = _header(block, offset, where)
        if member.size > limit:
            raise TarError(f"{where}: member {member.name!r} claims {member.size} bytes, more than the {limit} allowed")
        if member.offset + member.size > end:
            raise TarError(f"{where}: truncated: member {member.name!r} at byte {offset} needs {member.size} bytes")
        if kind == b"x":
            content = file.read(min(member.size, 1 << 16))
            if re.search(rb"(^|\n)[0-9]+ (path|size|linkpath|GNU\.sparse[^=]*)=", content):
                fault = "has its name or size in an extended header; shards use none"
                raise TarError(f"{where}: member after byte {offset} {fault}")
        elif kind in b"LKS":
            raise TarError(f"{where}: GNU long names and sparse members are not read (byte {offset})")
        elif kind in (b"0", b"\0"):
            yield member
        offset = member.offset + member.size + -member.size % BLOCK


def _header(block: bytes, offset: int, where: str) -> tuple[Member, bytes]:
    fields = _HEADER.unpack(block)
    total = sum(block) - sum(fields[6]) + 8 * ord(" ")
    checksum, size = _OCTAL.match(fields[6]), _OCTAL.match(fields[4])
    if checksum is None or int(checksum[1] or b"0", 8) != total:
        raise TarError(f"{where}: damaged header at byte {offset} (wrong checksum)")
    if size is None:
        raise TarError(f"{where}: damaged header at byte {offset} (size is not octal)")
    name = fields[0].split(b"\0", 1)[0]
    if fields[9].startswith(b"ustar\0") and fields[15].strip(b"\0"):
        name = fields[15].split(b"\0", 1)[0] + b"/" + name
    text = name.decode("utf-8", "replace")
    if text.startswith("/") or ".." in text.split("/") or not text.isprintable() or not text:
        raise TarError(f"{where}: unsafe member name {text!r} at byte {offset}")
    return Member(text, offset, offset + BLOCK, int(size[1] or b"0", 8)), fields[7]


def groups(members: Iterator[Member], where: str) -> Iterator[tuple[str, list[Member]]]:
    """Members grouped into samples as webdataset does: neighbours of one name, up to the first dot of the file name."""
    for key, run in groupby(members, _stem):
        sample = list(islice(run, MAX_MEMBERS + 1))
        if len(sample) > MAX_MEMBERS:
            raise TarError(f"{where}: sample {key!r} has more than {MAX_MEMBERS} members")
        yield key, sample


def _stem(member: Member) -> str:
    folder, slash, base = member.name.rpartition("/")
    return folder + slash + base.partition(".")[0]
