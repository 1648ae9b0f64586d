"""The sample web: articles, pictures, PDFs and planted faults, made by code and served on loopback.

``SEEDS`` are the addresses to start a crawl from (every host has a sitemap, named in its robots.txt), ``HOSTS`` all
hosts,
``serve`` runs the proxy, ``write_pairs`` writes the list of image addresses with captions, ``write_conversations``
questions about them, ``FAULTS`` says what is wrong where.
"""

from pipelines.sample.faults import FAULTS, Fault
from pipelines.sample.pairs import write_pairs
from pipelines.sample.questions import write_conversations
from pipelines.sample.server import serve
from pipelines.sample.web import HOSTS

SEEDS: tuple[str, ...] = tuple(f"http://{host}/" for host in HOSTS if host != "pictures.example")

__all__ = ["FAULTS", "HOSTS", "SEEDS", "Fault", "serve", "write_conversations", "write_pairs"]
