"""How much of a general feed is handed to feedparser, which is slow and in places worse than linear.

Measured with feedparser 6.0.14 on one core: 25 µs a tag, as much again for one that is never closed, 4.5 µs a
character reference, 4 µs a line; a tag's attributes cost their square (10,000 of them 6 s). A feed is cut to
the entries that fit; what cannot be cut is refused.
"""

from __future__ import annotations

import codecs
import re

from services.domain.errors import MalformedDocument
from services.upstreams.documents import declared_encoding, decode, describe

MAX_BYTES = 5_000_000
MAX_ENTRIES = 2_000
"""Most entries read of one document; a feed that holds more is an archive, or meant as harm."""
MAX_ATTRIBUTES = 500
"""Most attributes of one tag."""
BUDGET_S = 3.5
"""Time that reading a document may take by the costs above."""

_TAG_S, _UNCLOSED_S, _REFERENCE_S, _LINE_S = 25e-6, 25e-6, 4.5e-6, 4e-6
_START = re.compile(rb"<(?:[A-Za-z][\w.-]*:)?(?:item|entry)(?=[\s>/])", re.I)
_CLOSING = re.compile(rb"</(?:[A-Za-z][\w.-]*:)?(?:item|entry)\s*>", re.I)
_LONG_TAG = re.compile(rb"<[A-Za-z][^<>]{2000,}")
_ENCODING = re.compile(r"^(\s*<\?xml[^>]*?)\s+encoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_DISGUISES = ("utf-7", "unicode_escape", "raw_unicode_escape", "punycode", "idna")


def within_limits(body: bytes) -> tuple[bytes, str | None]:
    """The part of a feed that can be read in time, and a note when that is not the whole.

    What stands before the first entry and after the last stays, so the part is as well-formed as the whole.
    The tags must be readable as ASCII (`with_plain_tags`). Raises `MalformedDocument` when even one entry is
    too much.
    """
    if len(body) > MAX_BYTES:
        raise MalformedDocument(f"the document has {len(body):,} bytes; feeds are read up to {MAX_BYTES:,}")
    for tag in _LONG_TAG.finditer(body):
        if tag[0].count(b"=") > MAX_ATTRIBUTES:
            raise MalformedDocument(f"the document has a tag with more than {MAX_ATTRIBUTES} attributes")
    starts = [found.start() for found in _START.finditer(body)]
    if len(starts) <= MAX_ENTRIES and _cost(body) <= BUDGET_S:
        return body, None
    keep = _affordable(body, starts)
    if keep == 0:
        raise MalformedDocument(f"the document, {describe(body)}, has more markup than can be read in time")
    if keep == len(starts):
        return body, None
    end = max((found.end() for found in _CLOSING.finditer(body, starts[-1])), default=len(body))
    return body[: starts[keep]] + body[end:], f"the feed holds {len(starts)} entries; the first {keep} were read"


def with_plain_tags(body: bytes, *, charset: str = "") -> bytes:
    """`body` itself where its tags are readable as ASCII, else transcoded to UTF-8.

    `charset` is one named outside the document. Raises `MalformedDocument` for encodings that can hide tags
    among others (UTF-7).
    """
    named = declared_encoding(body) or charset.lower()
    if b"\x00" in body[:8] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _ENCODING.sub(r"\1", decode(body)).encode("utf-8", "replace")
    if not named:
        return body
    try:
        codec = codecs.lookup(named)
        plain = b"<item>".decode(named) == "<item>"
    except (LookupError, UnicodeError):
        return body  # no parser knows this name either, so it reads the bytes as they are
    if codec.name in _DISGUISES:
        raise MalformedDocument(f"the document's encoding, {codec.name}, is not accepted")
    return body if plain else _ENCODING.sub(r"\1", body.decode(named, "replace")).encode("utf-8", "replace")


def _cost(part: bytes) -> float:
    marks = part.count(b"<")
    closed = 2 * part.count(b"</") + part.count(b"/>") + part.count(b"<!") + part.count(b"<?")
    return (
        marks * _TAG_S
        + max(0, marks - closed) * _UNCLOSED_S
        + part.count(b"&") * _REFERENCE_S
        + part.count(b"\n") * _LINE_S
    )


def _affordable(body: bytes, starts: list[int]) -> int:
    """How many entries from the first fit into the budget and the count."""
    if not starts:
        return 0
    spent = _cost(body[: starts[0]])
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(body)], strict=True)):
        spent += _cost(body[start:end])
        if spent > BUDGET_S or number == MAX_ENTRIES:
            return number
    return len(starts)
