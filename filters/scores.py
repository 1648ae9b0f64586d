"""All scores by their level, with their definitions: the names that a rule table may use.

Scores are float32 unless the definition says "string". A share is between 0 and 1. A score is null where it does not
apply (an image node has no words) or is unknown (the page states no size of an image); a null score never drops.
"""

from collections.abc import Mapping
from typing import Final

#: of a text: a paragraph, or the text nodes of a document joined by blank lines
TEXT: Final[Mapping[str, str]] = {
    "words": "number of words: split at white space, without special characters at the ends, not empty; in scripts "
    "without blanks between words, letters by their part of a word (`manifests.words`)",
    "characters": "number of code points, without the blank lines between paragraphs",
    "mean_word_length": "mean code points of a word; null without words",
    "char_repetition": "10-character n-grams: share of the most frequent ones that occur twice or more (OBELICS)",
    "word_repetition": "5-word n-grams: share of those that occur twice or more (OBELICS)",
    "special_characters": "share of characters that are white space, punctuation, symbols, ASCII digits or emoji",
    "stop_words": "share of words in the stop-word list of the document's language; null without a list",
    "flagged_words": "share of words in the list of adult words, of the document's language where it has one",
    "common_words": "share of words in the list of common words of the language; null without a list",
    "spam_words": "share of words in the list of page furniture (share, subscribe, cookies ...)",
    "punctuation": "share of , ; : ? ! . among tokens; null for a paragraph of fewer than 12 tokens",
    "alpha_words": "share of words and numbers with a letter",
    "uppercase": "share of letters that are upper case; null without letters",
    "digits": "share of characters that are decimal digits",
    "damaged": "share of characters that are U+FFFD, control, or private use: a broken text layer or encoding",
    "language": "string: ISO 639-1 code by vote of the paragraphs; null without one",
    "language_score": "confidence in that language, 0 to 1",
}

#: of a text's paragraphs, so the share of a paragraph is 0 or 1
LINES: Final[Mapping[str, str]] = {
    "spaced_words": "number of runs without white space",
    "longest_word": "code points of the longest run without white space",
    "sentences": "number of sentences: . ! ? before white space, and one for a rest",
    "terminal_ends": "share of paragraphs that end in . ! ? or a straight quotation mark, not in ... (C4)",
    "braces": "number of { in the text",
    "lorem_ipsum": "number of times that `lorem ipsum` occurs, in any case",
    "javascript": "share of paragraphs with the word javascript; null without paragraphs",
    "policy": "share of paragraphs with a phrase of cookie or privacy notices; null without any",
}

#: scores that blanks, the marks of English, or the lengths of its words and lines define. They are null for a text with
#: more than half of its words in scripts without blanks between words (`manifests.words`): FineWeb-2 (arXiv 2506.20920)
#: has other limits for each such language, as 0 lines with a mark at the end for Thai. ``spaced_words`` is ``words``
#: there.
NEED_BLANKS: Final = frozenset(
    {"mean_word_length", "stop_words", "common_words", "punctuation", "longest_word", "sentences", "terminal_ends"}
    | {"short_lines", "gopher_word_length", "gopher_stop_words", "sentence_ends"}
)

#: of a document only
DOCUMENT_ONLY: Final[Mapping[str, str]] = {
    "images": "number of image nodes",
    "paragraphs": "number of text nodes",
    "lines": "number of lines that are not blank; a paragraph (of code) may have several",
    "words_per_image": "words divided by images; null without images",
    "longest_paragraph": "words of the longest paragraph",
    "short_paragraphs": "share of paragraphs of four words or fewer; null without paragraphs",
    "short_lines": "share of lines of thirty characters or fewer; null without lines",
    "lines_per_word": "line breaks (one fewer than lines) per word or number; null without",
    "duplicate_lines": "share of lines that repeat an earlier one of the document; null without lines",
    "duplicate_line_characters": "share of characters in those lines; null without lines",
    "gopher_words": "number of words and numbers: runs without punctuation and symbols at the ends",
    "gopher_word_length": "mean code points of words and numbers; null without",
    "gopher_stop_words": "how many of the words the, be, to, of, and, that, have, with occur",
    "hashes": "# per word or number",
    "ellipses": "... and … per word or number",
    "bullets": "share of lines that begin with a bullet or a dash; null without lines",
    "ellipsis_ends": "share of lines that end in an ellipsis; null without lines",
    "sentence_ends": "share of lines that end in a sentence terminator of any script; null without lines",
    **{f"top_{n}_gram": f"share of characters in copies of the most frequent {n} words in a row" for n in (2, 3, 4)},
    **{f"duplicate_{n}_grams": f"share of characters in {n} words in a row that occur earlier" for n in range(5, 11)},
    "emails": "number of e-mail addresses",
    "phones": "number of telephone numbers",
    "ips": "number of public IP addresses",
    "cards": "number of payment card numbers (Luhn)",
    "ibans": "number of bank account numbers (IBAN)",
    "word_confidence": "mean confidence of the words of a PDF page, 0 to 1; null without words",
}

DOCUMENT: Final[Mapping[str, str]] = {**TEXT, **LINES, **DOCUMENT_ONLY}
NODE: Final[Mapping[str, str]] = {**TEXT, **LINES}

#: of a paragraph, not stored: computed after the other paragraph rules are applied (`filters.decide`)
NODE_DECIDED: Final[Mapping[str, str]] = {
    "followed": "of a heading: 1 where kept text or a kept image is under it, else 0; null for others",
}

#: of an image, from the page alone
IMAGE_ON_PAGE: Final[Mapping[str, str]] = {
    "rendered_min": "shorter side in pixels, as the page states it; null without one",
    "rendered_max": "longer side in pixels, as the page states it; null without one",
    "banned_url": "number of banned words in the address (whole words of its path and host)",
    "alt_words": "number of words of the alternative text, 0 without one",
}

#: of an image, from its fetch
IMAGE_FETCHED: Final[Mapping[str, str]] = {
    "status": "string: outcome of the fetch, `ok` for an image",
    "format": "string: jpeg, png, webp, gif, ... of the original bytes",
    "side_min": "shorter side, pixels",
    "side_max": "longer side, pixels",
    "aspect": "longer side divided by shorter side",
    "pixels": "width times height",
    "frames": "number of frames; more than 1 is an animation",
    "bytes": "bytes as fetched",
    "bytes_per_pixel": "bytes divided by pixels: near 0 for images of one colour",
    "optout": "string: the opt-out directive; null without one",
}

#: of an image's pixels (`filters.pixels`); computed where a rule, or `images.pixels` of the recipe, needs them
IMAGE_PIXELS: Final[Mapping[str, str]] = {
    "entropy": "of the grey levels, bits, 0 to 8",
    "blur": "variance of the Laplacian of the grey levels at 512 pixels: low for a blurred image",
    "solid": "share of pixels within eight grey levels of the median",
    "qr": "share of the picture that QR codes cover",
}

#: of an image with the text of its document, by the models of the recipe's `images.similarity` (`filters.vectors`)
IMAGE_SIMILARITY: Final[Mapping[str, str]] = {
    "similarity": "cosine of image and text: the nearest of the document's kept paragraphs, or the caption",
    "relevance_rank": "how many of 63 texts of other documents are as near or nearer; null where there are fewer",
}

IMAGE: Final[Mapping[str, str]] = {**IMAGE_FETCHED, **IMAGE_ON_PAGE, **IMAGE_PIXELS, **IMAGE_SIMILARITY}

#: scores that are strings: a rule on them has `any_of`, a rule on another score has `min` or `max`
STRINGS: Final = frozenset({"language", "status", "format", "optout"})

LEVELS: Final[Mapping[str, Mapping[str, str]]] = {
    "document": DOCUMENT,
    "node": {**NODE, **NODE_DECIDED},
    "image": IMAGE,
}
