"""The canonical address of a page, by which duplicates are found."""

import re
from urllib.parse import urlsplit

# Campaign parameters. They say how a visitor came to a page and do not change the page. Documented by Google Analytics
# (utm_*), Google Ads (gclid), Meta (fbclid), Microsoft (msclkid), Mailchimp (mc_cid, mc_eid), HubSpot (_hsenc, _hsmi)
# and Yandex (yclid).
TRACKING = re.compile(
    r"(?:utm_[a-z_]+|gclid|dclid|gbraid|wbraid|fbclid|msclkid|mc_[ce]id|_hsenc|_hsmi|yclid)(?:=|$)", re.IGNORECASE
)
PORTS = {"http": ":80", "https": ":443"}


def canonical_page(url: str, page: int | None = None) -> str:
    """The key of a page's address: two spellings of one page have the same key, two pages have not.

    Removed: the difference between http and https, the case of the host, a default port, a user name, a final dot of
    the host, campaign parameters, and the fragment (unless it is a client-side route: ``#!...``, ``#/...``). An empty
    path becomes ``/``. Kept, because servers may give other pages: the order of parameters, the case of the path and
    ``www.`` (OBELICS keeps it too, build_obelics/09). ``page``: number of a PDF's page, which becomes part of the key.
    An address that does not parse is its own key.
    """
    url = url.strip()
    try:
        split = urlsplit(url)
    except ValueError:
        return url
    key = url
    if split.scheme in PORTS and split.netloc:
        host = split.netloc.rpartition("@")[2].lower().removesuffix(PORTS[split.scheme]).rstrip(".")
        query = "&".join(p for p in split.query.split("&") if p and not TRACKING.match(p))
        fragment = "#" + split.fragment if split.fragment[:1] in ("!", "/") else ""
        key = f"//{host}{split.path or '/'}{'?' + query if query else ''}{fragment}"
    return key if page is None else f"{key} page {page}"
