"""Bytes to trees: how every upstream module reads XML and JSON it was sent.

What arrives is hostile: no entity is ever declared, resolved or fetched, nesting is bounded, and whatever is
not the promised format ends in `MalformedDocument` with a short account of what was found instead.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from sys import intern
from typing import Any

import msgspec

from services.domain.errors import MalformedDocument
from services.domain.text import clean, excerpt

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(r"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
_MARKUP = re.compile(r"<(?:!--.*?(?:-->|\Z)|\?.*?(?:\?>|\Z)|!\[CDATA\[.*?(?:\]\]>|\Z))", re.S)
_NAME = re.compile(r"<([A-Za-z_][\w.-]*(?::[\w.-]+)?)")
_ENTITY = re.compile(r"<![Ee][Nn][Tt][Ii][Tt][Yy]")  # by letters: with re.I the search could not leap to the "<!"
_DOCTYPE = re.compile(r"<!DOCTYPE\s+([A-Za-z][\w:.-]*)", re.I)
_PLAIN_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^<>]*\?>\s*)?<[A-Za-z_]")
"""A document whose root element comes first, after an XML declaration at the most: nothing is declared after that."""


# --- what is this? -----------------------------------------------------------------------------------------


def decode(body: bytes, *, limit: int | None = None) -> str:
    """`body` (its first `limit` bytes) as text for looking at: by BOM, by where its NULs lie, by its XML
    declaration, as UTF-8, else as Latin-1. Never raises; it is not meant for keeping.
    """
    head = body if limit is None else body[:limit]
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, "replace")
    wide = _wide_encoding(head)
    if wide:
        return head.decode(wide, "replace")
    declared = declared_encoding(head)
    if declared:
        try:
            return head.decode(declared, "replace")
        except (LookupError, UnicodeError):
            pass  # an unknown or non-text codec: read on as if nothing was declared
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A cut through a character at the limit is no reason to give UTF-8 up.
        if limit is not None and error.start >= len(head) - 4:
            return head[: error.start].decode("utf-8")
        return head.decode("latin-1")


def _wide_encoding(head: bytes) -> str | None:
    start = head[:4]
    if len(start) < 4 or b"\x00" not in start:
        return None
    patterns = {
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return patterns.get((start[0] == 0, start[1] == 0, start[2] == 0, start[3] == 0))


def declared_encoding(body: bytes) -> str | None:
    """The encoding named by an XML declaration readable as ASCII, in lower case."""
    found = _DECLARED.match(body[:400].decode("latin-1").lstrip("\ufeff \t\r\n"))
    return found[1].lower() if found else None


def prolog(text: str) -> str:
    """What stands before the root element of an XML text: declaration, comments, doctype."""
    at, end = 0, len(text)
    while at < end:
        at = text.find("<", at)
        if at < 0:
            return text
        skipped = _MARKUP.match(text, at)
        if skipped:
            at = max(skipped.end(), at + 1)
        elif text.startswith("<!", at):
            at = _after_declaration(text, at)
        elif _NAME.match(text, at):
            return text[:at]
        else:
            at += 1
    return text


_DECLARATION_PART = re.compile(r"\"[^\"]*\"|'[^']*'|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|\[|\]|<|>", re.S)


def _after_declaration(text: str, at: int) -> int:
    """Where the `<!…>` at `at` ends, its internal subset `[…]` included."""
    depth = subset = 0
    for part in _DECLARATION_PART.finditer(text, at):
        match part[0]:
            case "[":
                subset += 1
            case "]":
                subset = max(0, subset - 1)
            case "<":
                depth += 1
            case ">":
                depth -= 1
                if depth <= 0 and subset == 0:
                    return part.end()
            case _:
                continue
    return len(text)


def root_tag(text: str) -> str:
    """The opening tag of the root element as written (`<rss version="2.0">`), or empty when there is none."""
    at = len(prolog(text))
    if at >= len(text):
        return ""
    end = text.find(">", at)
    return text[at : end + 1] if end >= 0 else text[at:]


def local_name(tag: str) -> str:
    """The local name in an opening tag: `<rdf:RDF xmlns…>` gives `RDF`."""
    found = _NAME.match(tag)
    return found[1].rpartition(":")[2] if found else ""


def describe(body: bytes) -> str:
    """A few words on what `body` seems to be: "an HTML page", "text that begins 'Rate exceeded.'"."""
    if not body.strip(b"\x00 \t\r\n"):
        return "an empty document"
    for magic, what in (
        (b"%PDF", "a PDF"),
        (b"\x1f\x8b", "gzip data"),
        (b"\xfd7zXZ", "xz data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"\x89PNG", "an image"),
        (b"\xff\xd8\xff", "an image"),
    ):
        if body.startswith(magic):
            return what
    text = decode(body, limit=20_000).lstrip("\ufeff \t\r\n")
    if text[:1] in "[{":
        return "JSON"
    if text[:1] == "<":
        doctype = _DOCTYPE.search(prolog(text))
        root = local_name(root_tag(text))
        if root.lower() == "html" or (doctype and doctype[1].lower() == "html"):
            return "an HTML page"
        if root:
            return f"XML with the root element <{clean(root, limit=60)}>"
    return f"text that begins {excerpt(clean(text, limit=400), 60)!r}"


# --- XML ---------------------------------------------------------------------------------------------------


def refuse_entities(body: bytes, *, charset: str = "") -> None:
    """Raises `MalformedDocument` when a document type declares entities, in whatever encoding it hides them.

    `charset` is one that a header or person names beside those the bytes themselves name.
    """
    bare = body.replace(b"\x00", b"") if b"\x00" in body else body
    readings = []
    if not _PLAIN_OPENING.match(bare):
        readings.append(bare.decode("latin-1"))
        if b"\x4c\x5a" in body:  # `<!` in EBCDIC
            readings.append(body.decode("cp037", "replace"))
    for encoding in {declared_encoding(body), charset.lower() or None}:
        if encoding and encoding not in ("utf-8", "us-ascii", "ascii", "iso-8859-1", "latin-1"):
            try:
                readings.append(body.decode(encoding, "replace"))
            except (LookupError, UnicodeError):
                continue  # no codec of that name, so no parser can read it that way either
    for text in readings:
        # The cheap look first: most that begin with a comment or a document type hold no such declaration anywhere.
        if _ENTITY.search(text) and _ENTITY.search(prolog(text)):
            raise MalformedDocument("the document declares XML entities, which are not accepted")


_BLANKS = b" \t\r\n"
_NOTHING = b"\x00" + _BLANKS
_HARDENED: dict[str, Any] = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False, "remove_comments": True,
    "remove_pis": True,
}  # fmt: skip
_PIECE = 16_384
"""How much of a document is read at a time, in bytes: what comes of it fits into a processor's own memory."""


def load_xml(body: bytes, *, expected: str) -> Any:
    """The root element of an XML document; `expected` names what was promised ("an arXiv API answer").

    Raises `MalformedDocument` when the bytes are no well-formed XML, a truncated document included: half a
    page would be taken for a whole one.
    """
    _refuse_unreadable(body, expected)
    from lxml import etree  # here: until there is XML to read, nobody needs its 5 MB

    try:
        return etree.fromstring(body.lstrip(_BLANKS), etree.XMLParser(**_HARDENED))
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = clean(str(error), limit=200)
        raise MalformedDocument(f"expected {expected}, found {describe(body)}, not well-formed: {reason}") from error


def children_at(body: bytes, *places: Sequence[str], expected: str) -> Iterator[Any]:
    """The first element at one of `places`, then its children, each to be read before the next is asked for.

    A place is the tags from the root on: `("{*}rss", "{*}channel")`. The document is read piece by piece, and what was
    read is forgotten: of thousands of entries a few are held at a time. Raises `MalformedDocument` as `load_xml` does,
    and where no such element is, but not before the place where the document is broken: then nothing may be kept of
    what came before.
    """
    _refuse_unreadable(body, expected)
    from lxml import etree  # as in `load_xml`

    body = body.lstrip(_BLANKS)
    tags = [place[-1] for place in places]
    parser: Any = etree.XMLPullParser(events=("start",), tag=tags, **_HARDENED)
    parent: Any = None
    read = 0
    try:
        for at in range(0, len(body), _PIECE):
            parser.feed(body[at : at + _PIECE])
            if parent is None:
                parent = _first_at(places, (element for _, element in parser.read_events()))
                if parent is not None:
                    yield parent
            elif complete := max(len(parent) - 1, 0):  # of the last one there may be more to come
                read += complete
                yield from parent[:complete]
                del parent[:complete]
        root, read = parser.close(), 0
    except (etree.XMLSyntaxError, ValueError):
        # Read as a whole it is told in the usual words; and UTF-32 cannot be read in pieces.
        root = load_xml(body, expected=expected)
    found = _first_at(places, root.iter(*tags))
    if found is None:
        raise MalformedDocument(f"expected {expected}, found the root element <{clean(tag_of(root), limit=60)}>")
    if parent is None:
        yield found
    yield from found[read:]


def _first_at(places: Sequence[Sequence[str]], elements: Iterable[Any]) -> Any:
    return next((element for element in elements if any(_is_at(place, element) for place in places)), None)


def _is_at(place: Sequence[str], element: Any) -> bool:
    for tag in reversed(place):
        if element is None or tag not in (element.tag, "{*}" + tag_of(element)):
            return False
        element = element.getparent()
    return element is None


def _refuse_unreadable(body: bytes, expected: str) -> None:
    if not body[:100].strip(_NOTHING) and not body.strip(_NOTHING):
        raise MalformedDocument(f"expected {expected}, found an empty document")
    refuse_entities(body)


def text_of(element: Any) -> str:
    """All text inside an element, as sent."""
    if len(element) == 0:
        return element.text or ""
    return "".join(element.itertext())


def tag_of(element: Any) -> str:
    """An element's local name; empty for what is no element (an entity reference)."""
    return LOCAL_NAME[element.tag]


class _LocalNames(dict[object, str]):
    """As `tag_of`, by the `tag` itself: no call where every element of a page is looked at."""

    def __missing__(self, tag: object) -> str:
        name = intern(tag.rpartition("}")[2]) if isinstance(tag, str) else ""
        if len(self) < 1_024:
            self[tag] = name
        return name


LOCAL_NAME = _LocalNames()


# --- JSON --------------------------------------------------------------------------------------------------


def load_json(body: bytes, *, expected: str) -> Any:
    """A JSON document in UTF-8, -16 or -32, with or without BOM.

    Raises `MalformedDocument` when it is none, or is nested too deeply to be read.
    """
    if not body.strip(b"\x00 \t\r\n"):
        raise MalformedDocument(f"expected {expected}, found an empty document")
    with suppress(ValueError, RecursionError):  # it refuses UTF-16, a BOM, NaN and half a surrogate pair
        return msgspec.json.decode(body)
    try:
        return json.loads(body)
    except RecursionError as error:
        raise MalformedDocument(f"expected {expected}, found JSON nested too deeply") from error
    except ValueError as error:  # bad JSON, bad encoding, or a number of thousands of digits
        reason = clean(str(error), limit=200)
        raise MalformedDocument(f"expected {expected}, found {describe(body)}, not valid JSON: {reason}") from error


def json_type(value: object) -> str:
    """A JSON value's type in words, for messages: "an object", "text", "null"."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
