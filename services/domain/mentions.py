"""Papers named in running text: a README, a model card, a comment.

Only what says that it is an identifier counts (`arXiv:2601.01234`, `hep-th/9901001`, `doi:10.…`, an address, an
`eprint = {…}`): a bare `2601.01234` in a sentence may be a price, a version, a grant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.domain.identifiers import Identifier, identifiers_from_url, parse_arxiv, parse_doi, parse_key
from services.domain.text import strip_invisible

LONGEST = 200_000
"""Characters read of one text."""

_NEW = r"\d{4}\.\d{4,5}(?:v\d{1,3})?"
_OLD = r"[a-z-]{2,9}(?:\.[a-z]{2})?/\d{7}(?:v\d{1,3})?"
_FORMS = (
    rf"(?P<url>https?://[^\s<>\"'{{}}|\\^`]{{4,400}}|(?<![\w./@-])(?:www\.|dx\.)?"
    rf"(?:arxiv\.org|doi\.org|openreview\.net|pubmed\.ncbi\.nlm\.nih\.gov|(?:bio|med)rxiv\.org)/[^\s<>\"'{{}}|\\^`]{{4,200}})"
    # `arXiv:2601.01234`, `arXiv 2601.01234`, a badge's `arXiv-2601.01234-b31b1b`
    rf"|(?<![A-Za-z0-9])arxiv(?:\s+(?:preprint,?|identifier|number|no\.|id|e-?prints?))?\s*[:#\-\[\s(]?\s*(?:arxiv:\s*)?(?P<arxiv>{_NEW}|{_OLD})(?![\d.]*\d)"
    # `hep-th/9901001v2`, `math.GT/0309136`; `math/0309136` alone may be anything.
    rf"|(?<![\w./@-])(?P<old>(?:[a-z]{{1,5}}-[a-z]{{2,5}}|(?-i:[a-z-]{{2,9}}\.[A-Z]{{2}}))/\d{{7}}(?:v\d{{1,3}})?)(?![\w/-]|\.\w)"
    # `CoRR abs/2601.01234`, of bibliographies
    rf"|(?<![\w./-])abs/(?P<corr>{_NEW})(?![\d.]*\d)"
    rf"|\beprint\s*=\s*[{{\"]\s*(?:arxiv:)?(?P<eprint>{_NEW}|{_OLD})\s*[}}\"]"
    r"|(?<![\w./-])(?P<doi>10\.\d{4,9}(?:\.\d+)*/[^\s\"<>{}|\\^`]+)"
    r"|\bpmid\s*[:#]?\s*(?P<pmid>\d{4,9})\b"
    r"|\b(?P<pmcid>PMC\d{4,9})\b"
    r"|\bcorpus\s?id\s*:\s*(?P<s2>\d{3,12})\b"
)
_NAMED = re.compile(_FORMS, re.I)
_NAMED_OF_OLD = re.compile(
    r"(?P<sici>(?:https?://(?:dx\.)?doi\.org/)?10\.\d{4,9}/\(SICI\)[^\s\"{}<>]+(?:<[^\s\"{}<>:]*:[^\s\"{}<>]*>[^\s\"{}<>]+)?)"
    rf"|{_FORMS}",
    re.I,
)
"""DOIs of the nineties may hold angle brackets: `10.1002/(SICI)1097-4571(199806)49:8<693::AID-ASI4>3.0.CO;2-O`."""


_BADGE = re.compile(rf"/badge/(?:paper-)?arxiv-(?:%20)?({_NEW})\b", re.I)


_LIKE_A_DOI = re.compile(r"10\.[\d.]+/(?=\S*\d)\S{4}")
_SAID_DOI = re.compile(r"\bdoi\W{0,4}\Z", re.I)
"""Without the word a DOI's suffix has a digit and some length: `10.1145/24` is a network, `10.1234/2` a ratio."""


def find_mentions(text: str) -> tuple[Identifier, ...]:
    """The identifiers that running text names, each once, in the order of their first mention.

    Pages that name no paper by their address are left out (there is a `url` for everything). What only looks like
    an identifier, by its form or its date, is not one.
    """
    found: dict[Identifier, None] = {}
    plain = strip_invisible(text[:LONGEST]).replace("\\_", "_")
    for match in (_NAMED_OF_OLD if "(SICI)" in plain.upper() else _NAMED).finditer(plain):
        if match["doi"] and not (
            _LIKE_A_DOI.match(match["doi"]) or _SAID_DOI.search(plain, max(match.start() - 8, 0), match.start())
        ):
            continue
        for one in _read(match.lastgroup or "", match[match.lastgroup or 0]):
            found.setdefault(one)
    return tuple(found)


def names_any(text: str, identifiers: Iterable[str]) -> bool:
    """Whether a text names the paper known by these (`arxiv:2601.01234`, …)."""
    ours = set(identifiers)
    return any(str(one) in ours for one in find_mentions(text))


def _read(form: str, value: str) -> tuple[Identifier, ...]:
    match form:
        case "url":
            badge = _BADGE.search(value)
            return (
                _read("arxiv", badge[1])
                if badge
                else tuple(one for one in identifiers_from_url(_address(value)) if one.scheme != "url")
            )
        case "arxiv" | "old" | "eprint" | "corr":
            arxiv = parse_arxiv(value)
            return (Identifier("arxiv", arxiv.base),) if arxiv else ()
        case "doi":
            value = value.split("](", 1)[0]
            of_arxiv = parse_arxiv(value)
            if of_arxiv:
                return (Identifier("arxiv", of_arxiv.base),)
            doi = parse_doi(value)
            return (Identifier("doi", doi),) if doi else ()
        case "sici":
            doi = parse_doi(value)
            return (Identifier("doi", doi),) if doi else ()
        case "pmid" | "s2":
            return (parse_key(f"{form}:{value}"),)
        case "pmcid":
            return (parse_key(value),)
    return ()


def _address(value: str) -> str:
    """An address without the closing of a Markdown link and the sentence round it."""
    value = value.split("](", 1)[0].rstrip(".,;:!?'*")
    while value.endswith(")") and value.count(")") > value.count("("):
        value = value[:-1].rstrip(".,;:!?'*")
    if value.endswith("]"):
        value = value[:-1]
    return value if "://" in value else f"https://{value}"
