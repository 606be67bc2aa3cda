"""The syntax of queries: from a person's text to luqum's tree, and errors that point at the character.

luqum knows Lucene's grammar, but stops at an apostrophe, takes `/path` for a regular expression and reports
positions only inside its messages. `prepare` smooths what people type before luqum sees it, and remembers
where each character came from.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from luqum import parser as luqum_parser
from luqum.exceptions import ParseError
from luqum.tree import BaseOperation, Item

from services.domain.errors import InvalidInput

MAX_QUERY = 2_000
"""Characters of one query."""
MAX_PARENTHESES = 20
"""Parentheses inside one another."""
MAX_DEPTH = 60
"""Levels of the tree, all operators counted."""


class QueryError(InvalidInput):
    """A query that cannot be understood.

    The message has what is wrong, the text, a caret under the character, and what to do, on four lines;
    `position` is the character's number, from 0.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


def query_error(text: str, position: int, wrong: str, advice: str) -> QueryError:
    """A `QueryError` that shows the place; of a long text only what is near it."""
    position = max(0, min(position, len(text)))
    first = max(0, position - 40)
    shown = text[first : position + 40]
    head = "…" if first else ""
    tail = "…" if position + 40 < len(text) else ""
    line = "".join(char if char.isprintable() else " " for char in shown)
    caret = "".join(_blank(char) for char in head + line[: position - first])
    return QueryError(f"{wrong}\n  {head}{line}{tail}\n  {caret}^\n{advice}", position)


def _blank(char: str) -> str:
    """Empty space as wide as `char` is on a terminal."""
    if unicodedata.combining(char):
        return ""
    return "\u3000" if unicodedata.east_asian_width(char) in "WF" else " "


@dataclass(frozen=True, slots=True)
class Prepared:
    """What luqum is given, and for each of its characters the place in the person's text."""

    original: str
    text: str
    places: tuple[int, ...]

    def place(self, at: int | None) -> int:
        """Where in the person's text the character `at` of the prepared one stands."""
        if at is None:
            return 0
        return self.places[at] if at < len(self.places) else len(self.original.rstrip())

    def error(self, at: int | None, wrong: str, advice: str) -> QueryError:
        """An error that points at the character `at` of the prepared text."""
        return query_error(self.original, self.place(at), wrong, advice)


# Punctuation of other keyboards means what it looks like; one character for one, so that places stay.
_KEYBOARD = str.maketrans(
    {**dict.fromkeys("“”„‟«»「」『』＂", '"'), "：": ":", "（": "(", "）": ")", "\u00a0": " ", "\u3000": " "}
)
_SCAN = re.compile(
    r"""
      (?P<phrase>"(?:[^"\\]|\\.)*")
    | (?P<url>https?://[^\s"()\[\]{}<>]+)
    | (?P<dashes>[-+]+(?=\s|$))
    | (?P<both>&&|\|\|)
    | (?P<approx>~[0-9.]*)
    | (?P<boost>\^[0-9.]*)
    | (?P<word>(?:[^\s:^~(){}\[\]/"'+\-\\<>!]|\\\S)(?:[^\s:^~(){}\[\]\\]|\\\S)*)
    | (?P<other>.)
    """,
    re.X | re.S,
)


def prepare(text: str) -> Prepared:
    """`text` as luqum can read it.

    Raises `QueryError` for what is wrong at sight: a quotation mark or parenthesis without its partner, too
    much nesting, too long a text, a malformed `~` or `^`.
    """
    if len(text) > MAX_QUERY:
        raise query_error(
            text,
            MAX_QUERY,
            f"this query is longer than {MAX_QUERY:,} characters",
            "Split it into several subscriptions.",
        )
    source = "".join(" " if char.isspace() else char for char in text.translate(_KEYBOARD))
    out: list[str] = []
    places: list[int] = []
    opened: list[int] = []
    for found in _SCAN.finditer(source):
        before = source[found.start() - 1] if found.start() else " "
        piece = _smooth(text, found, before, opened)
        verbatim = piece == found[0]
        out.append(piece)
        places.extend(range(found.start(), found.end()) if verbatim else [found.start()] * len(piece))
    if opened:
        raise query_error(
            text,
            opened[-1],
            "this parenthesis is never closed",
            "Close it with ), or put the text in quotes.",
        )
    return Prepared(text, "".join(out), tuple(places))


def _smooth(text: str, found: re.Match[str], before: str, opened: list[int]) -> str:
    piece, at = found[0], found.start()
    loose = before.isspace()
    match found.lastgroup:
        case "url":
            return re.sub(r"([^\w.])", r"\\\1", piece)
        case "dashes":
            return " " * len(piece)
        case "both":
            return " AND " if piece == "&&" else " OR "
        case "approx" | "boost" if loose:
            return " " + piece[1:]
        case "approx":
            valid = r"~\d{0,3}" if before == '"' else r"~([012]|0?\.\d{1,3})?"
            if not re.fullmatch(valid, piece):
                raise query_error(
                    text,
                    at,
                    f"{piece!r} is not a nearness",
                    'Write word~, word~1 or word~2 for similar spellings, "two words"~5 for words near by.',
                )
        case "boost":
            if not re.fullmatch(r"\^(\d{1,6}(\.\d{1,6})?)?", piece):
                raise query_error(
                    text,
                    at,
                    f"{piece!r} is not a weight",
                    "Write word^2; weights change nothing here and may be left out.",
                )
        case "other":
            return _smooth_other(text, piece, at, before, opened)
    return piece


def _smooth_other(text: str, char: str, at: int, before: str, opened: list[int]) -> str:
    match char:
        case '"':
            raise query_error(
                text,
                at,
                "this quotation mark is never closed",
                'Close the phrase with ", or leave the mark out.',
            )
        case "(":
            opened.append(at)
            if len(opened) > MAX_PARENTHESES:
                raise query_error(
                    text,
                    at,
                    f"more than {MAX_PARENTHESES} parentheses inside one another",
                    "Simplify the query, or split it in two.",
                )
        case ")":
            if not opened:
                raise query_error(
                    text, at, "this parenthesis closes nothing", "Leave it out, or open one before it with (."
                )
            opened.pop()
        case "'" | "/" | "\\":
            return "\\" + char
        case "!":
            return "NOT " if at + 1 < len(text) and not text[at + 1].isspace() else " "
        case "-" | "+" if not (before.isspace() or before in '([{:-+!"'):
            return " "
        case "-" | "+" if before == '"':
            return " "  # `"pre"-training`: a hyphen, not a "without"
    return char


def unescaped(raw: str) -> tuple[str, bool]:
    """A term's text without its backslashes, and whether `*` or `?` stand in it as wildcards."""
    wild = any(found in "*?" for found in re.findall(r"\\.|[*?]", raw))
    if wild:
        raw = re.sub(r"\\[*?]", " ", raw)
    return re.sub(r"\\(.)", r"\1", raw), wild


def parse_tree(prepared: Prepared) -> Item:
    """luqum's tree. Raises `QueryError` for what the grammar does not allow and trees over `MAX_DEPTH`."""
    try:
        # A lexer of its own for each call: luqum's keeps state, after an error too.
        tree = luqum_parser.parser.parse(prepared.text, lexer=luqum_parser.lexer.clone())
    except ParseError as error:
        raise _syntax_error(prepared, str(error)) from None
    except Exception as error:  # numbers it cannot convert and the like; a person's text is never our crash
        raise query_error(
            prepared.original, 0, "this query cannot be read", "Put text with special characters in quotes."
        ) from error
    if tree is None:
        raise query_error(
            prepared.original,
            0,
            "there is nothing to search for here",
            "Write a word, or leave the query empty for all papers.",
        )
    _check_depth(prepared, tree)
    return tree


def _syntax_error(prepared: Prepared, message: str) -> QueryError:
    found = re.search(r"at position (\d+)!?$", message)
    text = prepared.original
    if found is None:
        return query_error(
            text,
            len(text.rstrip()),
            "the query ends too early",
            "Something must follow here: a word, a value after the colon, the end of a range ].",
        )
    at = int(found[1])
    place = prepared.place(at)
    bracket = max(prepared.text.rfind("[", 0, at), prepared.text.rfind("{", 0, at))
    if bracket > max(prepared.text.rfind("]", 0, at), prepared.text.rfind("}", 0, at)):
        return query_error(
            text,
            place,
            "this range is not complete",
            "Write [10 TO 20] or [2026-11-01 TO *], with TO in capitals.",
        )
    word = text[place : place + 20].split()[0] if text[place : place + 20].strip() else ""
    return query_error(
        text,
        place,
        f"{word!r} cannot stand here",
        "Between AND, OR and NOT there must be words; text with special characters goes in quotes.",
    )


def _check_depth(prepared: Prepared, tree: Item) -> None:
    stack: list[tuple[Item, int]] = [(tree, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise prepared.error(
                item.pos,
                f"more than {MAX_DEPTH} levels inside one another",
                "Simplify the query, or split it in two.",
            )
        stack.extend((child, depth + (not isinstance(item, BaseOperation))) for child in item.children)
