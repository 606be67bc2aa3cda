"""The one sentence of an abstract that tells a reader what the paper does.

Nothing is written anew: the sentence is the authors' own, without the connective it began with.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.domain.text import clean, excerpt

# Full stops after these end no sentence.
_ABBREVIATIONS = frozenset(
    {
        "e.g", "i.e", "et", "al", "vs", "cf", "fig", "figs", "Fig", "Figs", "eq", "eqs", "Eq", "Eqs", "sec",
        "secs", "Sec", "Secs", "ref", "refs", "Ref", "Refs", "tab", "Tab", "no", "nos", "No", "vol", "Vol",
        "approx", "resp", "ca", "Dr", "Prof", "St", "Mr", "Ms", "Mrs", "ed", "eds", "Dept", "Univ", "Inc",
        "Ltd", "U.S", "U.K", "a.k.a", "w.r.t", "i.i.d", "s.t",
    }
)  # fmt: skip
_BREAK = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*(?:\s+|(?<=[。！？]))")
_LAST_WORD = re.compile(r"([\w.]+)\.[\"'”’)\]]*$")

_DOES = re.compile(
    r"\b(?:we|this (?:paper|work|article|study|report|survey|thesis)|our (?:paper|work|study))\b"
    r"[^.;:]{0,60}?\b"
    r"(?:introduc|propos|present|develop|design|build|built|show|demonstrat|prove|establish|describ|releas|"
    r"stud(?:y|ies)|investigat|analy[sz]|address|explor|examin|revisit|report|provid|argue|find|formali[sz]|"
    r"survey|review|evaluat|benchmark|deriv|offer|construct|creat|train|open-sourc|tackl)",
    re.I,
)
_NAMES_IT = re.compile(
    r"\b(?:here|in this (?:paper|work|article|study|report|survey))\b"
    r"|\bis (?:introduced|proposed|presented)\b",
    re.I,
)
_RESULT = re.compile(
    r"\b(?:outperform|achiev|surpass|state[- ]of[- ]the[- ]art|reduc|improv|speed[- ]?up)|\d\s?(?:%|×|x\b)",
    re.I,
)
_ADDRESS_ONLY = re.compile(
    r"^(?:(?:our|the|all|full|source|project|more|additional|we release|we make)\b.{0,40})?\b"
    r"(?:code|codes|codebase|data|datasets?|models?|weights|implementation|demos?|videos?|project page"
    r"|materials?)\b"
    r"[^.]{0,80}(?:\bavailable\b|released|can be found|open[- ]?sourced|https?://)",
    re.I,
)
_CONNECTIVE = re.compile(
    r"^(?:to (?:this|that) end|to address (?:this|these)(?: \w+){0,3}|to (?:fill|bridge) this gap"
    r"|in this (?:paper|work|article|study|report|letter)|here(?:in)?|therefore|thus|hence|accordingly"
    r"|consequently|motivated by this|in response|moreover|furthermore|specifically"
    r"|in particular|however)\s*,\s+(?=\w)",
    re.I,
)


def sentences(text: str) -> tuple[str, ...]:
    """`text` split at its sentences' ends; abbreviations, decimals and initials end none."""
    parts: list[str] = []
    start = 0
    for found in _BREAK.finditer(text):
        before, after = text[start : found.start()], text[found.end() : found.end() + 1]
        if not before.strip() or (after and not _ends(before, after)):
            continue
        parts.append(text[start : found.end()].strip())
        start = found.end()
    rest = text[start:].strip()
    if rest:
        parts.append(rest)
    return tuple(parts)


@lru_cache(maxsize=1_024)
def telling_sentence(abstract: str, *, limit: int = 240) -> str | None:
    """The first sentence of `abstract` that says what the paper does, at most `limit` characters.

    In order of preference: one in which the authors say what they do; one that names the work; one with a
    result; the first. Sentences that only say where the code is are passed over. `None` when there is none.
    """
    found = tuple(
        part for part in sentences(clean(abstract, limit=8_000)) if len(part) > 20 and not _ADDRESS_ONLY.match(part)
    )
    if not found:
        whole = clean(abstract, limit=limit * 2)
        return excerpt(whole, limit) or None
    for wanted in (_DOES, _NAMES_IT, _RESULT):
        for part in found:
            if wanted.search(part):
                return excerpt(_without_connective(part), limit)
    return excerpt(_without_connective(found[0]), limit)


def _ends(before: str, after: str) -> bool:
    if after.islower():
        return False
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    last = word[1]
    # "J. Smith": an initial. "Fig. 3": an abbreviation.
    return not (last in _ABBREVIATIONS or (len(last) == 1 and last.isupper() and last != "I"))


def _without_connective(sentence: str) -> str:
    shorter = _CONNECTIVE.sub("", sentence, count=1)
    return shorter[:1].upper() + shorter[1:] if shorter != sentence else sentence
