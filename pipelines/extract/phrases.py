"""Words that open what is not the article: teasers, shares, comments, in the languages most pages are written in.

A table of phrases, by language, matched at the start of a short line. Each is common to the web at large, and belongs to no site.
"""

from __future__ import annotations

import re

_TEASERS = {
    "en": (
        r"more (?:from|in|on|stories|news|about|coverage|like this)\b|related\b|read (?:more|also|next|on)\b|also read\b"
        r"|you (?:may|might) (?:also|be)|most (?:read|popular|viewed|shared|commented)|recommended\b|trending\b"
        r"|popular (?:posts|stories|now|articles)|latest (?:news|stories|posts|articles)|don'?t miss|see also|also on\b"
        r"|what to read next|up next|top stories|editor'?s? (?:picks?|choice)|sponsored|advert(?:isement)?\b|promoted|close\W*$"
        r"|caption\W*$|further reading|keep reading|continue reading|story continues|click here|share this"
        r"|share (?:on|via|article)|share\W*$|comments?\W*\d*\W*$|\d+ comments?|leave a (?:reply|comment)|post a comment"
        r"|join the (?:conversation|discussion)|about the authors?|sign up\b|newsletter|subscribe\b|get (?:our|the) .{0,30}newsletter"
        r"|follow us|like us|tags?\W*$|tags?:|topics?:|filed under|posted in|categories|breaking news\W*$|want more"
        r"|similar (?:posts|articles|stories|products)|popular on|in other news|watch (?:now|next|more)|previous\W*$|next\W*$"
        r"|this slideshow requires|please enable|your browser does not"
        r"|print this|email this|report this|log ?in\b"
    ),
    "de": (
        r"lesen sie (?:auch|mehr|dazu|hier|weiter)|lies (?:auch|mehr|hier)"
        r"|mehr (?:zum thema|zu\b|aus\b|von\b|lesen|dazu|infos|informationen)|das könnte (?:sie|dich|euch)"
        r"|(?:auch|ebenfalls) interessant|schon gelesen|ähnliche (?:artikel|beiträge|themen|produkte)"
        r"|weitere (?:artikel|beiträge|themen|meldungen|news|nachrichten|links|infos|informationen|tipps)|weiterlesen"
        r"|kommentare?\W*\d*\W*$|\d+ kommentare?|kommentar (?:schreiben|verfassen|hinterlassen)|über (?:den|die) autor|teilen\W*$"
        r"|artikel (?:teilen|drucken|weiterempfehlen)|verwandte|passend (?:zum|dazu)|zum thema\W*$|schlagw[oö]rt|meistgelesen"
        r"|beliebte(?:ste)? |neueste |anzeige\W*$|werbung\W*$|newsletter|folgen sie uns|jetzt (?:lesen|anmelden|abonnieren)"
        r"|hinterlasse |schreibe? einen kommentar|vorheriger|nächster|zurück\W*$|nach oben|drucken\W*$"
    ),
    "fr": (
        r"lire (?:aussi|la suite|également|plus)|à lire (?:aussi|également)?|sur le même (?:sujet|thème)"
        r"|articles? (?:liés|similaires|associés|connexes)|(?:\d+ )?commentaires?\W*\d*\W*$|partager\W*$|partagez|voir aussi"
        r"|à (?:ne pas manquer|voir aussi)|vous aimerez|recommandé|les plus lus|laisser un commentaire|inscrivez-vous|publicité\W*$"
        r"|crédits? photos?"
    ),
    "es": (
        r"(?:lea|lee|leer|ver|mira) (?:también|más|además)|te puede interesar|le puede interesar|noticias relacionadas"
        r"|(?:artículos|temas|notas) relacionad|comparte|compartir\W*$|(?:\d+ )?comentarios?\W*\d*\W*$"
        r"|más (?:noticias|información|sobre|leídas)|lo más (?:leído|visto)|deja (?:un|tu) comentario|suscr[ií]b|publicidad\W*$"
        r"|etiquetas|además\W*$|relacionad[oa]s?\W*$"
    ),
    "pt": (
        r"lei[at] (?:também|mais)|veja (?:também|mais)|(?:artigos|notícias|matérias) relacionad|comentários?\W*\d*\W*$|compartilh"
        r"|mais (?:lidas|notícias)|saiba mais|deixe (?:um|seu) comentário|inscreva"
    ),
    "it": (
        r"leggi anche|potrebbe interessarti|(?:articoli|notizie) correlat|commenti?\W*\d*\W*$|condividi\b|leggi (?:tutto|di più)"
        r"|lascia un commento|iscriviti"
    ),
    "nl": (
        r"lees (?:ook|meer|verder)|gerelateerd|(?:\d+ )?reacties?\W*\d*\W*$|deel (?:dit|op)|meer (?:over|nieuws|lezen)|bekijk ook"
        r"|aanbevolen"
    ),
    "pl": (
        r"czytaj (?:też|także|również|więcej|dalej)|zobacz (?:też|także|również|więcej)|przeczytaj (?:też|także|również)|powiązane"
        r"|komentarze|udostępnij|polecamy|podobne|najczęściej czytane|dodaj komentarz|reklama\W*$"
    ),
    "other": (
        r"čtěte (?:také|více)|související|читайте также|похожие|комментари|по теме|поделиться|смотрите также|läs (?:också|mer|även)"
        r"|les også|les mer|læs også|lue myös|olvassa el|kapcsolódó|ilgili haberler|kommentarer?\W*\d*\W*$|関連記事|関連リンク|相关(?:阅读|新闻|文章)"
        r"|推荐阅读|評論|공유|관련 ?기사|اقرأ أيضا|مواضيع ذات صلة"
    ),
}

_START = re.compile(r"[\W_]*(?:" + "|".join(f"(?:{phrases})" for phrases in _TEASERS.values()) + ")", re.I)

#: a line longer than this is prose, whatever it starts with, characters
SHORT = 90


def opens_teaser(text: str) -> bool:
    """Whether a short line is the title of a list of teasers, of a comment section, or of sharing buttons."""
    return len(text) <= SHORT and _START.match(text) is not None
