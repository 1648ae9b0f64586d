"""The sample web: articles, pictures, PDFs and planted faults, made by code and served on loopback.

SEEDS are the addresses at which a crawl starts (every host has a sitemap, which its robots.txt names); HOSTS are all
hosts; FAULTS say what is wrong where. `serve` runs the proxy. `write_pairs` writes a list of image addresses with
captions, `write_conversations` sets of questions about these images, and `write_texts` documents of text alone.
"""

from pipelines.sample.faults import FAULTS, Fault
from pipelines.sample.pairs import write_pairs
from pipelines.sample.questions import write_conversations
from pipelines.sample.server import serve
from pipelines.sample.texts import write_texts
from pipelines.sample.web import HOSTS

SEEDS: tuple[str, ...] = tuple(f"http://{host}/" for host in HOSTS if host != "pictures.example")

__all__ = ["FAULTS", "HOSTS", "SEEDS", "Fault", "serve", "write_conversations", "write_pairs", "write_texts"]
