"""robots.txt (RFC 9309), with Crawl-delay and Sitemap lines, which are no part of it but are widely used.

The answer to a request for /robots.txt means (2.3.1): 2xx is read; a redirect is followed five times; another 4xx
allows everything; 5xx and 429 (which Google counts among the server's faults) disallow everything. Where there is no
connection, every URL of the host fails for that reason.
"""

import re
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from pipelines.fetch.guard import Target
from pipelines.fetch.http import Session
from pipelines.fetch.optout import product

MAX_BYTES = 512_000  # RFC 9309 2.5 asks for 500 KiB at least
ROBOTS_S = 15.0  # seconds for /robots.txt with all its redirects


@dataclass(frozen=True)
class Rules:
    """The rules of a host for one agent. ``rules``: (allow?, pattern). ``failed``: the status of every URL instead."""

    rules: tuple[tuple[bool, str], ...] = ()
    delay: float | None = None
    sitemaps: tuple[str, ...] = ()
    failed: str | None = None

    def allows(self, path: str) -> bool:
        """Whether a path (with its query) may be fetched. The longest matching pattern decides; of two patterns of one
        length, Allow (2.2.2)."""
        if path == "/robots.txt":
            return True
        path = _normal(path)
        longest, allowed = -1, True
        for allow, pattern in self.rules:
            if (len(pattern) > longest or (len(pattern) == longest and allow)) and _matches(pattern, path):
                longest, allowed = len(pattern), allow
        return allowed


def _normal(text: str) -> str:
    """The text with uniform percent-encoding (2.2.2), so that /a%3Cd equals /a<d."""
    return re.sub(r"[^%]+|%[0-9A-Fa-f]{2}|%", _normal_piece, text)


def _normal_piece(match: re.Match[str]) -> str:
    text = match[0]
    if not text.startswith("%"):
        return quote(text, safe="/:@!$&'()*+,;=~?-._#[]")
    if len(text) == 1:
        return "%25"
    char = unquote_to_bytes(text).decode("latin-1")
    return char if char.isascii() and (char.isalnum() or char in "-._~") else text.upper()


def _matches(pattern: str, path: str) -> bool:
    """``*`` matches anything, ``$`` at the end matches the end. Linear time, which a regular expression made from a
    hostile file would not have."""
    anchored = pattern.endswith("$")
    first, *rest = (pattern[:-1] if anchored else pattern).split("*")
    if not path.startswith(first):
        return False
    end = len(first)
    if not rest:
        return not anchored or end == len(path)
    last = rest.pop() if anchored else None
    for piece in rest:
        place = path.find(piece, end)
        if place < 0:
            return False
        end = place + len(piece)
    return last is None or (len(path) - len(last) >= end and path.endswith(last))


def parse(body: bytes, user_agent: str) -> Rules:
    """All groups that name our product token, together; where there is none, those of ``*`` (2.2.1)."""
    us = product(user_agent)
    rules: dict[str, list[tuple[bool, str]]] = {us: [], "*": []}
    delays: dict[str, float] = {}
    named = False
    sitemaps: list[str] = []
    agents: set[str] = set()
    in_agents = False  # whether the last line that counts was a User-agent
    text = body[:MAX_BYTES].decode("utf-8-sig", "replace")
    for row in re.split(r"\r\n|\r|\n", text):
        key, colon, value = row.split("#", 1)[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "sitemap":
            sitemaps.append(row.partition(":")[2].strip())
        elif key == "user-agent":
            agents = agents if in_agents else set()
            in_agents = True
            agents.add("*" if value.startswith("*") else product(value))
            named = named or us in agents
        elif key in ("allow", "disallow"):
            in_agents = False
            for agent in agents & rules.keys():
                if value:  # an empty Disallow allows everything, like no rule
                    rules[agent].append((key == "allow", _normal(value)))
        elif key == "crawl-delay" and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value):
            in_agents = False
            delays |= dict.fromkeys(agents, float(value))
    agent = us if named else "*"
    return Rules(tuple(rules[agent]), delays.get(agent), tuple(dict.fromkeys(sitemaps)))


class Robots:
    """The rules of each host, requested once. Threads share it: one requests, the others of that host wait for it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._rules: dict[str, Future[Rules]] = {}

    def is_cached(self, target: Target) -> bool:
        return target.origin in self._rules

    def rules(self, target: Target, deadline_s: float = ROBOTS_S) -> Rules:
        own: Future[Rules] = Future()
        rules = self._rules.setdefault(target.origin, own)
        if rules is own:
            try:
                own.set_result(self._request(f"{target.origin}/robots.txt", deadline_s))
            except BaseException as error:
                own.set_exception(error)
        return rules.result()

    def _request(self, url: str, deadline_s: float) -> Rules:
        answer = self.session.get(url, deadline_s=deadline_s, max_bytes=MAX_BYTES, partial=True)
        status = answer.status
        if status in ("ok", "too_large", "truncated") and answer.http_status is not None:
            return parse(answer.body, self.session.user_agent)
        if status in ("dns", "refused", "tls", "timeout", "private_address", "bad_url"):
            # after a redirect this is "unreachable", which disallows everything; else it is the host's own failure
            return Rules(failed=status if len(answer.hops) <= 1 else "robots")
        if status in ("http_5xx", "http_429", "undecodable"):
            return Rules(failed="robots")
        return Rules()  # 4xx, too many redirects, empty: "unavailable", which allows everything
