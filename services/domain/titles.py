"""Titles as names: a fingerprint for papers known by nothing stronger."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from services.domain.text import latex_to_text
from services.domain.words import fold

_GENERIC = re.compile(
    r"(?:guest )?editorials?(?: board| note)?"
    r"|(?:an? )?introduction(?: to the (?:special|theme|thematic) (?:issue|section).*)?"
    r"|table of contents|front ?matter|back ?matter|title page|author index|in this issue|news and views"
    r"|(?:letters?|note|message|word)s? (?:from|to) the (?:guest )?(?:editors?|chairs?|publisher)(?: in chief)?"
    r"|call for papers|book reviews?|list of (?:authors|contributors|reviewers)"
    r"|thanks? to (?:our )?reviewers|(?:daily|weekly) papers?"
)
"""Standing names of what journals print beside papers, as `title_words` gives them."""


_BETWEEN_DIGITS = re.compile(r" (?<=\d )(?=\d)")
"""Blanks go, so that `Fine-Tuning` is `Finetuning`, but version 2.5 is not 25."""
_TELLING_SIGN = re.compile(r"[,&+#]")
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))")
_TEX = re.compile(r"[\\$~^{}_]")
_WORD = re.compile(r"[^\W_]+")
_SPACED = bytes(c if chr(c).isalnum() else ord(" ") for c in range(128)).ljust(256)


@lru_cache(maxsize=8192)  # a page's titles are asked for again at each step of storing it
def title_fingerprint(title: str, beside: str = "") -> str:
    """A fingerprint (32 hexadecimal digits), equal for titles that differ in case, accents, TeX or
    punctuation.

    Empty for titles that name no one paper: fewer than 3 words or 12 letters ("Editorial"), or the standing
    names of journal matter. `beside` (first author, year, how the abstract begins) makes such a title usable;
    it is left out of account where the title is enough, so that sources which know less still agree.
    """
    words = title_words(title)
    letters = _BETWEEN_DIGITS.sub(".", " ".join(words)).replace(" ", "")
    if not letters:
        return ""
    if not _identifies(words):
        also = "".join(title_words(beside))
        if not also:
            return ""
        letters = f"{letters}\n{also}"
    return hashlib.sha256(letters.encode("utf-8")).hexdigest()[:32]


@lru_cache(maxsize=8192)
def title_words(text: str) -> tuple[str, ...]:
    """The words of a title for comparing: TeX made legible, lower case, without accents or punctuation."""
    plain = fold(latex_to_text(text) if _TEX.search(text) else text)
    if _TELLING_SIGN.search(plain):
        plain = _THOUSANDS.sub("", plain).replace("&", " and ").replace("c++", "cplusplus").replace("c#", "csharp")
    return tuple(plain.encode().translate(_SPACED).decode().split() if plain.isascii() else _WORD.findall(plain))


def _identifies(words: tuple[str, ...]) -> bool:
    whole = " ".join(words)
    if whole.isascii():
        letters, count = len(whole) - len(words) + 1, len(words)
    else:
        letters = sum(2 if _is_ideograph(c) else 1 for word in words for c in word)
        count = sum(max(1, sum(map(_is_ideograph, word))) for word in words)
    return count >= 3 and letters >= 12 and not _GENERIC.fullmatch(whole)


def _is_ideograph(char: str) -> bool:
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3"
