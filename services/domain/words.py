"""Words: how a text is cut into comparable words, and how a word of a query is found among them.

Folding makes spellings equal that people take for equal: letter case, accents (`Itō`, `Ito`), full-width
forms, ligatures, TeX markup. Hyphenated words count apart and joined (`pre-training`: `pre`, `training` and
`pretraining`). Scripts written without spaces are cut into characters, so that `言語` is found in
`大規模言語モデル`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from services.domain.text import strip_invisible

MAX_WORDS = 6_000
"""Words of one text that are looked at; an abstract has about 200."""
MAX_WORD = 64
"""Characters of one word that are compared."""

Span = tuple[int, int]
"""Where a word stands: number of its first word, and the number after its last (joined words are longer)."""

# What NFKD leaves whole although people type it plainly.
_PLAIN = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ħ": "h",
        "ı": "i",
        "ŋ": "n",
        "ŧ": "t",
    }
)
# Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic. Not: the sound marks of kana (か is not
# が) and the vowel signs of Indic scripts, without which these are other words.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"(?:(?![{_UNSPACED}])[^\W_]|[\u0900-\u0963\u0966-\u0dff])"
_JOINER = "[-\u2010\u2011\u2012\u2013'\u2019._]"
_COMPOUND = re.compile(rf"[{_UNSPACED}](?:\u3099|\u309a)?|{_LETTER}+(?:{_JOINER}{_LETTER}+)*(?:\+\+|#)?")
_ASCII_COMPOUND = re.compile(r"[a-z0-9]+(?:[-'._][a-z0-9]+)*(?:\+\+|#)?")
_ASCII_JOINED = re.compile(r"(?<![a-z0-9])[a-z0-9]+(?:[-'._][a-z0-9]+)+")
_ASCII_JOINT = re.compile(r"[-'._](?<=[a-z0-9].)[a-z0-9][^ ]*")
"""From the first sign that joins two words up to the next blank."""
_ASCII = bytes(range(128))
_SPACED = bytes(c if chr(c).isalnum() or c == ord("#") else ord(" ") for c in _ASCII.lower()).ljust(256)
"""Letters in lower case, and a blank for each sign that is no word."""
_INVISIBLE = bytes(c for c in _ASCII if not strip_invisible(chr(c)))
APART = " # "
"""Between texts written one after the other: a word that stands in none of them, so that no phrase goes across."""
_JOINERS = re.compile(_JOINER)


def fold(text: str) -> str:
    """`text` without case, accents and compatibility forms; TeX is not touched (see `words_of`)."""
    if text.isascii():
        return (text if text.isprintable() else strip_invisible(text)).lower()
    text = strip_invisible(text)
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()))
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded.translate(_PLAIN))


def compounds(text: str) -> list[tuple[str, ...]]:
    """The words of a folded text; a hyphenated (or dotted) word is a tuple of its parts."""
    pattern = _ASCII_COMPOUND if text.isascii() else _COMPOUND
    return [
        (word[:MAX_WORD],) if word.isalnum() else tuple([part[:MAX_WORD] for part in _JOINERS.split(word)])
        for word in pattern.findall(text)
    ]


@dataclass(frozen=True, slots=True)
class Words:
    """One text as words with their places. `shown` is the text as it was."""

    shown: str
    places: dict[str, list[Span]]

    def find(self, word: WordTest) -> Iterable[Span]:
        """Every place where `word` stands."""
        if isinstance(word, str):
            return self.places.get(word, ())
        return [span for known, spans in self.places.items() if word.fits(known) for span in spans]


@cache
def _singles() -> list[Span]:
    """The places of words that stand alone, made once, when there is something to read: a paper has hundreds."""
    return [(at, at + 1) for at in range(MAX_WORDS)]


def words_of(text: str) -> Words:
    """The words of a title, an abstract, a name: TeX made legible, folded, cut, placed."""
    places: dict[str, list[Span]] = {}
    at, single = 0, _singles()
    for parts in compounds(fold(_without_tex(text))):
        if len(parts) == 1:  # nearly all
            spans = places.get(parts[0])
            if spans is None:
                places[parts[0]] = [single[at]]
            else:
                spans.append(single[at])
            at += 1
            if at >= MAX_WORDS:
                break
            continue
        for offset, part in enumerate(parts):
            places.setdefault(part, []).append((at + offset, at + offset + 1))
        for first, last in _joins(len(parts)):
            places.setdefault("".join(parts[first:last])[:MAX_WORD], []).append((at + first, at + last))
        at += len(parts)
        if at >= MAX_WORDS:
            break
    return Words(text, places)


def in_order(*texts: str) -> tuple[str, list[str]]:
    """The words of `words_of` without their places: those that stand alone, in order, with blanks between them and
    `APART` between texts; then the joined ones, each once."""
    whole = APART.join(texts)
    plain = _without_tex(whole)
    if plain is whole or len(texts) == 1:
        plain = plain if plain.isascii() else fold(plain)
        # Nearly every text: what is no word becomes a blank, and that is all.
        if plain.isascii() and plain.count("#") == len(texts) - 1 and "+" not in plain and len(plain) < 2 * MAX_WORDS:
            spaced = plain.encode().translate(_SPACED, _INVISIBLE).decode()
            if len(spaced) == len(plain) and _none_long(spaced):
                return spaced, _joined(plain.lower())
    cut = [_cut(text) for text in texts]
    joined = dict.fromkeys(word for _, more in cut for word in more)
    return APART.join(" ".join(ordered) for ordered, _ in cut), list(joined)


def _none_long(spaced: str) -> bool:
    """Whether no word is longer than `MAX_WORD`: a blank is found within reach of the last, up to the end."""
    at, end = 0, len(spaced) - MAX_WORD
    while at < end:
        blank = spaced.rfind(" ", at, at + MAX_WORD + 1)
        if blank < 0:
            return False
        at = blank + 1
    return True


def _joined(folded: str) -> list[str]:
    """The joined words of a text in ASCII: found by the signs that join them, since looking at each word costs more."""
    found: list[str] = []
    for joint in _ASCII_JOINT.finditer(folded):
        start, end = joint.span()
        piece = folded[folded.rfind(" ", 0, start) + 1 : end]
        found += _joined_in(piece) if len(piece) <= MAX_WORD else _joined_in.__wrapped__(piece)
    return list(dict.fromkeys(found))


@lru_cache(maxsize=8_192)  # few of them are in one text only
def _joined_in(piece: str) -> tuple[str, ...]:
    return tuple(word for compound in _ASCII_JOINED.findall(piece) for word in _read(compound))


def _cut(text: str) -> tuple[list[str], list[str]]:
    folded = fold(_without_tex(text))
    ordered: list[str] = []
    joined: dict[str, None] = {}
    for word in (_ASCII_COMPOUND if folded.isascii() else _COMPOUND).findall(folded):
        if word.isalnum():
            ordered.append(word[:MAX_WORD])
        else:
            ordered += [part[:MAX_WORD] for part in _JOINERS.split(word)]
            joined |= dict.fromkeys(_read(word))
        if len(ordered) >= MAX_WORDS:
            break
    return ordered, list(joined)


def _read(compound: str) -> list[str]:
    """The words as which neighbours in a compound are also read."""
    parts = [part[:MAX_WORD] for part in _JOINERS.split(compound)]
    if len(parts) == 2:  # nearly all
        return [(parts[0] + parts[1])[:MAX_WORD]]
    return ["".join(parts[first:last])[:MAX_WORD] for first, last in _joins(len(parts))]


# TeX around words is dropped here in a hundredth of the time its own reader takes: `\emph{fast}` is `fast`, `CO$_2$`
# is `CO2`, a bare `\alpha` keeps its name; of `\'{e}` the letter stays, since folding takes accents away.
_TEX_ACCENT = re.compile(r"\\(?:[\"'`^~=.]|[uvHcdbrkt](?![a-zA-Z]))\s*")
_TEX_LETTER = re.compile(r"\\(?:([oOlLij]|ae|AE|oe|OE|ss)|(?:aa|AA))(?![a-zA-Z])\s*")
_TEX_MARKUP = re.compile(
    r"[\\_^${}](?:(?<=\\)(?:[a-zA-Z]+\*?\s*(?=[{\[])|(?=[_%#&$]))|(?<=[_^])(?=[{\\\d])|(?<=[${}]))"
)
_TEX_NAME = re.compile(r"\\([a-zA-Z]*)")


def _without_tex(text: str) -> str:
    if "\\" not in text and "$" not in text:
        return text
    if "\\" not in text:
        return _TEX_MARKUP.sub("", text)
    text = _TEX_ACCENT.sub("", text.replace("\\r{ho}", "\\rho"))  # a slip of arXiv's own reader of accents
    text = _TEX_LETTER.sub(lambda letter: letter[1] or "a", text)
    return _TEX_NAME.sub(lambda name: f" {name[1]} ", _TEX_MARKUP.sub("", text))


def _joins(parts: int) -> list[Span]:
    """Which neighbours of a compound are also read as one word; all of them where that stays a handful."""
    if parts < 2:
        return []
    if parts > 5:
        return [(0, parts), *((first, first + 2) for first in range(parts - 1))]
    return [(first, last) for first in range(parts) for last in range(first + 2, parts + 1)]


# --- what a query asks for -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Glob:
    """A word with `*` (any characters, or none) and `?` (one; at the very end: one or none)."""

    pattern: str

    def fits(self, word: str) -> bool:
        """Whether the whole word has this form."""
        beginning = _beginning(self.pattern)
        if beginning is not None:
            return word.startswith(beginning)
        if self.pattern.endswith("?") and glob(self.pattern[:-1], word):
            return True
        return glob(self.pattern, word)


@lru_cache(maxsize=4_096)
def _beginning(pattern: str) -> str | None:
    """What words begin with that fit `pattern`, where it asks for nothing else (`quant*`)."""
    head = pattern.rstrip("*")
    return head if head != pattern and "*" not in head and "?" not in head else None


@dataclass(frozen=True, slots=True)
class Near:
    """A word with at most `edits` letters changed, added, lost or swapped."""

    word: str
    edits: int

    def fits(self, word: str) -> bool:
        """Whether the word is near enough."""
        return within(self.word, word, self.edits)


WordTest = str | Glob | Near
Unit = tuple[tuple[WordTest, ...], ...]
"""One word of a query: the ways to read it, each a row of words (`pre-training`: two words, or one)."""


def units_of(text: str) -> tuple[Unit, ...]:
    """The words of a query's term or phrase, to be found one after the other."""
    return tuple(_unit(parts) for parts in compounds(fold(text)))


def _unit(parts: Sequence[WordTest]) -> Unit:
    if len(parts) == 1:
        return ((parts[0],),)
    return (tuple(parts), ("".join(str(part) for part in parts)[:MAX_WORD],))


_GLOB_WORD = re.compile(rf"(?:{_LETTER}|[{_UNSPACED}\u3099\u309a*?])+(?:\+\+|#)?")


def glob_units(text: str) -> tuple[Unit, ...]:
    """The words of a term with wildcards: `multi-mod*` is `multi`, then a word that begins with `mod`."""
    pieces = [piece[:MAX_WORD] for piece in _GLOB_WORD.findall(fold(text))]
    if any(piece.strip("*?") for piece in pieces):
        pieces = [piece for piece in pieces if piece.strip("*?")]
    units: list[Unit] = []
    for piece in pieces:
        bare = piece.strip("*")
        if re.search(rf"[{_UNSPACED}]", bare) and "*" not in bare and "?" not in bare:
            units.extend(units_of(bare))  # found inside longer runs anyway
        else:
            units.append(((Glob(re.sub(r"\*+", "*", piece)) if "*" in piece or "?" in piece else piece,),))
    return tuple(units)


def near_units(text: str, edits: int | None) -> tuple[Unit, ...]:
    """A fuzzy word. `None` edits: none for up to 2 letters, 1 for up to 5, else 2."""
    word = "".join("".join(parts) for parts in compounds(fold(text)))[:MAX_WORD]
    if not word:
        return ()
    if edits is None:
        edits = 0 if len(word) <= 2 else 1 if len(word) <= 5 else 2
    return (((Near(word, edits) if edits else word,),),)


# --- finding -------------------------------------------------------------------------------------------


def has_phrase(words: Words, units: Sequence[Unit]) -> bool:
    """Whether the units stand one right after the other."""
    if len(units) == 1:
        return any(has_word(words.places, way[0]) if len(way) == 1 else _ends(words, way, None) for way in units[0])
    ends: set[int] | None = None
    for unit in units:
        ends = {end for way in unit for end in _ends(words, way, ends)}
        if not ends:
            return False
    return ends is not None


def has_word(known: Collection[str], word: WordTest) -> bool:
    """Whether `word` is among the known ones."""
    return word in known if isinstance(word, str) else any(map(word.fits, known))


def may_have(known: Collection[str], units: Sequence[Unit]) -> bool:
    """Whether each unit has a way whose words are all known: `False` saves looking further."""
    return all(any(all(has_word(known, word) for word in way) for way in unit) for unit in units)


def has_near(words: Words, units: Sequence[Unit], slop: int) -> bool:
    """Whether all units stand, in any order, within a stretch of their number plus `slop` words."""
    events: list[tuple[int, int]] = []
    for number, unit in enumerate(units):
        starts = [start for way in unit for start in _starts(words, way)]
        if not starts:
            return False
        events.extend((start, number) for start in starts)
    events.sort()
    inside, left = dict.fromkeys(range(len(units)), 0), 0
    for start, number in events:
        inside[number] += 1
        while start - events[left][0] >= len(units) + slop:
            inside[events[left][1]] -= 1
            left += 1
        if all(inside.values()):
            return True
    return False


def has_name(words: Words, units: Sequence[Unit]) -> bool:
    """Whether a person's name is the one asked for: all units stand, in any order, given names perhaps as initials.

    `K. Ito` finds `Kenji Ito` and `Ito, Kenji`, and `Kenji Ito` finds `K. Ito`; that needs one word (the family's) in
    full. An initial stands for a word of its own: `I. Ito` is nobody called Kenji. A middle initial that the name
    lacks does not count where two words stand in full.
    """
    taken: set[str] = set()
    open_units: list[Unit] = []
    in_full = 0
    for unit in units:
        way = next((way for way in unit if _starts(words, way)), None)
        if way is None:
            open_units.append(unit)
        else:
            taken.update(word for word in way if isinstance(word, str))
            in_full += not is_letter(unit)
    for unit in open_units:
        if is_letter(unit):
            letter = str(unit[0][0])
            if in_full < 2 and not any(word.startswith(letter) and word not in taken for word in words.places):
                return False
        elif not in_full or not any(_as_initials(words, way) for way in unit):
            return False
    return True


def is_letter(unit: Unit) -> bool:
    """Whether a unit is an initial."""
    word = unit[0][0]
    return isinstance(word, str) and len(word) == 1


def _as_initials(words: Words, way: Sequence[WordTest]) -> bool:
    return all(isinstance(word, str) and word[0] in words.places for word in way)


def _ends(words: Words, way: Sequence[WordTest], starts: set[int] | None) -> set[int]:
    for word in way:
        starts = {end for start, end in words.find(word) if starts is None or start in starts}
        if not starts:
            return set()
    return starts or set()


def _starts(words: Words, way: Sequence[WordTest]) -> list[int]:
    return [start for start, end in words.find(way[0]) if len(way) == 1 or _ends(words, way[1:], {end})]


def glob(pattern: str, text: str) -> bool:
    """Whether all of `text` has the form of `pattern`, in at most len(pattern) x len(text) steps."""
    at = here = 0
    star, resume = -1, 0
    while here < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, here
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[here]):
            at += 1
            here += 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return all(char == "*" for char in pattern[at:])


@lru_cache(maxsize=65_536)
def within(one: str, other: str, edits: int) -> bool:
    """Whether `other` is `one` with at most `edits` letters changed, added, lost, or neighbours swapped."""
    if one == other:
        return True
    if abs(len(one) - len(other)) > edits:
        return False
    # An edit does away with one letter at most; this turns down most words at a glance.
    mine, theirs = set(one), set(other)
    if len(mine - theirs) > edits or len(theirs - mine) > edits:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > edits and min(before) > edits:
            return False
    return row[-1] <= edits
