"""Words beside an image that say nothing of what it shows: file names, addresses, credits, what templates and machines
fill in.

Tables by purpose, in many languages: such a line is no caption, whatever site it stands on. What an image shows is for
models to judge.
"""

from __future__ import annotations

import html
import re

from pipelines.html.hints import words

#: longest line that is but a credit, characters
CREDIT = 90
#: words in small letters, longer than "from" or "and", from which a line describes
PLAIN = 3

_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_LETTERS = re.compile(r"[^\W\d_]+")
_FILE = re.compile(r"(?:https?://|www\.)\S+|\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|avif|heic)", re.I)
# what cameras, phones and editors call a file
_CAMERA = re.compile(
    r"(?:img|dscn?|dscf|dsc_|pict?|p|image|screen ?shot|whatsapp image|unnamed|untitled|unbenannt)[\W_]*\d[\d\W_]*\w{0,3}",
    re.I,
)
# words of which a line may be made that names the place of an image in a layout, and not the image
_LAYOUT = words(
    """
    image images img picture pictures pic pics photo photos photograph icon logo avatar thumbnail thumb placeholder banner header hero cover
    featured slide slider gallery screenshot untitled unnamed default alt caption figure fig illustration graphic poster profile user author
    for of the a an post article blog page story small big large full main web px x w h no title null undefined none loading lazy loaded
    component
    bild bilder foto fotos abbildung abb grafik titelbild beitragsbild vorschaubild aufmacher platzhalter von zum zur des der ein eine kein
    imagen imágenes imagem imagens fotografía foto de del la el da do post artículo
    immagine immagini copertina photographie vignette du le
    afbeelding plaatje zdjęcie obraz obrazek фото изображение картинка kuva bilde billede görsel resim
    """
)
_CREDIT_WORDS = (
    r"(?:image |photo |picture )?credits?|illustrations?|photo(?:graph|graphy|s)?(?: by| courtesy)?|images? (?:via|courtesy|copyright|by)|via|source"
    r"|courtesy(?: of)?|copyright|foto(?:s|grafie|credit)?|bild(?:er|quelle|nachweis|rechte)?|quelle|grafik|crédits?(?: photos?)?|créditos?"
    r"|fuente|fonte|imagen|imagem|zdjęcie|fot|źródło|kuva|фото|источник"
)
_CREDIT = re.compile(
    rf"[\W_]*(?:(?:{_CREDIT_WORDS})\s*[:©|/]|(?:{_CREDIT_WORDS})\s+(?:by|via|from|von|de|par)\b|©|\(c\)|image copyright\b)(.*)",
    re.I | re.S,
)
_AGENCIES = re.compile(
    r"\b(?:getty ?images?|shutterstock|reuters|associated press|ap photo|afp|dpa|imago|adobe ?stock|istock|unsplash|pixabay|pexels|flickr)\b",
    re.I,
)
# what networks and players put where nobody wrote anything
_MACHINE = re.compile(
    r"(?:may be an image of|image may contain|no photo description|puede ser una imagen de|pode ser uma imagem de|kann ein bild von"
    r"|peut être une image de|potrebbe essere un'immagine|avatar (?:of|von|de|for|para)\b|(?:media|video) playback|illustration for article titled"
    r"|lazy loaded|click to (?:enlarge|view|zoom)|zum vergrößern|view (?:full|larger) (?:size|image))",
    re.I,
)


def clean(text: str | None) -> str | None:
    """One line without markup: entities that were escaped twice are undone, tags that were written into an attribute
    go.
    """
    if not text:
        return None
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    return " ".join(text.split()) or None


def says_nothing(text: str) -> bool:
    """Whether a line is a file name, an address, a word for "picture", or what a machine has filled in."""
    if _FILE.fullmatch(text) or _CAMERA.fullmatch(text) or _MACHINE.match(text):
        return True
    of = _LETTERS.findall(text.lower())
    if _LAYOUT.issuperset(of):
        return True
    # one word with digits or underscores: a file name, unless its script writes without blanks
    return " " not in text and max(text) < "\u2e80" and any(c.isdigit() or c == "_" for c in text)


def is_credit(text: str) -> bool:
    """Whether a line says who made or owns the picture, and nothing else."""
    if len(text) > CREDIT:
        return False
    if said := _CREDIT.match(text):  # "Photo: " may also open a description, which has words that are no names
        of: list[str] = _LETTERS.findall(said[1])
        return sum(word.islower() and len(word) > 3 for word in of) < PLAIN
    rest = _AGENCIES.sub("", text)
    return rest != text and len(_LETTERS.findall(rest)) <= 2
