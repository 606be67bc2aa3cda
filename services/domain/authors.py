"""Authors: names in the form in which they are searched, followed and compared.

`Øystein Ødegård`, `Odegard, Oystein` and `Ø. Ødegård` name one person as far as letters can tell. What letters
cannot tell (two people of one name) is left open: an ORCID or an account tells it, where one is given.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from services.domain.text import latex_to_text

_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ŋ": "n"}
)
"""Letters that Unicode does not take apart into a base and a mark, though catalogues do."""

_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "phd", "md", "esq"})
_PARTICLES = frozenset({
    "von", "van", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "du", "la", "le", "ter", "ten",
    "zu", "zum", "zur", "al", "el", "bin", "ibn", "af", "av", "st", "san", "abu", "mac",
})  # fmt: skip
"""Words that begin a family name when they stand before it: `Laurens van der Maaten`."""


@dataclass(frozen=True, slots=True)
class AuthorName:
    """A name taken apart and folded: lower case, no accents, no points. Either part may be empty."""

    given: tuple[str, ...]
    family: tuple[str, ...]

    @property
    def key(self) -> str:
        """For following somebody: `maaten van der, l`: the family name and the first initial."""
        initial = self.given[0][0] if self.given else ""
        return f"{' '.join(self.family)}, {initial}" if initial else " ".join(self.family)

    @property
    def words(self) -> frozenset[str]:
        """All words of the name, in no order."""
        return frozenset(self.given + self.family)


@lru_cache(maxsize=16384)
def parse_name(name: str) -> AuthorName:
    """A name in any usual order: `Given Family`, `Family, Given`, `FAMILY Given`; TeX accents understood.

    Of a name without comma the last word is the family's, with the particles before it and one word in capitals
    only, if there is exactly one. What is in brackets is left out. Empty parts for a name without letters.
    """
    plain = re.sub(r"\([^()]*\)", " ", latex_to_text(name[:300]) if "\\" in name else name[:300])
    before, comma, after = plain.partition(",")
    left, right = _words(before), _words(after)
    if comma and right and not set(right) <= _SUFFIXES:
        return AuthorName(tuple(w for w in right if w not in _SUFFIXES), tuple(left))
    words = [word for word in left if word not in _SUFFIXES] or left
    if not words:
        return AuthorName((), ())
    shouted = [_fold(w) for w in re.findall(r"[^\W\d_]{2,}", before) if w.isupper()]
    if len(shouted) == 1 and len(words) > 1 and shouted[0] == words[0] and before.upper() != before:
        return AuthorName(tuple(words[1:]), (words[0],))
    start = len(words) - 1
    while start > 1 and words[start - 1] in _PARTICLES:
        start -= 1
    return AuthorName(tuple(words[:start]), tuple(words[start:]))


def family_key(name: str) -> str:
    """The family name for comparing lists of authors, without its particles: `van der Maaten` is `maaten`."""
    family = parse_name(name).family
    return family[-1] if family else ""


def same_person(one: str, other: str) -> bool:
    """Whether two spellings can be of one person: the family names are equal, and no given name contradicts.

    `Yann LeCun`, `LeCun, Y.` and `Y LeCun` agree; `Yann LeCun` and `Andre LeCun` do not. A family name alone
    agrees with nobody. Names whose two words are turned round (`Wei Zhang`, `Zhang Wei`) agree too.
    """
    left, right = parse_name(one), parse_name(other)
    if not left.given or not right.given:
        return False
    if left.family == right.family:
        return _given_agree(left.given, right.given)
    return left.words == right.words and all(len(word) > 1 for word in left.words)


def _given_agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    first, second = (_initials_apart(given) for given in (one, other))
    return all(a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in zip(first, second, strict=False))


def _initials_apart(given: tuple[str, ...]) -> list[str]:
    """`jp` written for `J.P.` is two initials only where it has no vowel: `jo` is a name."""
    found: list[str] = []
    for word in given:
        found += list(word) if len(word) == 2 and not set(word) & set("aeiouy") else [word]
    return found


def _words(text: str) -> list[str]:
    # `J.-P.` is two initials, `Jean-Pierre` two words, `O'Neil` one.
    return [_fold(word) for word in re.findall(r"[^\W\d_]+", re.sub(r"(?<=\w)['’ʼ`´](?=\w)", "", text))]


def _fold(word: str) -> str:
    apart = unicodedata.normalize("NFKD", word).casefold().translate(_LETTERS)
    return "".join(c for c in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(c))
