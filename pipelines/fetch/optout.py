"""Opt-outs in response headers: X-Robots-Tag and TDM-Reservation.

X-Robots-Tag (Google's "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications"): directives separated by
commas, in any number of headers. A directive can have a value (``max-snippet: 20``, ``unavailable_after: Wed, 03 Dec
2025 13:09:53 GMT``). A product token and a colon before a directive address it, and all later ones in the same header,
to that agent alone.

These directives reserve an image against training: ``noai`` and ``noimageai`` (DeviantArt, 2022), ``noml`` (Mojeek,
2023), and ``noindex``, ``noimageindex`` and ``none`` (= noindex, nofollow), which img2dataset's documentation counts
too. TDM-Reservation: 1 is the reservation of the W3C community group's TDM Reservation Protocol.
"""

import re
from collections.abc import Iterable

RESERVING = ("noai", "noimageai", "noml", "none", "noindex", "noimageindex")

# directives with a value after a colon: what stands before the colon is no agent
VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})

_AGENT = re.compile(r"[A-Za-z_*][A-Za-z0-9_.*/-]*\Z")


def product(user_agent: str) -> str:
    """The product token of a User-Agent in lower case: "panoramix/0.1 (+http://..)" -> "panoramix" (RFC 9309 2.2.1)."""
    match = re.match(r"[A-Za-z_-]+", user_agent.strip())
    return match[0].lower() if match else ""


def directives(headers: Iterable[tuple[str, str]], user_agent: str) -> list[str]:
    """The X-Robots-Tag directives for this agent, in lower case, without their values, in order."""
    us = product(user_agent)
    applicable: list[str] = []
    for name, value in headers:
        if name.lower() != "x-robots-tag":
            continue
        for_us = True
        for piece in value.split(","):
            piece = piece.strip()
            while ":" in piece:
                before, _, after = (x.strip() for x in piece.partition(":"))
                if before.lower() in VALUED:
                    piece = before
                elif _AGENT.match(before):
                    for_us, piece = before == "*" or before.split("/")[0].lower() == us, after
                else:
                    piece = ""  # the time of a date, which was split at its comma
            if for_us and piece:
                applicable.append(piece.lower())
    return applicable


def reserved(headers: Iterable[tuple[str, str]], user_agent: str) -> str | None:
    """The first reservation: one of RESERVING, in that order, or "tdm-reservation"; None where there is none."""
    rows = list(headers)
    applicable = directives(rows, user_agent)
    tdm = any(name.lower() == "tdm-reservation" and value.split(",")[0].strip() == "1" for name, value in rows)
    return next((d for d in RESERVING if d in applicable), "tdm-reservation" if tdm else None)
