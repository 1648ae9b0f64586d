"""Names that become files and folders: of runs, sources, training stages, mixtures, outputs."""

#: bytes of a name. The longest file name of a run holds two names; systems allow 255 bytes
LONGEST = 100
#: device names of Windows, which no file there can have, with any extension
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_SEPARATORS = '/\\:*?"<>|'


def checked_name(name: str) -> str:
    """The name, if it can be the name of a file on every system. Raises ValueError, one line that says why not."""
    if not name.strip():
        raise ValueError("a name is not empty")
    if name != name.strip() or name.endswith("."):
        raise ValueError("a name has no blank around it and no dot at its end")
    if wrong := [c for c in name if c in _SEPARATORS or not (c.isprintable() or c == " ")]:
        raise ValueError(f"a name becomes part of a path, so it has no {wrong[0]!r}")
    if len(name.encode()) > LONGEST:
        raise ValueError(f"a name has at most {LONGEST} bytes")
    if name.partition(".")[0].rstrip().lower() in _DEVICES:
        raise ValueError(f"Windows allows no file of the name {name}; take another one")
    return name
