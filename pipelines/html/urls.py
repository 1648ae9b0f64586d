"""The address of a reference in a page."""

from urllib.parse import urljoin

from manifests.urls import canonical


def absolute(base: str, ref: str) -> str | None:
    """The canonical address of a reference in a page with the base address `base`; None where it is no http(s) one."""
    ref = ref.strip()
    if not ref or ref.startswith(("http://", "https://")):
        return canonical(ref)
    try:
        return canonical(urljoin(base, ref.replace("\\", "/") if ref[0] in "\\/" else ref))
    except ValueError:
        return None
