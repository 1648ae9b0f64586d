"""Personal data with a fixed form: e-mail addresses, phone numbers, public IP addresses, payment cards, IBANs.

The checks of a form are applied: the Luhn sum of a card (ISO/IEC 7812-1, annex B), the length and the remainder modulo
97 of an IBAN (ISO 13616; lengths: SWIFT's IBAN registry), and whether an IP address is public. Names and street
addresses have no fixed form and are not found.
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import numpy as np

from filters import characters as ch
from filters.flat import Flat
from filters.spans import Floats

KINDS = ("email", "iban", "card", "ip", "phone")  # in order of priority where two overlap

_AT = re.compile(r"(?<=[\w+-])@(?=[A-Za-z0-9])")
_LOCAL = re.compile(r"[\w.+-]+\Z")  # ends at the @
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w.+])(?<!\d[ -])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w])")
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:\+|00)?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]\d{2,8}){1,5}(?![\w]|[.,/-]\d)"
)
_PHONE_SOLID = re.compile(r"(?<![\w.,/-])\+\d{9,15}(?![\w])")
_NORTH_AMERICA = re.compile(r"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}")

#: by the first digit: Mastercard; Diners, American Express, JCB; Visa; Mastercard; Discover, UnionPay
_CARD_LENGTHS = {2: (16,), 3: (14, 15, 16), 4: (13, 16, 19), 5: (16,), 6: (16, 17, 18, 19)}

_COUNTRIES = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18
FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21
LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27
ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _COUNTRIES.split()}


def find(text: str, kinds: Collection[str] = KINDS) -> list[tuple[str, int, int]]:
    """(kind, start, end) of all matches, in the order of the text, without overlap."""
    matches: list[tuple[str, int, int]] = []
    for kind, finder in ((k, f) for k in KINDS if k in kinds for f in _FINDERS[k]):
        starts = [start for _, start, _ in matches]
        new: list[tuple[str, int, int]] = []
        for a, b in finder(text):  # in the order of the text
            before = bisect_left(starts, b) - 1  # the last one that begins before this one ends
            if (before < 0 or matches[before][2] <= a) and (not new or new[-1][2] <= a):
                new.append((kind, a, b))
        matches = sorted([*matches, *new], key=lambda match: match[1])
    return matches


def redact(text: str, kinds: Collection[str] = KINDS) -> str:
    """The text with each match replaced by ``[email]``, ``[phone]`` ..."""
    out, at = [], 0
    for kind, start, end in find(text, kinds):
        out += [text[at:start], f"[{kind}]"]
        at = end
    return "".join([*out, text[at:]])


def redact_document(document: dict[str, Any], kinds: Collection[str] = KINDS) -> dict[str, Any]:
    """A row of DOCUMENT with its title and the texts of its nodes redacted. URLs and words of PDF pages are not."""
    fields = ("text", "alt", "caption", "title")
    nodes = [{**node, **{f: redact(node[f], kinds) for f in fields if node[f]}} for node in document["nodes"] or ()]
    return {**document, "title": document["title"] and redact(document["title"], kinds), "nodes": nodes}


def counts(flat: Flat) -> dict[str, Floats]:
    """``emails``, ``ibans``, ``cards``, ``ips`` and ``phones`` of each document."""
    each = {kind: np.zeros(len(flat.paragraphs), np.int64) for kind in KINDS}
    for p, kinds in _candidates(flat).items():
        for kind, _, _ in find(flat.text[flat.paragraphs.start[p] : flat.paragraphs.end[p]], kinds):
            each[kind][p] += 1
    return {f"{kind}s": flat.of.sum(values).astype(float) for kind, values in each.items()}


def _candidates(flat: Flat) -> dict[int, set[str]]:
    """The paragraphs that may have matches, with the kinds: a few comparisons of whole arrays exclude the others."""
    digit = np.flatnonzero(flat.where(ch.DIGIT))
    dot, colon = (flat.points[flat.codes[flat.points] == ord(c)] for c in ".:")
    pair = digit[1:][digit[1:] == digit[:-1] + 1] - 1
    pair = pair[pair >= 2]
    capital = flat.where(ch.UPPER)
    dotted = dot[2:][(dot[2:] - dot[:-2]) <= 8]
    places = {
        "email": np.flatnonzero(flat.codes == ord("@")),
        "iban": pair[capital[pair - 1] & capital[pair - 2]],
        "card": digit[12:][(digit[12:] - digit[:-12]) <= 24],  # thirteen digits, at most a blank between two
        "ip": np.append(dotted[(flat.kinds[dotted - 1] & ch.DIGIT) != 0], colon[1:][np.diff(colon) <= 5]),
        "phone": digit[8:][(digit[8:] - digit[:-8]) <= 18],  # nine digits, groups of two and parentheses
    }
    candidates: dict[int, set[str]] = {}
    for kind, at in places.items():
        for p in np.unique(np.searchsorted(flat.paragraphs.start, at, "right") - 1).tolist():
            candidates.setdefault(p, set()).add(kind)
    return candidates


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for at in _AT.finditer(text):
        local = _LOCAL.search(text, max(0, at.start() - 64), at.start())
        domain = _DOMAIN.match(text, at.end(), at.end() + 255)
        if local is not None and domain is not None:
            name = local.group().lstrip(".+-")
            if name and not name.endswith("."):
                yield at.start() - len(name), domain.end()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = _LENGTHS.get(match.group()[:2], 0)
        end = match.start()
        taken = ""
        for character in match.group():
            if len(taken) == length:
                break
            end += 1
            taken += character.strip()
        if length and len(taken) == length and not text[end : end + 1].isalnum():
            turned = "".join(str(int(c, 36)) for c in taken[4:] + taken[:4])
            if int(turned) % 97 == 1:
                yield match.start(), end


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = [int(c) for c in match.group() if c.isdigit()]
        doubled = [d if i % 2 == 0 else 2 * d - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
        if len(digits) in _CARD_LENGTHS[digits[0]] and sum(doubled) % 10 == 0:
            yield match.span()


def _ips(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        try:
            public = ipaddress.ip_address(match.group()).is_global
        except ValueError:  # 300.1.1.1, a time of day
            continue
        if public:
            yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        number = match.group()
        digits = sum(c.isdigit() for c in number)
        has_prefix = number.startswith(("+", "00", "(", "0")) or _NORTH_AMERICA.fullmatch(number)
        if 9 <= digits <= 15 and has_prefix:  # E.164: at most 15
            yield match.span()


_FINDERS: dict[str, tuple[Callable[[str], Iterator[tuple[int, int]]], ...]] = {
    "email": (_emails,),
    "iban": (_ibans,),
    "card": (_cards,),
    "ip": (partial(_ips, _IP4), partial(_ips, _IP6)),
    "phone": (lambda text: (match.span() for match in _PHONE_SOLID.finditer(text)), _phones),
}
