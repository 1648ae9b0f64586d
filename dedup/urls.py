"""One spelling for the addresses of one page."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Parameters that name where a visitor came from, never what is shown: the lists of campaign parameters that Google
# Analytics (utm_*), Google Ads (gclid), Meta (fbclid), Microsoft (msclkid), Mailchimp (mc_cid, mc_eid), HubSpot
# (_hsenc, _hsmi) and Yandex (yclid) document.
TRACKING = re.compile(
    r"(?:utm_[a-z_]+|gclid|dclid|gbraid|wbraid|fbclid|msclkid|mc_[ce]id|_hsenc|_hsmi|yclid)(?:=|$)", re.IGNORECASE
)
PORTS = {"http": ":80", "https": ":443"}


def canonical_page(url: str, page: int | None = None) -> str:
    """The key of a page's address: two spellings of one page share it, two pages do not.

    http and https are the same page; host in lower case, no default port, no user, no final dot; no fragment, unless it
    is a client-side route (``#!...``, ``#/...``); no campaign parameters; an empty path is ``/``. The order of
    parameters, the case of the path and ``www.`` stay: servers may tell them apart (OBELICS keeps ``www.`` distinct
    too, build_obelics/09). ``page`` tells the pages of one PDF apart. An address that does not parse is its own key.
    """
    url = url.strip()
    try:
        split = urlsplit(url)
    except ValueError:
        return url
    scheme = split.scheme.lower()
    if scheme not in PORTS or not split.netloc:
        key = url
    else:
        host = split.netloc.rpartition("@")[2].lower().removesuffix(PORTS[scheme]).rstrip(".")
        query = "&".join(p for p in split.query.split("&") if p and not TRACKING.match(p))
        fragment = "#" + split.fragment if split.fragment[:1] in ("!", "/") else ""
        key = f"//{host}{split.path or '/'}{'?' + query if query else ''}{fragment}"
    return key if page is None else f"{key} page {page}"
