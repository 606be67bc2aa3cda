"""Mails of many readers: rendered once, each with its own links, and byte for byte as if rendered alone."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from services.digests import render
from services.digests.sharing import shared
from services.domain.digests import EditionView
from services.domain.messages import Message

from .hostile import views
from .sample_view import QUIET, VIEW


def mail(view: EditionView, *, mail_only: bool = True) -> Message:
    return render(view, message_id="<d1@papers.example.org>", list_id="Papers <p.example.org>", mail_only=mail_only)


def for_reader(number: int, view: EditionView = VIEW) -> EditionView:
    """The same edition for another reader: other signed links."""
    token = f"WzEs{number:04}Ml0.aBcDeF.{'q_-'[number % 3] * 27}"
    return replace(
        view,
        feedback=tuple((("save", f"https://p.example.org/save/{token}{at}"),) for at in range(len(view.items))),
        web_url=f"https://p.example.org/edition/{token}",
        preferences_url=f"https://p.example.org/preferences/{token}",
        unsubscribe_url=f"https://p.example.org/unsubscribe/{token}",
        one_click_url=f"https://p.example.org/unsubscribe/{token}",
    )


def forms(message: Message) -> tuple[str, str, str | None, object]:
    return message.subject, message.text, message.html, message.headers


def test_each_reader_has_the_mail_that_would_have_been_rendered_for_them_alone() -> None:
    for view in (VIEW, QUIET):
        for number in (7, 12, 3456):
            own = for_reader(number, replace(view, composed_at=view.composed_at.replace(second=0, microsecond=0)))
            assert forms(mail(own)) == forms(mail(own, mail_only=False))


@given(views())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_so_it_is_whatever_papers_say(view: EditionView) -> None:
    own = for_reader(5, replace(view, composed_at=view.composed_at.replace(second=0, microsecond=0)))
    assert forms(mail(own)) == forms(mail(own, mail_only=False))


def test_what_is_shared_is_rendered_once_for_readers_of_one_minute() -> None:
    seen: list[EditionView] = []

    def page(view: EditionView) -> tuple[str, ...]:
        seen.append(view)
        return (f"{view.preferences_url} {view.web_url}",)

    def shown(view: EditionView) -> str:
        return shared(view, page)[0]

    begun = VIEW.composed_at.replace(second=2)
    first, second = (for_reader(n, replace(VIEW, composed_at=begun + timedelta(seconds=n))) for n in (11, 12))
    assert shown(first) == f"{first.preferences_url} {first.web_url}"
    assert shown(second) == f"{second.preferences_url} {second.web_url}"
    assert len(seen) == 1
    assert "WzEs" not in str(seen[0])  # nobody's link is in what is kept
    shown(for_reader(13, replace(VIEW, composed_at=begun + timedelta(minutes=1))))
    assert len(seen) == 2


def test_what_is_shared_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    at, rendered = [1e9], []

    def page(view: EditionView) -> tuple[str, ...]:
        rendered.append(view)
        return ("",)

    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    for _ in range(2):
        shared(VIEW, page)
        at[0] += 59
        shared(VIEW, page)
        at[0] += 2
    assert len(rendered) == 2


def test_a_mail_carries_what_mails_need_alone() -> None:
    message = mail(VIEW)
    assert (message.slack, message.thread, message.short, message.data) == (None, (), (), None)
    assert message.date == VIEW.composed_at
