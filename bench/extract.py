"""HTML to main content on one core: this project, trafilatura with images, resiliparse. The limit is lexbor's parse.

Pages: the real ones beside the checkout (../shared/realweb) where they exist, else generated ones; each row says which.
All contenders read the same bytes in one process, in turns, so that other load of the machine affects them alike.
Figures are medians of processor time. `of_limit` is the speed as a share of lexbor's parse with one full walk in the
same run.
"""

import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench._inputs import PAGES, random_words
from bench._timed import ROUNDS, interleaved
from pipelines.html.page import extract
from pipelines.warc.read import Record, records

Row = dict[str, Any]
Page = tuple[str, bytes]


def pages() -> tuple[str, list[Page]]:
    """The source of the pages, and the address and bytes of each page."""
    if PAGES.exists():
        return "real pages", [(r.url, r.payload) for r in records(str(PAGES)) if isinstance(r, Record)]
    rng = random.Random(1)
    words = random_words(rng, 5000)

    def prose(n: int) -> str:
        return " ".join(rng.choices(words, k=n))

    def page(i: int) -> bytes:
        menu = "".join(f"<li class='menu-item m{k}'><a href='/{k}'>{prose(2)}</a></li>" for k in range(80))
        body = "".join(
            f"<p class='p{k}'>{prose(60)}, <b>{prose(3)}</b>.</p><img src='/{i}/{k}.jpg' alt='{prose(4)}'>"
            for k in range(20)
        )
        head = f"<head><title>{prose(5)}</title></head>"
        return f"<html>{head}<body><nav><ul>{menu}</ul></nav><article>{body}</article></body></html>".encode()

    return "generated pages", [(f"https://site.org/{i}", page(i)) for i in range(200)]


def _ours(url: str, html: bytes) -> object:
    return extract(html, url, "text/html").nodes


def _lexbor(url: str, html: bytes) -> object:
    from selectolax.lexbor import LexborHTMLParser

    nodes = LexborHTMLParser(html).root.traverse(include_text=True)
    return sum(len(node.text_content or "") if node.is_text_node else len(node.attributes) for node in nodes)


def _resiliparse(url: str, html: bytes) -> object:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    return extract_plain_text(bytes_to_str(html, detect_encoding(html)), main_content=True)


def _trafilatura(url: str, html: bytes) -> object:
    import trafilatura

    return trafilatura.extract(html, url=url, include_images=True, include_comments=False)


CONTENDERS: dict[str, Callable[[str, bytes], object]] = {
    "ours": _ours,
    "lexbor parse and walk": _lexbor,
    "resiliparse main content, text only": _resiliparse,
    "trafilatura with images": _trafilatura,
}


def rows(rounds: int = ROUNDS) -> list[Row]:
    """A row for each contender: pages, pages a second on one core (median of `rounds`), and its share of the limit."""
    source, inputs = pages()

    def seconds(read: Callable[[str, bytes], object]) -> float:
        start = time.process_time()
        for url, html in inputs:
            read(url, html)
        return time.process_time() - start

    for read in CONTENDERS.values():  # warm up: imports, tables, caches
        for url, html in inputs[:20]:
            read(url, html)
    results = interleaved({name: partial(seconds, read) for name, read in CONTENDERS.items()}, rounds)
    rates = {name: len(inputs) / statistics.median(measured) for name, measured in results.items()}
    limit = rates["lexbor parse and walk"]
    return [
        {"contender": name, "source": source, "pages": len(inputs), "pages_per_s": rate, "of_limit": rate / limit}
        for name, rate in rates.items()
    ]
