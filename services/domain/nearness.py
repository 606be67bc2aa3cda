"""Nearness: whether two papers may be one, though no identifier says so.

Edited titles, the conference version of a preprint, LaTeX against Unicode: such pairs are found by two loose
fingerprints of the title, then scored by title and authors. A score is a question to a person, never a merge.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from services.domain.authors import family_key
from services.domain.titles import title_words

WORTH_ASKING = 0.8
"""Pairs below this score are not shown to anybody."""

_TITLE_AT_LEAST = 0.6
_GIST_AT_LEAST = 0.5
_NO_LETTER = re.compile(r"\W+")
_TITLE_SHARE = 0.6
_UNKNOWN_AUTHORS = 0.85
"""Where one side names no authors, equal titles alone are worth this much."""

_COMMON = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "beyond", "by", "can", "do", "does", "for", "from", "how", "in",
    "into", "is", "it", "its", "not", "of", "on", "or", "our", "over", "the", "their", "this", "to", "toward",
    "towards", "under", "using", "via", "we", "what", "when", "where", "which", "who", "why", "with",
    "without",
})  # fmt: skip


_COINED = re.compile(r"\s*(?=\S*(?:[a-z][A-Z]|[A-Z]{2}|[0-9-]))([\w.+-]{4,30})\s*(?::|$)")


@dataclass(frozen=True, slots=True)
class Nearness:
    """How alike two papers are (0 to 1), and why, in words."""

    score: float
    reason: str


def near_keys(title: str) -> tuple[str, str]:
    """(how the title begins, its longest words): loose fingerprints, one of which survives most edits.

    A coined name before a colon (`LanternNet: …`), or alone, is a beginning by itself, else the first letters of the
    telling words are. British spelling and plurals are laid aside. Empty strings for other titles of fewer than three
    telling words.
    """
    name = _COINED.match(title)
    telling = [_one_spelling(word) for word in title_words(title) if word not in _COMMON]
    if len(telling) < 3:
        return (_short("head", [name[1].casefold()]), "") if name else ("", "")
    longest = sorted(sorted(sorted(set(telling)), key=len, reverse=True)[:4])
    head = name[1].casefold() if name else "".join(telling)[:_HEAD_LETTERS]
    return _short("head", [head]), _short("body", longest)


_HEAD_LETTERS = 16
"""Of the beginning without its blanks, so that a hyphen more or less does not matter: two or three words."""
_BRITISH = re.compile(
    r"(?P<iz>(?<=[a-z]{2})is(?=(?:ation|ing|ed|er|e)$)|(?<=[a-z])ys(?=(?:ing|ed|e)$))|(?P<or>our(?=(?:ed|ing|al|ful|able|hood)?$))"
    r"|(?P<er>(?<=[a-z]t)re$|(?<=[fb])re$)|(?P<l>ll(?=(?:ing|ed|er)$))|(?P<og>ogue$)"
)
_AMERICAN = {"or": "or", "er": "er", "l": "l", "og": "og"}


@lru_cache(maxsize=8192)  # titles have few words
def _one_spelling(word: str) -> str:
    if len(word) < 5:
        return word
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _BRITISH.sub(lambda part: _AMERICAN.get(part.lastgroup or "") or part[0].replace("s", "z"), word)


def _short(name: str, words: Sequence[str]) -> str:
    return hashlib.blake2b(f"{name} {' '.join(words)}".encode(), digest_size=8).hexdigest()


def nearness(title: str, authors: Sequence[str], other_title: str, other_authors: Sequence[str]) -> Nearness | None:
    """How near two papers are, or `None` when there is no reason to ask.

    Titles are compared by `alike`; authors by their family names, as the share of the shorter list found in the
    other.
    """
    shared_words = alike(title, other_title)
    if shared_words < _TITLE_AT_LEAST:
        return None
    names, others = set(map(family_key, authors)) - {""}, set(map(family_key, other_authors)) - {""}
    said = "equal titles" if shared_words == 1 else f"titles {shared_words:.0%} alike"
    if not names or not others:
        score, who = shared_words * _UNKNOWN_AUTHORS, "authors unknown"
    else:
        shared = len(names & others)
        overlap = shared / min(len(names), len(others))
        score = _TITLE_SHARE * shared_words + (1 - _TITLE_SHARE) * overlap
        who = f"{shared} of {min(len(names), len(others))} authors shared"
    return Nearness(round(score, 3), f"{said}, {who}") if score >= WORTH_ASKING else None


Gist = frozenset[tuple[str, str, str]]


def gist(title: str) -> Gist:
    """What `may_be_near` looks at: the runs of three letters in a title, without its spelling laid aside."""
    letters = _NO_LETTER.sub("", title.casefold())
    return frozenset(zip(letters, letters[1:], letters[2:], strict=False))


def may_be_near(one: Gist, other: Gist) -> bool:
    """Whether two titles that meet by a key can be alike, by their gists.

    Most such pairs share a beginning ("Large language models for ...") and nothing else; to see that in the letters
    themselves takes thirty times as long.
    """
    return len(one & other) >= _GIST_AT_LEAST * min(len(one), len(other))


def alike(title: str, other_title: str) -> float:
    """How alike two titles are, from 0 (below what counts for anything) to 1: by words and by letters, the better
    counts. Titles whose numbers differ are of a series ("part 1", "part 2", "II"), not of one paper, and a correction
    or a reply is not what it speaks of. Where one only leaves out what follows the coined name, or has the same words
    in another order, they are nearly equal.
    """
    mine, theirs = title_words(title), title_words(other_title)
    same_length = len(mine) == len(theirs)
    if _series(mine, same_length) != _series(theirs, same_length):
        return 0.0
    if _notices(title, mine) != _notices(other_title, theirs):
        return 0.0
    found = max(_ratio(mine, theirs), _ratio("".join(mine), "".join(theirs)))
    if found < _REARRANGED and (_rearranged(mine, theirs) or _subtitle_dropped(title, other_title)):
        return _REARRANGED
    return found


_REARRANGED = 0.9
_ORDINALS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "first": "1", "second": "2", "third": "3",
    "fourth": "4", "fifth": "5", "sixth": "6", "seventh": "7", "eighth": "8", "ninth": "9", "tenth": "10",
}  # fmt: skip
_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivx]{1,5}")
_MEMBER = frozenset({"part", "volume", "vol", "chapter", "section", "book", "act", "series", "phase", "stage"})
_NOTICE = re.compile(
    r"\s*\W?\s*(?:re\s*[:\]]|(?:corrigend|errat|addend)(?:um|a)\b|(?:author |publisher )?correction\b"
    r"|retract(?:ion|ed)\b|withdrawn\b|(?:reply|response|rejoinder|comments?|commentary) (?:to|on)\b)",
    re.I,
)


def _series(words: Sequence[str], same_length: bool) -> set[str]:
    """What tells the members of a series apart: numbers, ordinals, Roman numbers and letters after "part"; those at the
    end only of titles of the same length, else a subtitle follows in the other (`Planning with R: tools`)."""
    last = len(words) - 1 if same_length else None
    named = {
        _ORDINALS.get(word, word)
        for n, word in enumerate(words)
        if word in _ORDINALS
        or ((n == last or words[n - 1] in _MEMBER) and n > 0 and (_ROMAN.fullmatch(word) or len(word) == 1))
    }
    return named.union(*(_DIGITS.findall(word) for word in words))


def _notices(title: str, words: Sequence[str]) -> bool:
    return _NOTICE.match(title) is not None or words[-1:] in (("corrigendum",), ("erratum",), ("retraction",))


def _rearranged(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    telling = set(mine) - _COMMON
    return len(telling) >= 3 and telling == set(theirs) - _COMMON


def _subtitle_dropped(title: str, other_title: str) -> bool:
    names = [_COINED.match(one) for one in sorted((title, other_title), key=len)]
    short, long = names
    return bool(
        short and long and short[1] == long[1] and short.end() >= min(len(title.strip()), len(other_title.strip()))
    )


def _ratio(one: Sequence[str], other: Sequence[str]) -> float:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= _TITLE_AT_LEAST else 0.0
