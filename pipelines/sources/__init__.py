"""The kinds of sources a recipe may name. A new kind is one file beside these and one entry of `KINDS`."""

from pipelines.sources.conversations import CONVERSATIONS
from pipelines.sources.pairs import PAIRS
from pipelines.sources.pdf import PDF
from pipelines.sources.text import TEXT
from pipelines.sources.web import WEB

KINDS = {kind.name: kind for kind in (WEB, PAIRS, PDF, CONVERSATIONS, TEXT)}
