"""Events: what becomes of a paper after its first day, each decided by one pure function.

An event is known by its paper, kind and key, and is recorded once: a source that goes back and forth, or a
licence that is changed and changed back, is told of a single time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any

from services.domain.links import LinkData
from services.domain.momentum import steady
from services.domain.repos import ReleaseData
from services.domain.text import excerpt

KINDS = (
    "withdrawn", "code_appeared", "new_version", "accepted", "release", "stars_jumped", "license_changed",
    "repo_archived",
)  # fmt: skip
"""Every kind of event there is, in the order in which a reader wants to know."""

ONCE = ""
"""The key of what can happen to a paper a single time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData:
    """One event: `key` tells events of one kind apart, `detail` is JSON-able."""

    kind: str
    key: str = ONCE
    detail: Mapping[str, Any] = field(default_factory=dict)


# -- papers ------------------------------------------------------------------------------------------------------


def paper_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[EventData, ...]:
    """What happened between two states of a paper's facts (as `merging.compose` gives them)."""
    found = (withdrawal(old, new), new_version(old, new), acceptance(old, new))
    return tuple(event for event in found if event is not None)


def withdrawal(old: Mapping[str, Any], new: Mapping[str, Any]) -> EventData | None:
    """A source says the paper is withdrawn, which none said before."""
    if old.get("withdrawn") or not new.get("withdrawn"):
        return None
    return EventData(kind="withdrawn")


def new_version(old: Mapping[str, Any], new: Mapping[str, Any]) -> EventData | None:
    """A higher version than the one known, with what changed in title and abstract.

    `detail`: `from`, `to`, `title` (the old one, when it changed), `abstract` (the share that is new, 0 to 1).
    """
    before, after = old.get("version"), new.get("version")
    if not before or not after or after <= before:
        return None
    detail: dict[str, Any] = {"from": before, "to": after}
    if (old.get("title") or "").split() != (new.get("title") or "").split():
        detail["title"] = old.get("title")
    share = changed_share(old.get("abstract") or "", new.get("abstract") or "")
    if share and old.get("abstract") and new.get("abstract"):
        detail["abstract"] = share
    return EventData(kind="new_version", key=f"v{after}", detail=detail)


def changed_share(old: str, new: str) -> float:
    """How much of a text is new: 0 for the same words, 1 for other ones."""
    before, after = old.split(), new.split()
    if before == after:
        return 0.0
    alike = SequenceMatcher(None, before[:2_000], after[:2_000], autojunk=False).ratio()
    return max(round(1 - alike, 2), 0.01)


def acceptance(old: Mapping[str, Any], new: Mapping[str, Any]) -> EventData | None:
    """The authors now name a venue: in the journal reference, or as "accepted at …" in the comment."""
    if accepted_at(old.get("comment"), old.get("journal_ref")):
        return None
    venue = accepted_at(new.get("comment"), new.get("journal_ref"))
    return EventData(kind="accepted", detail={"venue": venue}) if venue else None


_ACCEPTED = re.compile(
    r"(?<!not )(?<!if )(?:\baccepted\s+(?:(?:as|for)\s+(?:an?\s+)?(?:[\w-]+\s+){0,3}?)?"
    r"(?:publication\s+|presentation\s+)?(?:at|by|to|in|for)\b|\baccepted\s*[:@]"
    r"|\b(?:is |will |to )appear(?:s|ing)?\s+(?:at|in)\b"
    r"|\bpublished\s+(?:at|in|by|as)\b|\bcamera[- ]ready\b[^.;]*?\b(?:for|of|at)\b|\bpresented\s+at\b|\baccepted\b)"
    r"[\s:@]*(?P<venue>[^;]*)",
    re.I,
)
_NOT_YET = re.compile(r"\b(?:submitted|under review|in review|under submission)\b", re.I)


def accepted_at(comment: str | None, journal_ref: str | None) -> str | None:
    """The venue a paper was accepted at, in the authors' words; `None` when they name none.

    "Submitted to …" and "under review" are no acceptance.
    """
    if journal_ref and journal_ref.strip():
        return excerpt(journal_ref.strip(), 120)
    found = _ACCEPTED.search(comment or "")
    if found is None or _NOT_YET.search((comment or "")[max(0, found.start() - 60) : found.end()]):
        return None
    venue = re.split(r"\.\s|,\s*\d+\s+pages|https?://|\s\(", found["venue"])[0].strip(" .,:()[]")
    return excerpt(venue or "a venue", 120)


# -- code --------------------------------------------------------------------------------------------------------


def code_appeared(link: LinkData) -> EventData:
    """A paper known before has got a repository: the link itself, or what it leads to."""
    return EventData(
        kind="code_appeared", key=(link.slug or link.url).lower(),
        detail={"slug": link.slug, "url": link.url, "evidence": link.evidence},
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoState:
    """What of a repository can be news. `license` is an SPDX id."""

    slug: str
    state: str
    stars: int | None = None
    license: str | None = None
    archived: bool = False


def repo_events(old: RepoState, new: RepoState) -> tuple[EventData, ...]:
    """What happened to a repository between two looks at it."""
    if old.state != "found":
        return ()
    found: list[EventData] = []
    if (old.license or "") != (new.license or ""):
        found.append(
            EventData(
                kind="license_changed", key=f"{new.slug.lower()} {new.license or 'none'}",
                detail={"slug": new.slug, "from": old.license, "to": new.license},
            )
        )  # fmt: skip
    if new.archived and not old.archived:
        found.append(EventData(kind="repo_archived", key=new.slug.lower(), detail={"slug": new.slug}))
    return tuple(found)


def releases_since(listed: Sequence[ReleaseData], *, tag: str | None, at: datetime | None) -> tuple[ReleaseData, ...]:
    """Those of `listed` (newest first) that came after what was known, oldest first.

    What was known is the newest `tag`, or where that is not listed (it was deleted, or there was none) the time `at`
    which the newest was published, or was looked for. Knowing neither, nothing is after it.
    """
    tags = [release.tag for release in listed]
    if tag is not None and tag in tags:
        return tuple(reversed(listed[: tags.index(tag)]))
    if at is None:
        return ()
    return tuple(r for r in reversed(listed) if r.published_at is not None and r.published_at > at)


def release_event(slug: str, release: ReleaseData) -> EventData:
    """A repository has a new release; each is told of once."""
    published = release.published_at.isoformat() if release.published_at else None
    return EventData(
        kind="release", key=f"{slug.lower()} {release.tag}",
        detail={"slug": slug, "tag": release.tag, "url": release.url, "published_at": published},
    )  # fmt: skip


JUMP_24H = 100
"""Stars in a day that are news of themselves."""
_FACTORS = (2, 5, 10, 20, 50, 100)
_FEW = 50
"""A factor counts from this many stars gained: from 2 to 4 is no jump."""


def stars_jumped(slug: str, readings: Sequence[tuple[datetime, int]], now: datetime) -> EventData | None:
    """A repository that took off: 100 stars in 24 hours, or N times those it had when we first looked.

    A factor is told of once; a hundred in a day once a calendar week. The greater news wins.
    """
    known = steady(readings, now)
    if len(known) < 2:
        return None
    (_, first), (last_at, last) = known[0], known[-1]
    gained = last - first
    reached = [n for n in _FACTORS if first > 0 and last >= first * n and gained >= _FEW]
    if reached:
        factor = reached[-1]
        return EventData(
            kind="stars_jumped", key=f"{slug.lower()} x{factor}",
            detail={"slug": slug, "stars": last, "factor": factor, "since": known[0][0].date().isoformat()},
        )  # fmt: skip
    return _hundred_in_a_day(slug, known, last_at, last)


def _hundred_in_a_day(
    slug: str, known: Sequence[tuple[datetime, int]], last_at: datetime, last: int
) -> EventData | None:
    day_before = [stars for at, stars in known if timedelta(0) < last_at - at <= timedelta(hours=25)]
    if not day_before or last - min(day_before) < JUMP_24H:
        return None
    year, week, _ = last_at.isocalendar()
    return EventData(
        kind="stars_jumped", key=f"{slug.lower()} {year}-W{week:02d}",
        detail={"slug": slug, "stars": last, "gained_24h": last - min(day_before)},
    )  # fmt: skip


# -- words -------------------------------------------------------------------------------------------------------


def describe(kind: str, detail: Mapping[str, Any], title: str) -> str:
    """An event in a sentence without a full stop: `v2 of “…” (abstract changed)`."""
    name = f"“{excerpt(title, 90)}”"
    match kind:
        case "withdrawn":
            return f"{name} was withdrawn"
        case "code_appeared":
            return f"{name} now has code: {detail.get('slug') or detail.get('url') or 'see its page'}"
        case "new_version":
            parts = ["title changed"] * ("title" in detail) + ["abstract changed"] * ("abstract" in detail)
            return f"v{detail.get('to')} of {name}" + (f" ({', '.join(parts)})" if parts else "")
        case "accepted":
            return f"{name} was accepted: {detail.get('venue')}"
        case "release":
            return f"{detail.get('slug')} {detail.get('tag')} was released, code of {name}"
        case "stars_jumped":
            how = f"+{detail['gained_24h']:,} in a day" if "gained_24h" in detail else f"{detail.get('factor')} times"
            return f"{detail.get('slug')} took off: ★ {detail.get('stars'):,} ({how}), code of {name}"
        case "license_changed":
            return f"licence of {detail.get('slug')}: {detail.get('from') or 'none'} → {detail.get('to') or 'none'}"
        case "repo_archived":
            return f"{detail.get('slug')}, code of {name}, was archived"
    return f"{kind.replace('_', ' ')}: {name}"
