from __future__ import annotations

import itertools
import json

import pytest

from services.domain.errors import MalformedDocument, RateLimited, UpstreamRejected
from services.domain.votes import LOOKS, Reaction, act_of, votes_of
from services.upstreams.slack_reactions import parse, request_url


def test_thumbs_are_votes_in_every_colour_and_other_emoji_are_none() -> None:
    votes = votes_of(
        [
            Reaction("+1", ("U1",)), Reaction("+1::skin-tone-4", ("U2",)), Reaction("thumbsdown", ("U3",)),
            Reaction("thinking_face", ("U4",)), Reaction("heart", ("U1", "U5")), Reaction("-1", ("U5",)),
        ]
    )  # fmt: skip
    assert votes == {"U1": 1, "U2": 1, "U3": -1}


def test_the_balance_is_what_a_team_says() -> None:
    assert act_of({"a": 1, "b": 1, "c": -1}) == "more"
    assert act_of({"a": -1}) == "less"
    assert act_of({"a": 1, "b": -1}) is None
    assert act_of({}) is None


def test_looks_become_more_seldom() -> None:
    waits = [later - earlier for earlier, later in itertools.pairwise(LOOKS)]
    assert waits == sorted(waits)


def test_reactions_are_read_as_slack_sends_them() -> None:
    body = {
        "ok": True, "type": "message",
        "message": {"ts": "1.1", "reactions": [
            {"name": "+1", "count": 3, "users": ["U1", "U2", 7]}, {"name": 5, "users": []}, "odd", {"name": "x"},
        ]},
    }  # fmt: skip
    assert parse(json.dumps(body).encode()) == (Reaction("+1", ("U1", "U2")),)
    assert parse(b'{"ok": true, "message": {}}') == parse(b'{"ok": false, "error": "message_not_found"}') == ()
    assert request_url("https://slack.com/api", "C1&x", "1.1") == (
        "https://slack.com/api/reactions.get?channel=C1%26x&timestamp=1.1&full=true"
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"ok": false, "error": "missing_scope"}', UpstreamRejected),
        (b'{"ok": false, "error": "ratelimited"}', RateLimited),
        (b"<html>", MalformedDocument), (b"[]", MalformedDocument), (b'{"ok": "yes"}', MalformedDocument),
    ],
)  # fmt: skip
def test_trouble_is_named(body: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        parse(body)
