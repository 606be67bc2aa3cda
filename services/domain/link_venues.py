"""What belongs to the place of a paper and not to its work: pages of conferences and journals, copies of the paper.

`Accepted at the Workshop on Things (https://…)`, `The final version is available at https://…`.
"""

from __future__ import annotations

import re

_VENUE = re.compile(
    r"\b(?:accepted|submitted|appear(?:s|ed)?|published|publication|presented|proceedings|conference|symposium|workshop"
    r"|journal|transactions|article|(?:ph\.?d\.? |master'?s? |bachelor'?s? )?thesis|dissertation|held (?:in|at|on)"
    r"|takes? place|pre-?registered)\b",
    re.I,
)
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
_EVENT_BEFORE_COMMA = re.compile(r"\b(?:workshop|conference|symposium)(?: (?:on|of|for) [\w\s&-]{1,60})?,\s*$", re.I)
_PUBLISHED_BY = re.compile(r"\bPublished in at https?://\S+ [^;]{0,200}\(\s*$", re.I)
"""`Published in at http://dx.doi.org/… the Annals of X (http://…) by the Institute of Y (http://…)`."""
_OF_A_VENUE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|conf|workshop|symposium|congress|summit|journal|proceeding|article|thes[ie]s|eprint"
    r"|/item/|/handle/|/document/|/abstract|volume|issue|press|challenge",
    re.I,
)
"""In the address of a venue's page, or of a paper in a library."""
_SHORT_NAME = re.compile(r"\b[A-Z]{3,}(?=s?\b|\d|['’])|\b(?=\w*[A-Z]\w*[A-Z])[A-Za-z]{4,}(?=\b|\d)")
_APART = re.compile(r"(?:[.,!;]|\b[A-Z0-9][\w'@-]*)\s+$")
"""After a sentence, a comma, or the name of the place."""
_THE_PAPER = re.compile(
    r"\b(?:definitive|final|official|published|publisher'?s|peer-reviewed|conference|journal|extended)\b[^.]{0,30}"
    r"\b(?:version|publication|article|paper|copy)\b|\bversion of record\b|\balso available (?:at|from|via|on)\b\W*$",
    re.I,
)
_THE_PAPER_TOO = re.compile(
    r"\b(?:also|paper|preprint|article|manuscript|version|report)\b[^.]{0,40}\b(?:available|archived|deposited|published)"
    r" (?:online )?(?:at|from|via|on|in)\b",
    re.I,
)
_OFFERS = re.compile(
    r"\b(?:data\w*|codes?|software|materials?|models?|scripts?|results|supplement\w*|corp(?:us|ora))\b", re.I
)
_PUT_ONLINE = re.compile(
    r"\b(?:ontolog\w+|vocabular\w+|lexicon|benchmark|collection|archive|library|system|tool\w*|graph|resources?)\b"
    r"[^.;]*\bpublished (?:online )?(?:at|under|on|via)\W*$",
    re.I,
)


def names_an_event(before: str, url: str = "") -> bool:
    """Whether the address after `before` is that of a workshop, a challenge, a journal: in brackets after its name, or
    where the paper was accepted; after a comma, where the address says the same."""
    if _EVENT_IN_BRACKETS.search(before) or _PUBLISHED_BY.search(before):
        return True
    return _EVENT_BEFORE_COMMA.search(before) is not None and _OF_A_VENUE.search(url) is not None


def names_a_venues_page(sentence: str) -> bool:
    """`the conference website`, `NTIRE 2025 webpage`."""
    return _VENUE_PAGE.search(sentence) is not None


def names_the_paper(sentence: str) -> bool:
    """Whether the address a sentence leads to is where the paper itself lies, too: `Also available at https://…`."""
    return _THE_PAPER_TOO.search(sentence) is not None and not _OFFERS.search(sentence)


def tells_of_the_place(sentence: str, before: str, url: str) -> bool:
    """Whether a sentence that offers nothing says where the paper was or will be published, so that its address is that
    of the place. In `Accepted to CVPR, https://ours.org` it stands apart: there the address itself has to say so, by a
    year, a word for what it is, or the short name of the place.
    """
    if _PUT_ONLINE.search(sentence):
        return False
    if _THE_PAPER.search(sentence):
        return True
    if not _VENUE.search(sentence):
        return False
    if not _APART.search(before) or _OF_A_VENUE.search(url):
        return True
    address = url.lower()
    return any(name.lower() in address for name in _SHORT_NAME.findall(sentence))
