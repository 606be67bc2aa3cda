"""An edition as the words and safe links a reader sees; every form (mail, text, Slack) prints these.

Facts that are not known are absent here, never guessed. All strings are plain text that still needs the
escaping of the form it goes into; all URLs have passed `safe_url`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.digests import words
from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus
from services.domain.summaries import telling_sentence
from services.domain.text import clean, excerpt, latex_to_text, safe_url

# What one edition may hold of each, so that the frame around the papers has a bounded size.
_TITLE = 280
_NAME = 80
_REASON = 140
_QUERY = 160
_SENTENCE = 360
_SOURCES = 12
_REPOS = 2
_SINCE = 6
_SINCE_TEXT = 200
_ACTIONS = 6
_SAID = {"more": "more like this", "less": "less like this"}
_MAILTO = re.compile(r"mailto:[A-Za-z0-9.!#$&'*+/=^_`{|}~?@%-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Words that lead somewhere."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLine:
    """One repository: `slug ★ 412 (+180/24 h) · Apache-2.0 · …`."""

    slug: str
    url: str | None
    stars: str
    """`★ 412 (+180/24 h)`, or empty."""
    facts: tuple[str, ...]
    archived: bool
    label: str = "CODE"
    """CODE, MODEL, DATA SET, SPACE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One paper, in the order it is read."""

    number: int
    title: str
    url: str | None
    byline: str
    why: str
    sentence: str
    label: str
    """Who wrote the sentence: `abstract`, `HF AI`; empty when it is not known."""
    by_machine: bool
    marks: tuple[str, ...]
    """`withdrawn`, `arrived late`."""
    meta: tuple[str, ...]
    code: tuple[CodeLine, ...]
    extras: tuple[str, ...]
    actions: tuple[Link, ...]
    feedback: tuple[Link, ...]
    """What the reader may say of it: save, more, less, mute, snooze."""
    stars: str
    """`★ 412` of the first repository, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """`arXiv cs.CL: 126 of 126`; `troubled` when the reader should notice."""

    text: str
    troubled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One edition. `quiet` when there is no paper in it."""

    name: str
    date: str
    short_date: str
    summary: str
    query: str
    """The subscription's query where `summary` does not quote it, else empty."""
    sources: tuple[SourceLine, ...]
    entries: tuple[Entry, ...]
    matched: int
    considered: int
    quiet: bool
    incomplete: bool
    """A source is late or failed: "nothing new" is then only "nothing new so far"."""
    cadence: str
    more_url: str | None
    links: tuple[Link, ...]
    controls: tuple[Link, ...]
    since: tuple[str, ...] = ()
    """What became of papers the reader had before, a line each."""

    def summary_of(self, shown: int) -> str:
        """The counts in words, for a form that shows the first `shown` papers."""
        if self.quiet or shown == self.matched:
            return self.summary
        return f"{self.summary}; " + ("the first is here" if shown == 1 else f"the first {shown} are here")

    def more(self, shown: int) -> str:
        """`+ 9 more on the web`; empty when nothing is left out."""
        return f"+ {self.matched - shown} more on the web" if self.matched > shown else ""


def make_page(view: EditionView) -> Page:
    """The whole of `view` in words. Pure: the same view gives the same page."""
    given = view.feedback or ((),) * len(view.items)
    entries = tuple(
        _entry(number, item, feedback, view)
        for number, (item, feedback) in enumerate(zip(view.items, given, strict=True), start=1)
    )
    matched = max(view.matched, len(entries))
    considered = max(view.considered, matched)
    incomplete = any(source.troubled for source in view.sources)
    more_url = safe_url(view.matched_url or "") or safe_url(view.web_url)
    see_all = "all new papers" if considered else "the archive"
    return Page(
        name=_name(view),
        date=words.long_day(view.edition_date),
        short_date=words.day(view.edition_date),
        summary=_summary(view, matched, considered, incomplete),
        query=_query_line(view),
        sources=_sources(view),
        entries=entries,
        matched=matched,
        considered=considered,
        quiet=not entries,
        incomplete=incomplete,
        cadence=_cadence(view),
        more_url=more_url,
        links=_links((see_all, view.all_url), ("feed", view.feed_url), ("in the browser", view.web_url)),
        controls=_links(("Saved", view.saved_url), ("Change", view.preferences_url), ("Pause", view.pause_url))
        + _unsubscribe(view.unsubscribe_url),
        since=_since(view),
    )


def plain(value: str | None, limit: int) -> str:
    """`value` as one clean line of at most `limit` characters, cut at a word."""
    # The slice keeps a megabyte-long text from being normalised whole for the sake of its first words.
    return excerpt(clean((value or "")[: limit * 8 + 200]), limit)


def legible(value: str | None, limit: int) -> str:
    """As `plain`, with TeX made readable."""
    return excerpt(clean(latex_to_text((value or "")[: limit * 8 + 200])), limit)


def safe_mailto(url: str | None) -> str | None:
    """`url` when it is a short `mailto:` in plain ASCII, else `None`."""
    return url if url and len(url) <= 150 and _MAILTO.fullmatch(url) else None


def _name(view: EditionView) -> str:
    return plain(view.name, _NAME) or "Daily Papers"


def _summary(view: EditionView, matched: int, considered: int, incomplete: bool) -> str:
    query = plain(view.query, _QUERY)
    total = words.plural(considered, "new paper")
    if view.since_date is not None:
        total += f" since {words.day(view.since_date, today=view.edition_date)}"
    searched = "your search" if _query_line(view) else f"“{query}”"
    if not view.items:
        so_far = " so far" if incomplete else ""
        if not considered:
            return "Nothing new so far." if incomplete else "Nothing new: no new papers were announced."
        return f"Nothing new for you{so_far}: none of {total} matches" + (f" {searched}." if query else ".")
    said = f"{matched} of {total}" if considered > 1 and (query or matched < considered) else total
    return f"{said} {'matches' if matched == 1 else 'match'} {searched}" if query else said


def _query_line(view: EditionView) -> str:
    """A query too long, or too full of quotation marks, to stand in the sentence gets a line of its own."""
    query = plain(view.query, _QUERY)
    return query if len(query) > 40 or '"' in query else ""


def _since(view: EditionView) -> tuple[str, ...]:
    lines = tuple(filter(None, (legible(said, _SINCE_TEXT) for said in view.since_you_read[:_SINCE])))
    rest = len(view.since_you_read) - _SINCE
    return (*lines, f"and {rest} more on the web") if rest > 0 else lines


def _sources(view: EditionView) -> tuple[SourceLine, ...]:
    lines = [_source(source, view.composed_at) for source in view.sources[:_SOURCES]]
    if len(view.sources) > _SOURCES:
        rest = view.sources[_SOURCES:]
        number = sum(source.feeds for source in rest)
        lines.append(SourceLine(text=f"{number:,} more sources", troubled=any(source.troubled for source in rest)))
    if view.facts_checked_at is not None and any(item.code for item in view.items):
        old = words.span(view.facts_checked_at, view.composed_at)
        lines.append(SourceLine(text=f"code facts {old} old", troubled=False))
    return tuple(lines)


def _source(source: SourceStatus, now: datetime) -> SourceLine:
    title = plain(source.title, 60) or plain(source.feed, 60) or "a source"
    counts = f"{source.stored} of {source.announced}" if source.announced is not None else ""
    match source.state:
        case "complete":
            said = counts or (words.plural(source.stored, "paper") if source.stored else "complete")
        case "partial":
            said = f"{counts} so far, the rest will follow" if counts else "not complete, the rest will follow"
        case "accepted":
            said = f"{counts or words.plural(source.stored, 'paper')}, taken as it is"
        case "late":
            said = "late, will follow"
        case "quiet":
            said = "nothing announced"
        case "stale":
            said = f"no answer for {words.span(source.as_of, now)}" if source.as_of else "no recent answer"
        case "failed":
            said = "could not be read, will be tried again"
        case _:
            said = plain(source.state, 30)
    # Why a feed cannot be read is for operators: an error's words tell a reader nothing.
    note = "" if source.state in {"failed", "late"} else plain(source.note, 80)
    return SourceLine(text=f"{title}: {said}" + (f" ({note})" if note else ""), troubled=source.troubled)


def _cadence(view: EditionView) -> str:
    said, zone = plain(view.cadence, 80), words.zone_name(view.timezone)
    return said if zone in said else f"{said}, {zone}" if said else zone


def _entry(number: int, item: EditionItem, feedback: tuple[tuple[str, str], ...], view: EditionView) -> Entry:
    sentence, label = _sentence(item)
    shown = item.artifacts[:_REPOS]
    code = (
        *(_code(facts, view.composed_at) for facts in item.code[:_REPOS]),
        *(_artifact(facts, view.composed_at) for facts in shown),
    )
    kinds = [facts.kind for facts in shown]
    extras = tuple(
        words.plural(n - kinds.count(noun), f"more {noun}" if noun in kinds else noun)
        for n, noun in ((item.models, "model"), (item.datasets, "dataset"), (item.spaces, "space"))
        if n > kinds.count(noun)
    )
    if len(item.code) > _REPOS:
        extras = (f"{words.plural(len(item.code) - _REPOS, 'more repository', 'more repositories')}", *extras)
    first = item.code[0] if item.code else None
    return Entry(
        number=number,
        title=legible(item.title, _TITLE) or "Untitled",
        url=safe_url(item.url) or safe_url(item.web_url),
        byline=_byline(item),
        why="; ".join(filter(None, (plain(reason, _REASON) for reason in item.why[:4]))) or "new",
        sentence=sentence,
        label=label,
        by_machine=label in view.ai_labels,
        marks=("withdrawn",) * item.withdrawn + ("arrived late",) * item.late,
        meta=_meta(item, view),
        code=code,
        extras=extras,
        actions=_actions(item),
        feedback=_links(*((_SAID.get(act, act), url) for act, url in feedback)),
        stars=f"★ {words.count(first.stars)}" if first is not None and first.stars is not None else "",
    )


def _sentence(item: EditionItem) -> tuple[str, str]:
    given = legible(item.sentence, _SENTENCE)
    if given:
        return given, plain(item.sentence_source, 20)
    own = telling_sentence(latex_to_text(item.abstract[:8_000])) if item.abstract else None
    return (own, "abstract") if own else ("", "")


def _byline(item: EditionItem) -> str:
    # Papers with 3,000 authors exist; only the ends of the list are shown, so only they are cleaned.
    given = item.authors if len(item.authors) <= 40 else item.authors[:20] + item.authors[-20:]
    names = tuple(filter(None, (plain(latex_to_text(name[:300]), 60) for name in given)))
    who = words.people(
        names,
        max(item.authors_count, len(item.authors)),
        all_named=len(item.authors) >= item.authors_count,
    )
    return " · ".join(filter(None, (who, plain(item.organization, 80))))


def _meta(item: EditionItem, view: EditionView) -> tuple[str, ...]:
    identifier = words.identifier(plain(item.key, 120), item.version)
    # Nobody waits for the code of a blog post or of a withdrawn paper.
    awaited = bool(identifier) and not item.code and not item.withdrawn
    parts = [
        identifier,
        _when(item, view.edition_date, view.timezone),
        ", ".join(filter(None, (plain(category, 24) for category in item.categories[:3]))),
        f"▲ {words.count(item.upvotes)}" if item.upvotes else "",
        words.plural(item.comments_count, "comment") if item.comments_count and item.comments_count > 0 else "",
        plain(item.team_votes, 60),
        "no code yet" if awaited else "",
    ]
    return tuple(filter(None, parts))


def _when(item: EditionItem, today: date, timezone: str) -> str:
    if item.announced_on is not None:
        return f"announced {words.day(item.announced_on, today=today)}"
    if item.published_at is not None:
        return f"published {words.day(words.local_date(item.published_at, timezone), today=today)}"
    return ""


def _code(facts: CodeFacts, now: datetime) -> CodeLine:
    stars = "" if facts.stars is None else f"★ {words.count(facts.stars)}"
    if stars and facts.stars_gained_24h:
        sign = "+" if facts.stars_gained_24h > 0 else ""
        stars += f" ({sign}{words.count(facts.stars_gained_24h)}/24 h)"
    elif stars and facts.stars_gained_7d and facts.stars_gained_7d > 0:
        stars += f" (+{words.count(facts.stars_gained_7d)}/7 d)"
    parts = (
        plain(facts.license, 40),
        plain(facts.language, 30),
        f"pushed {words.age(facts.pushed_at, now)}" if facts.pushed_at else "",
        _release(facts, now),
        "stale" if facts.stale and not facts.archived else "",
        words.evidence(facts.evidence),
        f"checked {words.age(facts.checked_at, now)}" if facts.checked_at else "",
    )
    return CodeLine(
        slug=plain(facts.slug, 100) or "repository",
        url=safe_url(facts.url),
        stars=stars,
        facts=tuple(filter(None, parts)),
        archived=facts.archived,
    )


_NEW_RELEASE = timedelta(days=30)


def _release(facts: CodeFacts, now: datetime) -> str:
    """The newest release, while it is news."""
    if not facts.release or facts.released_at is None or now - facts.released_at > _NEW_RELEASE:
        return ""
    return f"{plain(facts.release, 40)} released {words.age(facts.released_at, now)}"


_LABELS = {"model": "MODEL", "dataset": "DATA SET", "space": "SPACE"}


def _artifact(facts: CodeFacts, now: datetime) -> CodeLine:
    """One model, data set or space: `slug ♥ 212 · 48,210 downloads · …`."""
    parts = (
        f"{words.count(facts.downloads)} downloads in 30 days" if facts.downloads else "",
        "gated" if facts.gated else "",
        plain(facts.license, 40),
        f"updated {words.age(facts.pushed_at, now)}" if facts.pushed_at else "",
        words.evidence(facts.evidence),
        f"checked {words.age(facts.checked_at, now)}" if facts.checked_at else "",
    )
    return CodeLine(
        slug=plain(facts.slug, 100) or "repository",
        url=safe_url(facts.url),
        stars=f"♥ {words.count(facts.stars)}" if facts.stars is not None else "",
        facts=tuple(filter(None, parts)),
        archived=facts.archived,
        label=_LABELS.get(facts.kind, "CODE"),
    )


def _actions(item: EditionItem) -> tuple[Link, ...]:
    code = item.code[0].url if item.code else None
    project = item.project_urls[0] if item.project_urls else None
    abs_label = "abs" if item.key.startswith("arxiv:") else "page"
    return _links(
        ("PDF", item.pdf_url),
        (abs_label, item.url),
        ("code", code),
        ("project", project),
        ("details", item.web_url),
    )[:_ACTIONS]


def _links(*pairs: tuple[str, str | None]) -> tuple[Link, ...]:
    found = ((label, safe_url(url)) for label, url in pairs if url)
    return tuple(Link(label=label, url=url) for label, url in found if url)


def _unsubscribe(url: str | None) -> tuple[Link, ...]:
    target = (safe_url(url) or safe_mailto(url)) if url else None
    return (Link(label="Unsubscribe", url=target),) if target else ()
