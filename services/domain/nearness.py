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

from services.domain.authors import family_key
from services.domain.titles import title_words

WORTH_ASKING = 0.8
"""Pairs below this score are not shown to anybody."""

_TITLE_AT_LEAST = 0.6
_TITLE_SHARE = 0.6
_UNKNOWN_AUTHORS = 0.85
"""Where one side names no authors, equal titles alone are worth this much."""

_COMMON = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "beyond", "by", "can", "do", "does", "for", "from", "how", "in",
    "into", "is", "it", "its", "not", "of", "on", "or", "our", "over", "the", "their", "this", "to", "toward",
    "towards", "under", "using", "via", "we", "what", "when", "where", "which", "who", "why", "with",
    "without",
})  # fmt: skip


_COINED = re.compile(r"\s*(?=\S*(?:[a-z][A-Z]|[A-Z]{2}|[0-9-]))([\w.+-]{4,30})\s*:")


@dataclass(frozen=True, slots=True)
class Nearness:
    """How alike two papers are (0 to 1), and why, in words."""

    score: float
    reason: str


def near_keys(title: str) -> tuple[str, str]:
    """(how the title begins, its longest words): loose fingerprints, one of which survives most edits.

    A coined name before a colon (`LanternNet: …`) is a beginning by itself, else the first three telling words are.
    Empty strings for titles of fewer than three telling words.
    """
    telling = [word for word in title_words(title) if word not in _COMMON]
    if len(telling) < 3:
        return "", ""
    longest = sorted(sorted(set(telling), key=lambda word: (-len(word), word))[:4])
    name = _COINED.match(title)
    return _short("head", [name[1].casefold()] if name else telling[:3]), _short("body", longest)


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


def alike(title: str, other_title: str) -> float:
    """How alike two titles are, from 0 (below what counts for anything) to 1: by words and by letters, the better
    counts. Titles whose numbers differ are of a series ("part 1", "part 2"), not of one paper.
    """
    mine, theirs = title_words(title), title_words(other_title)
    if _numbers(mine) != _numbers(theirs):
        return 0.0
    return max(_ratio(mine, theirs), _ratio("".join(mine), "".join(theirs)))


def _numbers(words: Sequence[str]) -> set[str]:
    return {word for word in words if any(c.isdigit() for c in word)}


def _ratio(one: Sequence[str], other: Sequence[str]) -> float:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= _TITLE_AT_LEAST else 0.0
