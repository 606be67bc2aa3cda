"""Zotero: a paper as an item of a Zotero library (Web API v3), under a key that is the same whenever it is sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from services.domain.cite import csl
from services.domain.errors import InvalidInput
from services.domain.papers import PaperFacts

ALPHABET = "23456789ABCDEFGHIJKLMNPQRSTUVWXYZ"
"""Of which Zotero makes keys of eight: nothing that is easily read as something else."""
_LIBRARY = re.compile(r"(?:users|groups)/[0-9]{1,15}")
_KEY = re.compile(f"[{ALPHABET}]{{8}}")
MOST_CREATORS = 100


def item_of(paper: PaperFacts, *, collection: str = "") -> dict[str, Any]:
    """A new item: a journal article where a journal is known, else a preprint.

    Version 0 says that it is new: a library that has it under this key already keeps what it has.
    """
    known = csl(paper)
    published = bool(known.get("container-title"))
    item: dict[str, Any] = {
        "key": key_of(paper), "version": 0, "itemType": "journalArticle" if published else "preprint",
        "title": known["title"], "creators": [_creator(name) for name in known.get("author", ())[:MOST_CREATORS]],
        "abstractNote": known.get("abstract", ""), "url": known.get("URL", ""), "DOI": known.get("DOI", ""),
        "date": "-".join(f"{part:02d}" for part in known["issued"]["date-parts"][0]) if "issued" in known else "",
        "tags": [{"tag": category, "type": 1} for category in paper.categories],
        "collections": [collection] if collection else [],
    }  # fmt: skip
    number = known.get("number", "")
    if published:
        item |= {"publicationTitle": known["container-title"], "extra": number}
    else:
        item |= {"repository": known.get("publisher", ""), "archiveID": number}
    return item


def key_of(paper: PaperFacts) -> str:
    """The item's key, by the paper's."""
    number = int.from_bytes(hashlib.sha256(f"zotero {paper.key}".encode("utf-8", "replace")).digest()[:8])
    key = ""
    for _ in range(8):
        number, place = divmod(number, len(ALPHABET))
        key += ALPHABET[place]
    return key


def library_of(text: str) -> str:
    """`users/12345` or `groups/678`. Raises `InvalidInput` for what is neither."""
    found = text.strip().strip("/").lower()
    if not _LIBRARY.fullmatch(found):
        raise InvalidInput(
            "BROADSHEET_ZOTERO_LIBRARY is users/NUMBER (zotero.org/settings/keys tells yours) or groups/NUMBER"
        )
    return found


def collection_of(text: str) -> str:
    """A collection's key, as it stands at the end of its address. Raises `InvalidInput` for what is none."""
    found = text.strip().upper()
    if found and not _KEY.fullmatch(found):
        raise InvalidInput(f"{text[:40]!r} is no collection: it is eight letters and digits, at the end of its address")
    return found


def _creator(name: Mapping[str, str]) -> dict[str, str]:
    """A name as CSL has it, as Zotero wants it."""
    who = {"firstName": name["given"], "lastName": name["family"]} if "given" in name else {"name": name["literal"]}
    return {"creatorType": "author", **who}
