"""robots.txt (RFC 9309), with Crawl-delay and Sitemap lines, which are no part of it but are widely used.

What an answer to /robots.txt means (2.3.1): 2xx is read; a redirect is followed five times; any other 4xx allows
everything; 5xx and
429 (which Google counts among the server's faults) disallow everything; where no connection comes about, every address
of the host fails for that reason.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from pipelines.fetch.guard import Target
from pipelines.fetch.http import Session
from pipelines.fetch.optout import product

MAX_BYTES = 512_000  # RFC 9309 2.5 asks for 500 KiB at least
ROBOTS_S = 15.0  # seconds for /robots.txt with all its redirects


@dataclass(frozen=True)
class Rules:
    """What holds for one agent on one host. ``rules``: (allow?, pattern). ``failed``: the status every address gets
    instead.
    """

    rules: tuple[tuple[bool, str], ...] = ()
    delay: float | None = None
    sitemaps: tuple[str, ...] = ()
    failed: str | None = None

    def allows(self, path: str) -> bool:
        """Whether a path (with its query) may be fetched: the longest pattern that matches decides, Allow where two are
        as long (2.2.2).
        """
        if path == "/robots.txt":
            return True
        path = _normal(path)
        best, allowed = -1, True
        for allow, pattern in self.rules:
            if (len(pattern) > best or (len(pattern) == best and allow)) and _matches(pattern, path):
                best, allowed = len(pattern), allow
        return allowed


def _normal(text: str) -> str:
    """Percent-encoding made uniform (2.2.2), so that /a%3Cd and /a<d are one."""
    return re.sub(r"[^%]+|%[0-9A-Fa-f]{2}|%", _piece, text)


def _piece(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("%"):
        if len(text) == 1:
            return "%25"
        byte = unquote_to_bytes(text)
        char = byte.decode("latin-1")
        return char if char.isascii() and (char.isalnum() or char in "-._~") else text.upper()
    return quote(text, safe="/:@!$&'()*+,;=~?-._#[]")


def _matches(pattern: str, path: str) -> bool:
    """``*`` stands for anything, ``$`` at the end for the end. Linear: a regular expression of a hostile file would not
    be.
    """
    anchored = pattern.endswith("$")
    first, *rest = (pattern[:-1] if anchored else pattern).split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    if not rest:
        return not anchored or at == len(path)
    last = rest.pop() if anchored else None
    for piece in rest:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return last is None or (len(path) - len(last) >= at and path.endswith(last))


def parse(body: bytes, user_agent: str) -> Rules:
    """The rules of the groups that name our product token, all of them together, or else those of ``*`` (2.2.1)."""
    us = product(user_agent)
    ours: list[tuple[bool, str]] = []
    general: list[tuple[bool, str]] = []
    delays: dict[bool, float] = {}
    named = False
    sitemaps: list[str] = []
    agents: set[str] = set()
    reading_agents = False
    text = body[:MAX_BYTES].decode("utf-8-sig", "replace")
    for row in re.split(r"\r\n|\r|\n", text):
        key, colon, value = row.split("#", 1)[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "sitemap":
            sitemaps.append(row.partition(":")[2].strip())
            continue
        if key == "user-agent":
            if not reading_agents:
                agents = set()
            reading_agents = True
            agents.add("*" if value.startswith("*") else product(value))
            named = named or us in agents
            continue
        if key in ("allow", "disallow"):
            reading_agents = False
            if value:  # an empty Disallow allows everything, as no rule does
                rule = (key == "allow", _normal(value))
                if us in agents:
                    ours.append(rule)
                if "*" in agents:
                    general.append(rule)
        elif key == "crawl-delay" and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value):
            reading_agents = False
            if us in agents:
                delays[True] = float(value)
            if "*" in agents:
                delays[False] = float(value)
    return Rules(tuple(ours if named else general), delays.get(named), tuple(dict.fromkeys(sitemaps)))


class Robots:
    """The rules of each host met, asked for once. For many threads; one thread asks, the others of that host wait."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._lock = threading.Lock()
        self._known: dict[str, Rules] = {}
        self._asking: dict[str, threading.Lock] = {}

    def known(self, target: Target) -> Rules | None:
        """The rules, where they have been asked for."""
        with self._lock:
            return self._known.get(f"{target.scheme}://{target.netloc}")

    def rules(self, target: Target, deadline_s: float = ROBOTS_S) -> Rules:
        origin = f"{target.scheme}://{target.netloc}"
        with self._lock:
            if origin in self._known:
                return self._known[origin]
            turn = self._asking.setdefault(origin, threading.Lock())
        with turn:
            with self._lock:
                if origin in self._known:
                    return self._known[origin]
            rules = self._ask(f"{origin}/robots.txt", deadline_s)
            with self._lock:
                self._known[origin] = rules
                self._asking.pop(origin, None)
            return rules

    def _ask(self, url: str, deadline_s: float) -> Rules:
        answer = self.session.get(url, deadline_s=deadline_s, max_bytes=MAX_BYTES, partial=True)
        status = answer.status
        if status in ("ok", "too_large", "truncated") and answer.http_status is not None:
            return parse(answer.body, self.session.user_agent)
        if status in ("dns", "refused", "tls", "timeout", "private_address", "bad_url"):
            # a redirect that leads nowhere is "unreachable": disallow; the host itself being so is its own reason
            return Rules(failed=status if len(answer.hops) <= 1 else "robots")
        if status in ("http_5xx", "http_429", "undecodable"):
            return Rules(failed="robots")
        return Rules()  # 4xx, too many redirects, empty: unavailable, so everything may be fetched
