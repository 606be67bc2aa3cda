"""The kit: what every page needs. The runtime, the templates with their filters, the limits, one way to answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.responses import HTMLResponse

from services.digests import words
from services.digests.feed import FORMS
from services.domain.categories import label
from services.domain.links import standing
from services.domain.redaction import redact
from services.domain.text import clean, excerpt, latex_to_text, safe_url, strip_invisible
from services.domain.urls import without_keys
from services.domain.users import Actor
from services.pipeline.opt_in import name_of
from services.runtime import Runtime
from services.storage.activity import Change, Hour
from services.storage.tables import Subscriber
from workers.web import charts
from workers.web.security import Forms, Limiter

STATIC = Path(__file__).with_name("static")


class Web:
    """Everything the routes share; one per application."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.forms = Forms(rt.secret)
        self.subscribes = Limiter(5, 3600)
        """Subscriptions asked for, per address."""
        self.all_subscribes = Limiter(50, 3600)
        self.searches = Limiter(120, 60)
        """Searches over many days, per address: they cost the most."""
        self.false_reports = Limiter(20, 60)
        """Reports of bounces that were not genuine, per address: who goes on guessing is not listened to."""
        self.templates = _environment()

    def page(
        self, request: Request, template: str, *, status: int = 200, private: bool = False, **values: Any
    ) -> HTMLResponse:
        """A page; `private` ones are kept by no cache and listed by no search engine."""
        html = self.templates.get_template(template).render(
            request=request, path=request.url.path, now=self.rt.now(), public_url=self.rt.settings.public_url, **values
        )
        headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"} if private else {"Cache-Control": "no-cache"}
        return HTMLResponse(html, status, headers)

    def problem(self, request: Request, status: int, heading: str, text: str, **values: Any) -> HTMLResponse:
        """A page that says what went wrong and what to do."""
        return self.page(
            request, "problem.html", status=status, private=True, heading=heading, text=text,
            **{"detail": "", "looked_for": "", "retry_after": None, **values},
        )  # fmt: skip


def get_web(request: Request) -> Web:
    """The application's kit."""
    web: Web = request.app.state.web
    return web


WebKit = Annotated[Web, Depends(get_web)]


def paper_path(key: str) -> str:
    """The path of a paper's page; keys may hold anything an address may."""
    return f"/papers/{quote(key, safe=':/')}"


_MAIL = re.compile(r"([^\s<>@:])[^\s<>@]*@(?=[^\s<>@])")


def for_eyes(text: str, me: Actor) -> str:
    """A text as somebody may see it: whoever may only look learns of no mail address more than how it begins."""
    return text if me.may("operator") else _MAIL.sub(r"\1…@", text)


def shown_address(person: Subscriber, me: Actor) -> str:
    """A reader's address for whoever may look: of one that is a secret, where it leads and no more."""
    if "://" not in person.address:
        return for_eyes(person.address, me)
    kind = "apprise" if person.channel == "apprise" else "webhook"
    return redact(f"{kind}:{person.address}").removeprefix(f"{kind}:")


@lru_cache(maxsize=8192)
def legible(text: str, limit: int) -> str:
    """Text with TeX made readable, clean, at most `limit` characters."""
    return excerpt(clean(latex_to_text(text[: limit * 6 + 400])), limit)


# -- templates -------------------------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    """The templates, compiled once a process."""
    env = Environment(
        loader=PackageLoader("workers.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False, finalize=_shown,
    )  # fmt: skip
    env.globals.update(
        asset=_assets(),
        paper_path=paper_path,
        standing=standing,
        safe_url=lambda url: safe_url(url or ""),
        feed_forms=FORMS,
        hours=_hours,
        name_of=name_of,
    )
    env.filters.update(
        ago=_ago, coming=_coming, stamp=_stamp, clock=_clock, short_day=lambda on: words.day(on),
        long_day=words.long_day, number=words.count, exact=lambda n: f"{n:,}", plural=words.plural,
        legible=legible, excerpt=lambda text, limit: excerpt(clean(text or "", limit=limit * 4 + 100), limit),
        address=_address, eyes=_eyes, span=_span, evidence=words.evidence, size=_size, category_name=label,
        urlpart=lambda text: quote(str(text), safe=""), without_keys=without_keys,
        paragraphs=_paragraphs, deed=_deed, moments=words.moments, answer=words.answer,
        run_state=words.run_state,
    )  # fmt: skip
    return env


def _shown(value: object) -> object:
    """Whatever a template prints, without characters that hide or turn text: errors, and what was typed, come raw."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return strip_invisible(value)


def _assets() -> Callable[[str], str]:
    """Addresses of our own files with a fingerprint, so that browsers may keep them for ever."""
    marks = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:10] for path in STATIC.iterdir() if path.is_file()
    }
    return lambda name: f"/static/{name}?v={marks[name]}"


def _time(at: datetime, text: str) -> Markup:
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S"), text
    )


@pass_context
def _address(context: Context, person: Subscriber) -> str:
    """A reader's address, as whoever looks at the page may see it."""
    return shown_address(person, context["me"])


@pass_context
def _eyes(context: Context, text: str | None) -> str:
    """A text that may hold addresses, as whoever looks at the page may see it."""
    return for_eyes(text or "", context["me"])


@pass_context
def _ago(context: Context, at: datetime | None) -> Markup:
    """`3 h ago`, the exact moment as its title; a dash for never."""
    return _time(at, words.age(at, context["now"])) if at else Markup("–")


@pass_context
def _coming(context: Context, at: datetime | None) -> Markup:
    """`in 40 min`, or how long it is overdue."""
    if at is None:
        return Markup("–")
    now: datetime = context["now"]
    if at <= now:
        late = words.span(at, now)
        return _time(at, "now" if late == "moments" else f"due for {late}")
    length = words.span(now, at)
    return _time(at, "in a moment" if length == "moments" else f"in {length}")


def _stamp(at: datetime | None) -> Markup:
    """The moment itself: `24 Nov 08:00`."""
    return _time(at, f"{at.astimezone(UTC).day} {at.astimezone(UTC):%b %H:%M}") if at else Markup("–")


def _clock(at: datetime | None) -> Markup:
    """The moment to the second."""
    return _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}") if at else Markup("–")


def _hours(bars: Sequence[Hour], changes: Sequence[Change]) -> Markup:
    """The chart of the last hours' work."""
    return charts.hours([(bar.began_at, bar.good, bar.bad) for bar in bars], [change.at for change in changes])


def _span(length: timedelta | float | None) -> str:
    """A length of time: `340 ms`, `4.2 s`, `3 min`, `2 h`."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 1:
        return f"{max(0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def _paragraphs(text: str) -> list[tuple[bool, str]]:
    """The lines of an error, those that are indented together: whether they are, and the lines."""
    return [
        (shaped, "\n".join(lines)) for shaped, lines in groupby(text.splitlines(), lambda line: line.startswith("  "))
    ]


def _deed(act: str) -> str:
    """An act as a person says it: `edition.send` is `send edition`; what is no act of that form stays."""
    noun, dot, verb = act.partition(".")
    return f"{verb} {noun}".replace("_", " ") if dot else act


def _size(number: float) -> str:
    """Bytes as a person says them."""
    for unit in ("B", "kB", "MB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def parse_day(text: str | None) -> date | None:
    """The day in `2026-11-24`; `None` when it is none, or one no paper can be of."""
    try:
        day = date.fromisoformat(text or "") if text and len(text) == 10 else None
    except ValueError:
        return None
    return day if day is not None and 1900 <= day.year < 2200 else None
