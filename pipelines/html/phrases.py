"""Words that open what is not the article: other articles, advertisements, comments, sharing, filing.

A table by purpose and language, matched at the start of a short line. Each phrase is what pages in that language call
such a thing, on any site; none is here for the sake of one site.
"""

from __future__ import annotations

import re

_OPENERS: dict[str, dict[str, str]] = {
    "other articles": {
        "en": r"related\b(?! (?:work|concepts?|to)\b)|read (?:more|also|next|on)\b|also read\b|more (?:from|in|on"
        r"|stories|news|about|like this)\b|most (?:read|popular|viewed)|you (?:may|might) (?:also|be)|recommended\b"
        r"|trending\b|popular (?:posts|stories)|latest (?:news|stories|posts)|see also|top stories",
        "de": r"lesen sie (?:auch|mehr|dazu|hier|weiter)|lies (?:auch|mehr)|mehr (?:zu[mr]?|aus|von|lesen|dazu)\b"
        r"|weiterlesen|schon gelesen|(?:ähnliche|weitere|verwandte|neueste|beliebte(?:ste)?) (?:artikel|beiträge"
        r"|themen|meldungen|nachrichten|news)|meistgelesen|das könnte (?:sie|dich|euch)|(?:auch|ebenfalls) interessant",
        "fr": r"(?:à )?lire (?:aussi|la suite|également|plus)|sur le même (?:sujet|thème)|articles? (?:liés|similaires"
        r"|associés)|voir aussi|vous aimerez|les plus lus",
        "es": r"(?:lea|lee|leer|ver|mira) (?:también|más|además)|[tl]e puede interesar|(?:noticias|artículos|temas"
        r"|notas) relacionad|más (?:noticias|leídas)|lo más (?:leído|visto)",
        "pt": r"(?:lei[at]|veja) (?:também|mais)|(?:artigos|notícias|matérias) relacionad|mais (?:lidas|notícias)"
        r"|saiba mais",
        "it": r"leggi (?:anche|tutto)|potrebbe interessarti|(?:articoli|notizie) correlat",
        "nl": r"lees (?:ook|meer|verder)|gerelateerd|meer (?:over|nieuws|lezen)|bekijk ook|aanbevolen",
        "pl": r"(?:prze)?(?:czytaj|zobacz) (?:też|także|również|więcej|dalej)|powiązane|polecamy|podobne"
        r"|najczęściej czytane",
        "ru": r"читайте также|смотрите также|похожие|по теме|(?:самые |самое )?популярн\w+|добавить (?:отзыв"
        r"|комментарий)|отзывы\W*$",
        "sv, no, da": r"l[äæe]s (?:också|mer|även|også)|les (?:også|mer)",
        "cs, fi, hu, tr": r"čtěte (?:také|více)|související|lue myös|olvassa el|kapcsolódó|ilgili haberler",
        "ja, zh, ko, ar": r"関連(?:記事|リンク)|相关(?:阅读|新闻|文章)|推荐阅读|관련 ?기사|اقرأ أيضا|مواضيع ذات صلة",
    },
    "advertisements": {
        "en, de, fr, es, pl": r"advert(?:isement)?\b|sponsored|promoted"
        r"|(?:anzeige|werbung|publicité|publicidad|reklama)\W*$"
    },
    "comments": {
        "en": r"(?:\d+ )?comments?\W*\d*\W*$|leave a (?:reply|comment)|post a comment|join the (?:conversation"
        r"|discussion)",
        "de": r"(?:\d+ )?kommentare?\W*\d*\W*$|kommentar (?:schreiben|verfassen|hinterlassen)"
        r"|schreibe? einen kommentar",
        "fr, es, pt, it": r"(?:\d+ )?(?:commentaires?|comentarios?|comentários?|commenti?)\W*\d*\W*$"
        r"|(?:laisser un|deja (?:un|tu)|deixe (?:um|seu)|lascia un) com+ent",
        "nl, pl, ru, sv": r"(?:\d+ )?(?:reacties?|komentarze|комментарии|kommentarer?)\W*\d*\W*$|dodaj komentarz",
    },
    "sharing and subscribing": {
        "en": r"share (?:this|on|via|article)|share\W*$|subscribe\b|sign up\b|newsletter|follow us",
        "de": r"teilen\W*$|artikel (?:teilen|drucken)|folgen sie uns|jetzt (?:anmelden|abonnieren)",
        "fr, es, pt, it": r"partage[rz]\b|inscrivez-vous|comparti[rl]|comparte|suscr[ií]b|inscreva|condividi\b"
        r"|iscriviti",
        "nl, pl, ru, ko": r"deel (?:dit|op)|udostępnij|поделиться|공유",
    },
    "filing": {
        "en": r"tags?(?::|\W*$)|topics?:|filed under|posted in|categories|about the authors?\b",
        "de, es": r"schlagw[oö]rt|über (?:den|die) autor|etiquetas",
    },
}


def _any(phrases: dict[str, dict[str, str]]) -> str:
    return "|".join(f"(?:{phrase})" for by_language in phrases.values() for phrase in by_language.values())


_START = re.compile(rf"[\W_]*(?:{_any(_OPENERS)})", re.I)

# what closes an article, anywhere in its last lines
_NETWORK = r"(?:facebook|twitter|instagram|youtube|telegram|whatsapp|tiktok|linkedin|pinterest)"
_CLOSERS: dict[str, dict[str, str]] = {
    "following": {
        "en": rf"\bfollow\b[^.!?]{{0,80}}\b{_NETWORK}|\b(?:like|find|visit|join) us on\b",
        "de": rf"\b(?:folgt?|folgen sie|besucht|liken sie)\b[^.!?]{{0,80}}\b{_NETWORK}",
        "fr, es, pt, it": rf"\b(?:suivez|s[ií]gu[ea]nos|segu[ie](?:ci)?|siga|únete)\b[^.!?]{{0,80}}\b{_NETWORK}",
        "nl, pl": rf"\b(?:volg|obserwuj|śledź)\b[^.!?]{{0,80}}\b{_NETWORK}",
    },
    "subscribing": {
        "en": r"\b(?:subscribe|sign up|signing up)\b[^.!?]{0,80}\b(?:newsletter|edition|inbox)"
        r"|\bget\b[^.!?]{0,60}\b(?:newsletter|your inbox)",
        "de": r"\bnewsletter\b[^.!?]{0,60}\b(?:abonnier|anmeld|bestell)|\b(?:abonnier"
        r"|hol dir)\w*[^.!?]{0,60}\bnewsletter",
        "fr, es, pt, it": r"\b(?:inscri|abonn|suscr[ií]b|subscrev|iscriv)\w*[^.!?]{0,60}\b(?:newsletter|bolet[ií]n)",
    },
    "rights": {
        "all": r"all rights reserved|alle rechte vorbehalten|tous droits réservés|(?:todos los derechos"
        r"|todos os direitos) reservados|tutti i diritti riservati|wszelkie prawa zastrzeżone"
        r"|все права защищены|版权所有"
    },
}
# one of these is in every such line: a search for them first is twenty times faster than the expression
_CLOSE_WORDS = (
    "follow", "us on", "folg", "besucht", "liken", "suivez", "síg", "sig", "segu", "únete", "volg", "obserwuj", "śledź",
    "newsletter", "inbox", "edition", "bolet", "reserv", "vorbehalten", "riservati", "zastrzeżone", "защищены",
    "版权所有",
)  # fmt: skip
_CLOSE = re.compile(_any(_CLOSERS), re.I)

CLOSING = 260  # characters of the longest line that only closes an article
SHORT = 90  # characters from which a line is prose, whatever it starts with


def opens_teaser(text: str) -> bool:
    """Whether a short line is the title of a list of teasers, of a comment section, or of sharing buttons."""
    return len(text) <= SHORT and _START.match(text) is not None


def closes(text: str) -> bool:
    """Whether a line asks the reader to follow or to subscribe, or reserves all rights."""
    lower = text.lower() if len(text) <= CLOSING else ""
    return any(word in lower for word in _CLOSE_WORDS) and _CLOSE.search(text) is not None
