"""The catalogue: feeds and digests written down in a `feeds.toml`, checked before anything runs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SHIPPED = Path(__file__).with_name("feeds.toml")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CADENCES = ("instant", "daily", "weekdays", "weekly", "monthly")
RANKINGS = ("personal", "trending", "newest", "upvotes", "stars")
_FEED_KEYS = {
    "name",
    "kind",
    "title",
    "url",
    "interval_minutes",
    "history_days",
    "fresh_minutes",
    "paused",
    "mute_alerts",
}
_DIGEST_KEYS = {"name", "to", "query", "cadence", "at", "timezone", "budget", "ranking", "feeds", "news_alone"}


class CatalogueError(ValueError):
    """The file cannot be used; the message names the file, the entry and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSpec:
    """One `[[feed]]`. `params` are the keys that belong to the feed's kind (`query`, `category`, …)."""

    name: str
    kind: str
    title: str
    url: str = ""
    interval_minutes: int = 60
    interval_fixed: bool = False
    """Whether the file names the interval; else it follows the feed's own rhythm."""
    fresh_minutes: int | None = None
    """The objective: how old our last sure knowledge of its newest batch may be."""
    history_days: int = 3
    """How many days back the first fetch goes, for sources with a past."""
    paused: bool = False
    mute_alerts: bool | None = None
    """Whether nobody is written to about its failures; `None`: the file does not say."""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSpec:
    """One `[[digest]]`: who gets what, when. `to` as in `broadsheet subscriptions add --to`."""

    name: str
    to: str
    query: str = ""
    cadence: str = "daily"
    at: str = "08:00"
    timezone: str = "UTC"
    budget: int = 12
    ranking: str = "personal"
    feeds: tuple[str, ...] = ()
    news_alone: bool = False
    """Whether news of papers that were sent before is reason enough to write, without a new paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All feeds and digests of one file, names unique."""

    feeds: tuple[FeedSpec, ...] = ()
    digests: tuple[DigestSpec, ...] = ()


def load_catalogue(path: Path) -> Catalogue:
    """Read and check `path`; raises `CatalogueError` with the line or entry and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{path}: not valid TOML: {error}") from error
    unknown = set(data) - {"feed", "digest"}
    if unknown:
        raise CatalogueError(f"{path}: unknown table {sorted(unknown)[0]!r}; use [[feed]] and [[digest]]")
    feeds = tuple(_feed(path, number, raw) for number, raw in enumerate(_tables(path, data, "feed"), 1))
    digests = tuple(_digest(path, number, raw) for number, raw in enumerate(_tables(path, data, "digest"), 1))
    for kind, names in (("feed", [f.name for f in feeds]), ("digest", [d.name for d in digests])):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise CatalogueError(f"{path}: {kind} name {sorted(twice)[0]!r} is used twice")
    return Catalogue(feeds=feeds, digests=digests)


def _tables(path: Path, data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    tables = data.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise CatalogueError(f"{path}: write each {key} as a [[{key}]] table")
    return tables


def _feed(path: Path, number: int, raw: Mapping[str, Any]) -> FeedSpec:
    where = f"{path}: [[feed]] {number} ({raw.get('name', 'no name')})"
    name = _text(where, raw, "name")
    if not NAME.fullmatch(name):
        raise CatalogueError(f"{where}: a name is lower-case letters, digits, '.', '_' and '-'")
    if "=***" in str(raw.get("url", "")):
        raise CatalogueError(f"{where}: its url is shown without its key; write it with its key")
    params = {}
    for key in set(raw) - _FEED_KEYS:
        if not isinstance(raw[key], (str, int, float)) or isinstance(raw[key], bool):
            raise CatalogueError(f"{where}: {key} must be text or a number")
        params[key] = str(raw[key])
    return FeedSpec(
        name=name,
        kind=_text(where, raw, "kind"),
        title=str(raw.get("title") or name),
        url=str(raw.get("url", "")),
        interval_minutes=_number(where, raw, "interval_minutes", 60, 1, 60 * 24 * 31),
        interval_fixed="interval_minutes" in raw,
        fresh_minutes=_number(where, raw, "fresh_minutes", 0, 1, 60 * 24 * 31) if "fresh_minutes" in raw else None,
        history_days=_number(where, raw, "history_days", 3, 0, 3650),
        paused=_switch(where, raw, "paused"),
        mute_alerts=_switch(where, raw, "mute_alerts") if "mute_alerts" in raw else None,
        params=params,
    )


def _digest(path: Path, number: int, raw: Mapping[str, Any]) -> DigestSpec:
    where = f"{path}: [[digest]] {number} ({raw.get('name', 'no name')})"
    unknown = set(raw) - _DIGEST_KEYS
    if unknown:
        raise CatalogueError(f"{where}: unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(_DIGEST_KEYS))}")
    cadence = str(raw.get("cadence", "daily"))
    if cadence not in CADENCES:
        raise CatalogueError(f"{where}: cadence {cadence!r} is none of {', '.join(CADENCES)}")
    ranking = str(raw.get("ranking", "personal"))
    if ranking not in RANKINGS:
        raise CatalogueError(f"{where}: ranking {ranking!r} is none of {', '.join(RANKINGS)}")
    at = str(raw.get("at", "08:00"))
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", at):
        raise CatalogueError(f"{where}: at {at!r} is not a time; write it as 08:00")
    timezone = str(raw.get("timezone", "UTC"))
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CatalogueError(f"{where}: timezone {timezone!r} is unknown; write it as Europe/Berlin") from error
    feeds = raw.get("feeds", [])
    if not isinstance(feeds, list) or not all(isinstance(f, str) for f in feeds):
        raise CatalogueError(f"{where}: feeds is a list of feed names")
    return DigestSpec(
        name=_text(where, raw, "name"),
        to=_text(where, raw, "to"),
        query=str(raw.get("query", "")),
        cadence=cadence,
        at=at,
        timezone=timezone,
        budget=_number(where, raw, "budget", 12, 1, 500),
        ranking=ranking,
        feeds=tuple(feeds),
        news_alone=_switch(where, raw, "news_alone"),
    )


def _text(where: str, raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise CatalogueError(f"{where}: {key} is missing")
    return value.strip()


def _number(where: str, raw: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = raw.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise CatalogueError(f"{where}: {key} must be a whole number from {low} to {high}")
    return value


def _switch(where: str, raw: Mapping[str, Any], key: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        raise CatalogueError(f"{where}: {key} must be true or false")
    return value
