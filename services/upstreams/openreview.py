"""OpenReview: the venue that took a paper which was reviewed there, by its forum.

One POST for up to 50 forums. Notes come in two forms: `content.title` is the text (API 1), or an object with it under
`value` (API 2). Anonymous calls are turned away with 403 `ChallengeRequiredError`, so one logs in first; how long a
token lasts is not said, so each job asks for its own.

Source: docs.openreview.net, "Using the API"; openreview-py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from services.domain.errors import UpstreamRejected
from services.domain.identifiers import Identifier
from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import PaperData
from services.upstreams.catalogue_json import author, authors_of, in_order, listed, present
from services.upstreams.documents import load_json
from services.upstreams.json_values import as_object, as_text

NAME = "openreview"
BATCH = 50
SCHEMES = ("openreview",)

_OPEN = re.compile(r"\b(?:submitted|submission|under review|withdrawn|reject|blind|anonymous|preprint)", re.I)
"""Words of a venue, or the end of its id, that mean: not taken (yet)."""


def login(access: Access) -> LookupRequest:
    """The request for a token."""
    return LookupRequest(url=f"{access.url}/login", json={"id": access.user, "password": access.key})


def read_token(body: bytes) -> str:
    """The token of an answer to `login`. Raises `UpstreamRejected` when there is none in it."""
    token = as_object(load_json(body, expected="a token")).get("token")
    if not isinstance(token, str) or not re.fullmatch(r"[\w.~+/=-]{8,4000}", token):
        raise UpstreamRejected("OpenReview gave no token; check BROADSHEET_OPENREVIEW_USER and …_PASSWORD")
    return token


def request(asked: Sequence[AskedPaper], access: Access) -> LookupRequest:
    """One request for these papers; `access.key` is the token."""
    return LookupRequest(
        url=f"{access.url}/notes/search",
        json={"ids": [paper.values("openreview")[0] for paper in asked]},
        headers={"Authorization": f"Bearer {access.key}"},
    )


def parse(body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]:
    """One answer for each paper asked, in their order; `None` for those not known."""
    notes = listed(body, "notes", expected="a list of notes")
    papers = {paper.identifiers[0]: paper for note in notes if (paper := _paper(as_object(note))) is not None}
    return in_order(asked, papers)


def _paper(note: Any) -> PaperData | None:
    content = as_object(note.get("content"))
    forum, title = as_text(note.get("forum") or note.get("id"), 60), as_text(_value(content, "title"), 2_000)
    if not forum or not title:
        return None
    return PaperData(
        identifiers=present(Identifier("openreview", forum)),
        title=title,
        abstract=as_text(_value(content, "abstract"), 20_000),
        authors=authors_of(_value(content, "authors"), author),
        journal_ref=_venue(content),
    )


def _value(content: Any, name: str) -> object:
    held = content.get(name)
    return held.get("value") if isinstance(held, dict) else held


def _venue(content: Any) -> str | None:
    """The venue that took it: `ICLR 2027 oral`. To be withdrawn from one, or rejected, says nothing of the paper."""
    venue, venue_id = as_text(_value(content, "venue"), 200), as_text(_value(content, "venueid"), 200)
    if not venue or _OPEN.search(venue) or _OPEN.search((venue_id or "").rpartition("/")[2].replace("_", " ")):
        return None
    return venue
