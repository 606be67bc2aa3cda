"""What the words before an address say it is, where its host says nothing.

`Demo: https://…`, `accepted at the workshop (https://…)`, `a video is available at https://…`. Only the sentence
that leads to the address counts, and of two sentences joined by "and" the second.
"""

from __future__ import annotations

import re

REACH = 320
"""Characters before an address that are looked at."""

_PAGE = re.compile(r"project|home ?page|web ?(?:page|site)|\bpage\b|\bsite\b", re.I)
_OFFERED = re.compile(r"\b(?:available|release|open|publish|provide|project|page|site|code|demo)\w*", re.I)
_VENUE = re.compile(
    r"\b(?:accepted|submitted|appear(?:s|ed)?|published|publication|presented|proceedings|conference|symposium|workshop"
    r"|journal|transactions|article|(?:ph\.?d\.? |master'?s? |bachelor'?s? )?thesis|dissertation|held (?:in|at|on)"
    r"|takes? place|pre-?registered)\b",
    re.I,
)
_CODE = re.compile(
    r"\bcodes?\b|(?<!open[ -])\bsource|implementation|repositor|\bmodels?\b|weights|checkpoint|harness|toolkit"
    r"|leaderboard|\bresults?\s+and\b|\band\s+(?:results?|related resources)\b",
    re.I,
)
_THE_PAPER = re.compile(
    r"\b(?:definitive|final|official|published|publisher'?s|peer-reviewed|conference|journal|extended)\b[^.]{0,30}"
    r"\b(?:version|publication|article|paper|copy)\b|\bversion of record\b|\balso available (?:at|from|via|on)\b\W*$",
    re.I,
)
"""Words for the paper itself in another place."""

_VENUE_PAGE = re.compile(
    r"\b(?:conference|workshop|symposium|journal|challenge)(?:'s)?\s+(?:web)?(?:site|page)\b"
    r"|\b(?-i:[A-Z]{3,})[\w-]*\s?(?:20|')\d\d\s+(?:web)?(?:site|page)\b",
    re.I,
)
_EVENT_IN_BRACKETS = re.compile(
    r"\b(?:challenge|competition|(?:workshop|conference|symposium)(?: (?:on|of|for) [\w\s-]{3,60})?"
    r"|(?:annals|journal) of [\w\s]{3,30})\W{0,3}[(\[{]\s*$"
    r"|\b(?:challenge|competition|workshop) (?:@|at) [\w' ]{3,20}\s$"
    r"|\baccepted (?:at|to|by|in|for) (?:(?!\. )[^;:()\[\]]){2,90}\(\s*$"
    # "The videos are presented at …" is no event.
    r"|\baccepted (?:at|to|by|in)\s+$|(?:^|[.,;(]\s*)presented (?:at|in)\s+$",
    re.I,
)
_NAMED_IN_PASSING = re.compile(r"\(\s*$")
_FRONT_PAGE = re.compile(r"https?://www\.[^/]+/?", re.I)
"""`the JD platform (www.JD.com)` says where the data come from, and announces nothing."""
_MEDIA = (
    ("video", re.compile(r"\b(?:demo\w*\s+)?(?:videos?|movies?)\b", re.I)),
    (
        "demo",
        re.compile(
            r"\bdemos?\b(?!\s+(?:videos?|movies?))|\bplayground\b|\binteractively (?:tested|used|tried)\b"
            r"|\btr(?:y|ied) (?:it|out|them)\b",
            re.I,
        ),
    ),
    # Near the address only: "First Dataset Distillation Challenge, https://…" offers no data.
    (
        "dataset",
        re.compile(
            r"\b(?:data ?sets?|data|corpus|corpora|annotations?)\b"
            r"(?:\s*[:(]|,? (?:and|is|are|was|has|have|can|will|at|available|publicly"
            r"|already|accessible|released|stored|archived|deposited|downloads?|here|via|in|from|link|page)\b"
            r"|(?: \w+){1,5} (?:is|are) (?:\w+ )?(?:available|accessible|released)\b"
            # "our dataset X, which features …, available at: …"
            r"|(?: [\w-]+)?, (?:which|that|with|featuring|containing|comprising|consisting)\b.*, available at\W*$)",
            re.I,
        ),
    ),
)
_STORES = re.compile(
    r"https?://(?:drive\.google\.com|(?:www\.)?dropbox\.com|pan\.baidu\.com|1drv\.ms|[a-z0-9-]+\.sharepoint\.com"
    r"|[a-z0-9.-]+\.amazonaws\.com|storage\.googleapis\.com)/",
    re.I,
)
_PAPERS_PATH = re.compile(
    r"/licen[cs]es?\b|\.pdf(?:[?#]|$)|/proceedings\b|/programme\b|accepted[-_]papers|/article/view/|/poster[-_s/]", re.I
)
_DATA_PATH = re.compile(r"/data-?sets?(?:/[^?]*)?$", re.I)
_RECORD_PATH = re.compile(r"https?://[^/]+/records?/\d+/?$", re.I)
"""Of an archive that runs Invenio, as Zenodo and many institutes' own do: `…/record/3668`."""
_DATA = re.compile(r"\bdata(?: ?sets?)?\b|\bcorp(?:us|ora)\b", re.I)
_SENTENCE_END = re.compile(r"[.!?;]\s+|https?://\S*")
_NEXT_CLAUSE = re.compile(
    r",?\s(?:and|while)\s(?:(?:the|our|a|an|its)\s)(?=[^,]*\b(?:is|are|can|will|has|have)\b)", re.I
)
_SECOND_OF_TWO = re.compile(
    r"\b(?:pages?|sites?|websites?|codes?|models?|data ?sets?|data|demos?|videos?) and"
    r" (?:(?:the|our|an?|online|live) )*"
    r"(?P<second>data ?set|data|demo|video)s?\b[^.!?;]*\bhttps?://\S+,? and (?:at )?$",
    re.I,
)
"""`The page and a demo are at https://… and https://…`"""
_VERB = re.compile(r"\b(?:is|are|can|will|has|have|was|were)\b", re.I)


def kind_by_words(before: str, url: str, default: str, *, looks_back: bool = False) -> str:
    """The kind of an address on a host that says nothing: `project`, `demo`, `video`, `dataset` or `other`.

    `before` is the text that leads to it (`REACH` characters are enough). `default` is `project` where authors speak
    of their own work; with any other the words are not asked, and it is `other`. With `looks_back` an address that
    stands alone is what the sentence before says: comments are lists (`Accepted at …, Dresden. https://…`).
    """
    if default != "project" or _PAPERS_PATH.search(url):
        return "other"
    sentence = _last_sentence(before, looks_back)
    if _VENUE_PAGE.search(sentence) or names_an_event(before):
        return "other"
    if _NAMED_IN_PASSING.search(before) and _FRONT_PAGE.fullmatch(url) and not _OFFERED.search(sentence):
        return "other"
    second = _SECOND_OF_TWO.search(before)
    if second:
        return next((kind for kind in ("demo", "video") if kind in second["second"].lower()), "dataset")
    if _RECORD_PATH.match(url) and _DATA.search(before):
        return "dataset"
    clause = _last_clause(sentence)
    media = [kind for kind, words in _MEDIA if words.search(clause)]
    if _PAGE.search(clause) or _CODE.search(clause) or len(media) > 1:
        kind = "project"  # a page that holds several things
    elif media:
        kind = media[0]
    elif _VENUE.search(sentence) or _THE_PAPER.search(sentence):
        kind = "other"
    else:
        kind = "dataset" if _DATA_PATH.search(url) else default
    # A file store holds files: it is nobody's page.
    return "other" if kind == "project" and _STORES.match(url) else kind


def names_an_event(before: str) -> bool:
    """Whether the address after `before` is that of a workshop, a challenge, a journal: in brackets after its name, or
    where the paper was accepted."""
    return _EVENT_IN_BRACKETS.search(before) is not None


def _last_sentence(before: str, looks_back: bool) -> str:
    pieces = _SENTENCE_END.split(before)
    alone = not pieces[-1].strip()
    return " ".join(pieces[-3:]) if alone and looks_back else pieces[-1]


def _last_clause(sentence: str) -> str:
    """Of `the code will be public and the video is at`, the second half; of `code and data are at`, all."""
    parts = list(_NEXT_CLAUSE.finditer(sentence))
    if parts and _VERB.search(sentence[: parts[-1].start()]):
        return sentence[parts[-1].end() :]
    return sentence
