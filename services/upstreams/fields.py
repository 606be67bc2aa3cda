"""Fields that several formats share: dates, author lines, categories, arXiv's way of saying "withdrawn"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from services.domain.identifiers import Identifier
from services.domain.papers import AuthorData
from services.domain.text import clean, latex_to_text

ENTRY_LIMIT = 500
"""Most characters of an entry shown where it was rejected."""

FIRST_YEAR, LAST_YEAR = 1900, 2100
"""Dates outside these years are slips of the source, and some databases cannot hold them."""


def name_entry(*candidates: object) -> str:
    """The first candidate that says something, as the name of a rejected entry."""
    for candidate in candidates:
        if candidate is None or candidate == "":
            continue
        text = clean(candidate if isinstance(candidate, str) else _shown(candidate), limit=ENTRY_LIMIT)
        if text:
            return text
    return "(nothing to name it by)"


def _shown(value: object) -> str:
    try:
        return repr(value)[:2_000]
    except RecursionError:
        return "(nested too deeply to show)"


# --- dates -------------------------------------------------------------------------------------------------

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_day(value: str | None) -> date | None:
    """`2026-11-24` as a date; `None` for anything else (`2026-W47`, `2026-11`)."""
    if not value or not _DAY.fullmatch(value):
        return None
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else None


def parse_time(value: str | None) -> datetime | None:
    """An ISO 8601 or RFC 822 time (a day alone is its midnight), in its own offset; UTC where it has none.

    `None` for what is neither, and for years outside 1900 to 2100.
    """
    text = value.strip()[:80] if value else ""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(clean(text))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if moment.tzinfo is None:
        moment = datetime.combine(moment, moment.time(), UTC)  # as `replace(tzinfo=UTC)`, in a fifth of its time
    return moment if FIRST_YEAR < moment.year < LAST_YEAR else None


def parse_utc(value: str | None) -> datetime | None:
    """As `parse_time`, in UTC."""
    moment = parse_time(value)
    return moment if moment is None or moment.tzinfo is UTC else moment.astimezone(UTC)


# --- categories --------------------------------------------------------------------------------------------

_ARXIV_CATEGORY = re.compile(
    r"(?:acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs"
    r"|dg-ga|econ|eess|funct-an|gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math-ph|math|mtrl-th|nlin|nucl-ex|nucl-th"
    r"|patt-sol|physics|plasm-ph|q-alg|q-bio|q-fin|quant-ph|solv-int|stat|supr-con|test)"
    r"(?:\.[A-Z]{2}|\.[a-z]+(?:-[a-z]+)*)?"
)


def arxiv_categories(terms: Iterable[str]) -> tuple[str, ...]:
    """The arXiv categories among `terms`, each once and in order; MSC and ACM classes are left out."""
    return _arxiv_categories(tuple(terms))


@lru_cache(maxsize=4_096)  # the same few combinations come again and again
def _arxiv_categories(terms: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(term for term in map(str.strip, terms) if _ARXIV_CATEGORY.fullmatch(term)))


# --- withdrawn ---------------------------------------------------------------------------------------------

_WITHDRAWN = re.compile(
    r"^\W*withdrawn\b"
    r"|\b(?:this|the)\s+(?:\w+\s+){0,2}?(?:paper|article|manuscript|submission|preprint|work|version|note|report|abstract)"
    r"(?:\s+and\s+\w+)?\s+(?:has|have|had|is|was|are)\s+(?:\w+\s+)?(?:being\s+|been\s+)?withdrawn\b"
    r"|\bhas\s+been\s+withdrawn\s+by\s+(?:the\s+)?(?:authors?|arxiv|submitter)",
    re.I,
)


def says_withdrawn(comment: str | None, abstract: str | None = None) -> bool:
    """Whether arXiv's words say that the paper was withdrawn.

    No feed of arXiv's has a flag for it: the comment does, or an abstract that begins with the notice.
    """
    # The plain look first: it is many times faster, and nearly always enough.
    if comment and "withdrawn" in comment.lower() and _WITHDRAWN.search(comment):
        return True
    opening = abstract[:80] if abstract else ""
    return "withdrawn" in opening.lower() and _WITHDRAWN.search(opening) is not None


# --- authors -----------------------------------------------------------------------------------------------

_TEX = re.compile(r"[\\{~]")
_PLAIN_FORM = r"[A-Za-zÀ-ɏ.'-]{1,29}(?: [A-Za-zÀ-ɏ.'-]{1,29}){0,9}"
_PLAIN_NAME = re.compile(_PLAIN_FORM)
"""A name in the usual form, of which nothing would be changed."""
_PLAIN_NAMES = re.compile(rf"{_PLAIN_FORM}(?:\n{_PLAIN_FORM})*")
_PLAIN_WORDS = r"(?!and )[A-Za-zÀ-ɏ.'-]{1,40}(?: (?!and )[A-Za-zÀ-ɏ.'-]{1,40}){0,4} (?!and\b)[A-Za-zÀ-ɏ'-]{2,40}"
_PLAIN_BYLINE = re.compile(rf"{_PLAIN_WORDS}(?:, {_PLAIN_WORDS})*")
"""Names of two words and more with a comma between them, and nothing else: the line as it usually is."""
_SUFFIX = re.compile(r"(?:jr|sr|ph\.?d|m\.?d|i{2,3}|iv)\.?", re.I)
_INITIALS = re.compile(r"(?:[^\W\d_a-z]\.[ -]?){1,6}")
_NOTES = re.compile(r"\d+(?:\s*(?:,|and|&)\s*\d+)*")
_NUMBERED = re.compile(r"\((\d+)\)\s*")
_COLLABORATION = re.compile(r"^(.{2,80}?\b(?:collaborations?|consortium|team|group|network)):\s+", re.I)


def authors_from(names: Sequence[str]) -> tuple[AuthorData, ...]:
    """The authors of these names, each as `author_from` makes it; those in the usual form are seen by one look."""
    lines = "\n".join(names)
    if _PLAIN_NAMES.fullmatch(lines) and lines.count("\n") == len(names) - 1:
        return tuple([AuthorData(name=name) for name in names])
    return tuple([author for author in map(author_from, names) if author])


def author_from(name: str, affiliation: str | None = None, *, tex: bool = True) -> AuthorData | None:
    """An author with a readable name (TeX accents resolved), or `None` when nothing is left of it."""
    if not affiliation and _PLAIN_NAME.fullmatch(name):
        return AuthorData(name=name)
    plain = clean(latex_to_text(name) if tex and _TEX.search(name) else name, limit=300)
    plain = plain.strip(" ,;")
    if not plain or "@" in plain:
        return None  # an address alone is no name, and not ours to spread
    where = (
        clean(latex_to_text(affiliation) if tex and _TEX.search(affiliation) else affiliation, limit=500)
        if affiliation
        else ""
    )
    return AuthorData(name=plain, affiliation=where or None)


def split_byline(value: str, *, limit: int = 200_000, tex: bool = True) -> tuple[AuthorData, ...]:
    """The authors in one line of text, as arXiv and many feeds write them; read up to `limit` characters.

    Understands `A B, C D (Place, City), and E F`, a collaboration before a colon, `A (1), B (2) ((1) X, (2)
    Y)`, suffixes after a comma (`C. Cohen, Jr.`), and bioRxiv's `Surname, A. B., Other, C.`.
    """
    if len(value) <= limit and _PLAIN_BYLINE.fullmatch(value):
        return tuple([AuthorData(name=name) for name in value.split(", ")])
    line = clean(value, limit=limit)
    authors: list[AuthorData] = []
    together = _COLLABORATION.match(line) if ":" in line else None
    if together:
        authors.append(AuthorData(name=together[1].strip()))
        line = line[together.end() :]
    line, places = _numbered_places(line)
    for part in _unite(_split_names(line)):
        name, notes = _without_parentheses(part)
        author = author_from(name, _place(notes, places), tex=tex)
        if author:
            authors.append(author)
    return tuple(authors)


_MARKS = re.compile(r"[(){};&]|\band\b")
_LONGEST_SUFFIX = 5


def _split_names(line: str) -> list[str]:
    """Splits at commas, semicolons and `and` outside parentheses."""
    if not _MARKS.search(line):
        return [part.strip() for part in line.split(",") if part.strip()]
    parts: list[str] = []
    depth = start = 0
    for token in re.finditer(r"[(){}]|[,;]|\band\b|&", line):
        mark = token[0]
        if mark in "({":
            depth += 1
        elif mark in ")}":
            depth = max(0, depth - 1)
        elif depth == 0 and not (mark in ("and", "&") and not _stands_alone(line, token.start(), token.end())):
            parts.append(line[start : token.start()])
            start = token.end()
    parts.append(line[start:])
    return [part.strip() for part in parts if part.strip() not in ("", "and", "&")]


def _stands_alone(line: str, start: int, end: int) -> bool:
    return start > 0 and line[start - 1] == " " and end < len(line) and line[end] == " "


def _unite(parts: list[str]) -> list[str]:
    """Puts suffixes back to their names, and `Surname, I.` pairs into `I. Surname`."""
    if len(parts) >= 2 and len(parts) % 2 == 0:
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        if all(_INITIALS.fullmatch(given) and not _INITIALS.fullmatch(family) for family, given in pairs):
            return [f"{given} {family}" for family, given in pairs]
    united: list[str] = []
    for part in parts:
        if united and len(part) <= _LONGEST_SUFFIX and _SUFFIX.fullmatch(part):
            united[-1] = f"{united[-1]}, {part}"
        else:
            united.append(part)
    return united


def _without_parentheses(part: str) -> tuple[str, list[str]]:
    """`Name (one) (two)` as the name and what stood in its parentheses."""
    if "(" not in part:
        return " ".join(part.split()), []
    name: list[str] = []
    notes: list[str] = []
    depth = start = 0
    for at, char in enumerate(part):
        if char == "(":
            if depth == 0:
                name.append(part[start:at])
                start = at + 1
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            if depth == 0:
                notes.append(part[start:at].strip())
                start = at + 1
    (notes if depth else name).append(part[start:].strip())
    return " ".join(" ".join(name).split()), notes


def _numbered_places(line: str) -> tuple[str, dict[str, str]]:
    """Takes a closing `((1) Here, (2) There)` off the line and returns what its numbers mean."""
    at = line.find("((1)")
    if at < 0:
        return line, {}
    pieces = _NUMBERED.split(line[at + 1 :].rstrip().removesuffix(")"))
    places = {number: place.strip(" ,;.") for number, place in zip(pieces[1::2], pieces[2::2], strict=False)}
    return line[:at], places


def _place(notes: list[str], places: dict[str, str]) -> str | None:
    found: list[str] = []
    for note in notes:
        if _NOTES.fullmatch(note):
            found.extend(places[number] for number in re.findall(r"\d+", note) if places.get(number))
        elif note:
            found.append(note)
    return "; ".join(found) or None


def with_identifier(found: tuple[Identifier, ...], scheme: str, value: str | None) -> tuple[Identifier, ...]:
    """`found` and one more, unless it is empty or known."""
    extra = Identifier(scheme, value) if value else None
    return found if extra is None or extra in found else (*found, extra)
