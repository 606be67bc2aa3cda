"""What scholarly catalogues have in common. They name the same things differently; how a list of works is found and put
into the order asked, and how a name, an ORCID or a venue is cleaned, is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.domain.errors import MalformedDocument
from services.domain.identifiers import Identifier, parse_arxiv, parse_doi
from services.domain.lookups import AskedPaper
from services.domain.papers import AuthorData, PaperData
from services.domain.text import clean
from services.upstreams.documents import json_type, load_json
from services.upstreams.json_values import as_list, as_text, inside

MAX_AUTHORS = 4_000
"""Authors of one paper that are read: collaborations of 3,000 exist."""

_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])/?", re.I)
_ROR = re.compile(r"https?://ror\.org/(0[a-z0-9]{8})/?", re.I)
_PREPRINT_SERVERS = re.compile(
    r"\W*(?:arxiv|biorxiv|medrxiv|chemrxiv|corr|ssrn|research square|preprints?\.org|hal|zenodo|openreview)\b", re.I
)


def listed(body: bytes, *names: str, expected: str) -> list[Any]:
    """The array that lies under these names in a body; `MalformedDocument` when there is none."""
    found = inside(load_json(body, expected=expected), *names)
    if not isinstance(found, list):
        raise MalformedDocument(f"expected {expected} under '{'.'.join(names)}', found {json_type(found)}")
    return found


def in_order(asked: Sequence[AskedPaper], works: Mapping[Identifier, PaperData]) -> list[PaperData | None]:
    """For each paper asked what is known under the first of its names that is, or `None`."""
    return [next((works[name] for name in paper.identifiers if name in works), None) for paper in asked]


def first_words(value: object, limit: int = 500) -> str | None:
    """The first text of an array (or the text itself), for catalogues that give a list of titles."""
    for one in value if isinstance(value, list) else [value]:
        found = as_text(one, limit)
        if found:
            return found
    return None


def orcid_of(value: object) -> str | None:
    """`0000-0002-1825-0097`, from the bare form or the address, if its check digit is right."""
    found = _ORCID.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    digits = found[1].upper().replace("-", "")
    total = 0
    for digit in digits[:15]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return found[1].upper() if digits[15] == ("X" if check == 10 else str(check)) else None


def ror_of(value: object) -> str | None:
    """The id of an organisation at ror.org: `03yrm5c26`."""
    found = _ROR.fullmatch(value.strip()) if isinstance(value, str) else None
    return found[1].lower() if found else None


def venue_of(value: object) -> str | None:
    """A venue's name; a preprint server is none."""
    name = first_words(value, 300)
    return None if name is None or _PREPRINT_SERVERS.match(name) else name


def author(name: object, *, places: object = (), orcid: object = None, ror: object = None) -> AuthorData | None:
    """An author by name, with the organisations they wrote for, in order and each once."""
    said = as_text(name, 300)
    if not said:
        return None
    where = dict.fromkeys(place for one in as_list(places) if (place := as_text(one, 200)))
    return AuthorData(
        name=said, affiliation=clean("; ".join(where), limit=500) or None, orcid=orcid_of(orcid), ror=ror_of(ror)
    )


def authors_of(value: object, read: Callable[[Any], AuthorData | None]) -> tuple[AuthorData, ...]:
    """The authors of an array, each read by `read`; those without a name are left out."""
    return tuple(one for item in as_list(value)[:MAX_AUTHORS] if (one := read(item)) is not None)


def year_of(value: object) -> int | None:
    """A year in which a paper can have appeared."""
    return value if isinstance(value, int) and 1900 < value < 2100 else None


def doi_identifier(value: object) -> Identifier | None:
    """What a DOI names; arXiv's own name an arXiv paper."""
    if not isinstance(value, str):
        return None
    arxiv = parse_arxiv(value) if "10.48550" in value else None
    if arxiv is not None:
        return Identifier("arxiv", arxiv.base)
    doi = parse_doi(value)
    return Identifier("doi", doi) if doi else None


def digits_identifier(scheme: str, value: object) -> Identifier | None:
    """A numeric name (PubMed, PMC, Semantic Scholar's corpus id), given as number, text or address."""
    found = re.search(r"(?<!\d)(\d{1,12})/?$", str(value)) if isinstance(value, (str, int)) else None
    if found is None or isinstance(value, bool):
        return None
    digits = found[1].lstrip("0") or "0"
    return Identifier(scheme, f"PMC{digits}" if scheme == "pmcid" else digits)


def present(*identifiers: Identifier | None) -> tuple[Identifier, ...]:
    """Those that are there, each once."""
    return tuple(dict.fromkeys(one for one in identifiers if one is not None))
