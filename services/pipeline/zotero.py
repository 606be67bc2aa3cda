"""Zotero: papers sent to a library of theirs; what it has already stays as its owner left it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.domain.errors import InvalidInput, UpstreamRejected
from services.domain.papers import PaperFacts
from services.domain.zotero import collection_of, item_of, library_of
from services.runtime import Runtime
from services.storage.sql import chunks
from services.upstreams import zotero


@dataclass(frozen=True, slots=True)
class Sent:
    """What a library said of the papers it was sent."""

    added: int = 0
    known: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    """(the paper's key, why)"""


def send_to_zotero(rt: Runtime, papers: Sequence[PaperFacts], *, collection: str = "") -> Sent:
    """Send papers to the library that is set up. Sending them again changes nothing.

    Raises `InvalidInput` where none is set up or the collection is none, `UpstreamError` when Zotero takes nothing.
    """
    key = rt.settings.zotero_key.get_secret_value()
    if not key or not rt.settings.zotero_library:
        raise InvalidInput(
            "no Zotero library is set up; set BROADSHEET_ZOTERO_KEY (from zotero.org/settings/keys, allowed to write) "
            "and BROADSHEET_ZOTERO_LIBRARY"
        )
    url = zotero.items_url(rt.settings.zotero_url, library_of(rt.settings.zotero_library))
    collection = collection_of(collection)
    added = known = 0
    refused: list[tuple[str, str]] = []
    for part in chunks(list(papers), zotero.MOST_ITEMS):
        items = [item_of(paper, collection=collection) for paper in part]
        with rt.gate(zotero.GATE, zotero.INTERVAL_S):
            try:
                answer = rt.http.post(url, json=items, headers=zotero.headers(key))
            except UpstreamRejected as error:
                if error.status == 403:
                    raise UpstreamRejected(
                        "Zotero does not let this key write to this library; see zotero.org/settings/keys", status=403
                    ) from error
                raise
        outcome = zotero.parse(answer.body)
        added, known = added + len(outcome.added), known + len(outcome.known)
        refused += [(part[place].key, why) for place, why in sorted(outcome.refused.items()) if place < len(part)]
    return Sent(added, known, tuple(refused))
