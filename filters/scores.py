"""Every score there is, by the level it is measured at, with its meaning: the names a rule table may use.

Scores are float32 unless the meaning says otherwise. "Share" is between 0 and 1. A null score means that the measure
does not apply (an image node has no words) or is not known (the page states no rendered size); a null score never drops
anything.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

#: measured on a text, whether that is a paragraph or the text nodes of a document joined by a blank line
TEXT: Final = MappingProxyType(
    {
        "words": "number of words: split at white space, stripped of special characters, empty ones left out",
        "characters": "number of code points, without the blank lines between paragraphs",
        "mean_word_length": "mean code points of a word; null without words",
        "char_repetition": "10-character n-grams: share taken by the most frequent of those seen twice or more (OBELICS)",
        "word_repetition": "5-word n-grams: share of those seen twice or more (OBELICS)",
        "special_characters": "share of characters that are white space, punctuation, symbols, ASCII digits or emoji",
        "stop_words": "share of words in the stop-word list of the document's language; null where there is no list",
        "flagged_words": "share of words in the list of adult words, of the document's language where it has one",
        "common_words": "share of words in the list of common words of the document's language; null where the recipe gives none",
        "spam_words": "share of words in the list of page furniture (share, subscribe, cookies ...)",
        "punctuation": "share of , ; : ? ! . among tokens; null for a paragraph of fewer than 12 tokens",
        "alpha_words": "share of words and numbers with a letter",
        "uppercase": "share of letters that are upper case; null without letters",
        "digits": "share of characters that are decimal digits",
        "damaged": "share of characters that are U+FFFD, control, or private use: a broken text layer or encoding",
        "language": "string: ISO 639-1 code by vote of the paragraphs; null where nothing speaks for any",
        "language_score": "confidence in that language, 0 to 1",
    }
)

#: of a text's lines, which are its paragraphs here: of one paragraph, a share is 0 or 1
LINES: Final = MappingProxyType(
    {
        "spaced_words": "number of pieces between white space, whatever they hold",
        "longest_word": "code points of the longest of them",
        "sentences": "number of sentences: ends of . ! ? before white space, and what is left after the last",
        "terminal_ends": "share of paragraphs that end in . ! ? or a straight quotation mark, and not in three full stops (C4)",
        "braces": "number of { in the text",
        "lorem_ipsum": "how often the text holds `lorem ipsum`, case ignored",
        "javascript": "share of paragraphs that name javascript; null without paragraphs",
        "policy": "share of paragraphs that hold a phrase of cookie or privacy notices; null without paragraphs",
    }
)

#: measured on a document as a whole
DOCUMENT_ONLY: Final = MappingProxyType(
    {
        "images": "number of image nodes",
        "paragraphs": "number of text nodes",
        "lines": "number of lines that are not blank: a paragraph is one, or several, as code is",
        "words_per_image": "words divided by images; null without images",
        "longest_paragraph": "words of the longest paragraph",
        "short_paragraphs": "share of paragraphs of four words or fewer; null without paragraphs",
        "short_lines": "share of lines of thirty characters or fewer; null without lines",
        "lines_per_word": "line breaks (one fewer than lines) per word or number; null without",
        "duplicate_lines": "share of lines that repeat an earlier one of the document; null without lines",
        "duplicate_line_characters": "characters of those, share of all lines' characters; null without",
        "gopher_words": "number of words and numbers: pieces stripped of punctuation and symbols, those left empty not counted",
        "gopher_word_length": "mean code points of those; null without",
        "gopher_stop_words": "how many of the, be, to, of, and, that, have, with occur",
        "hashes": "# per word or number",
        "ellipses": "... and … per word or number",
        "bullets": "share of lines that begin with a bullet or a dash; null without lines",
        "ellipsis_ends": "share of lines that end in an ellipsis; null without lines",
        "sentence_ends": "share of lines that end in a mark that ends sentences, of any script; null without lines",
        **{
            f"top_{n}_gram": f"characters of the most frequent {n} words in a row, times their count, share of all"
            for n in (2, 3, 4)
        },
        **{
            f"duplicate_{n}_grams": f"characters of {n} words in a row that were met before, share of all"
            for n in range(5, 11)
        },
        "emails": "number of e-mail addresses",
        "phones": "number of telephone numbers",
        "ips": "number of public IP addresses",
        "cards": "number of payment card numbers (Luhn)",
        "ibans": "number of bank account numbers (IBAN)",
        "word_confidence": "mean confidence of the words of a PDF page, 0 to 1; null where nodes have no words",
    }
)

DOCUMENT: Final = MappingProxyType({**TEXT, **LINES, **DOCUMENT_ONLY})
NODE: Final = MappingProxyType({**TEXT, **LINES})

#: no stored scores of a paragraph: known when the other paragraph rules have decided (`filters.decide`)
NODE_DECIDED: Final = MappingProxyType(
    {
        "followed": "of a heading: 1 where kept text or a kept image stands under it, 0 where none does; null for other paragraphs",
    }
)


#: what the page alone says of an image, before it is fetched
IMAGE_ON_PAGE: Final = MappingProxyType(
    {
        "rendered_min": "shorter side the page states, pixels; null where it states none",
        "rendered_max": "longer side the page states, pixels",
        "banned_url": "number of banned words in the address (whole words of its path and host)",
        "alt_words": "number of words of the alternative text, 0 without one",
    }
)

#: what is known once it is fetched
IMAGE_FETCHED: Final = MappingProxyType(
    {
        "status": "string: outcome of the fetch, `ok` where there are bytes",
        "format": "string: jpeg, png, webp, gif, ... of the original bytes",
        "side_min": "shorter side, pixels",
        "side_max": "longer side, pixels",
        "aspect": "longer side divided by shorter side",
        "pixels": "width times height",
        "frames": "number of frames; more than 1 is an animation",
        "bytes": "bytes as fetched",
        "bytes_per_pixel": "bytes divided by pixels: near nothing for images of one colour",
        "optout": "string: the opt-out directive met; null where none",
    }
)

#: what its pixels say (`filters.pixels`); measured where a rule asks, or the recipe's `images.pixels`
IMAGE_PIXELS: Final = MappingProxyType(
    {
        "entropy": "of the grey levels, bits, 0 to 8",
        "blur": "variance of the Laplacian of the grey levels, at 512 pixels: low where blurred",
        "solid": "share of pixels within eight grey levels of the median",
        "qr": "share of the picture that QR codes cover",
    }
)

#: how it goes with the text of its document, by the two models of the recipe's `images.similarity` (`filters.vectors`)
IMAGE_SIMILARITY: Final = MappingProxyType(
    {
        "similarity": "cosine of image and text: the nearest of the document's kept paragraphs, or the caption",
        "relevance_rank": "how many of 63 texts of other documents are as near or nearer, 0 to 63; null where the part holds fewer",
    }
)

IMAGE: Final = MappingProxyType({**IMAGE_FETCHED, **IMAGE_ON_PAGE, **IMAGE_PIXELS, **IMAGE_SIMILARITY})

#: scores that are strings: a rule on them has `any_of`, all others have `min` or `max`
STRINGS: Final = frozenset({"language", "status", "format", "optout"})

LEVELS: Final = MappingProxyType(
    {"document": DOCUMENT, "node": MappingProxyType({**NODE, **NODE_DECIDED}), "image": IMAGE}
)
