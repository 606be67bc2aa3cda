from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from services.channels.slack_bot import SlackBot
from services.domain.deliveries import Part
from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    RateLimited,
    UpstreamUnavailable,
)

from .samples import MESSAGE, NOW, Answer, Intent

API = "https://slack.com/api"
CHANNEL = "C012AB3CD"
THREADED = replace(MESSAGE, thread=({"text": "1. One"}, {"text": "2. Two"}))


@dataclass
class Slack:
    """Answers each post with the next of `results`, then with ever new time stamps."""

    results: list[Answer | Exception] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def post(
        self, url: str, *, json: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        assert url == f"{API}/chat.postMessage"
        assert json is None
        self.tokens.add((headers or {})["Authorization"])
        self.posts.append(loads(content or b""))
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        return result or ok(f"17.{len(self.posts)}")


def loads(body: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(body)
    return data


def ok(ts: str) -> Answer:
    return Answer(200, json.dumps({"ok": True, "channel": CHANNEL, "ts": ts}).encode())


def no(word: str) -> Answer:
    return Answer(200, json.dumps({"ok": False, "error": word}).encode())


@dataclass
class Kept:
    """A `Progress` in memory."""

    kept: dict[str, Part] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def parts(self) -> Mapping[str, Part]:
        return self.kept

    def intend(self, part: str, via: str = "") -> None:
        self.log.append(f"intend {part}")
        self.kept[part] = Part(via)

    def taken(self, part: str, receipt: str) -> None:
        self.log.append(f"taken {part}")
        self.kept[part] = Part("", receipt)


def bot(http: Slack, token: str = "xoxb-topsecret") -> SlackBot:
    return SlackBot(http, API, token, clock=lambda: NOW)


def test_the_list_is_posted_first_and_each_paper_below_it() -> None:
    http, kept = Slack(), Kept()
    receipt = bot(http).send_parts(THREADED, CHANNEL, "d1", kept)
    assert [(post["channel"], post["text"], post.get("thread_ts")) for post in http.posts] == [
        (CHANNEL, "One", None), (CHANNEL, "1. One", "17.1"), (CHANNEL, "2. Two", "17.1"),
    ]  # fmt: skip
    assert kept.log == [f"{what} {part}" for part in ("main", "reply:1", "reply:2") for what in ("intend", "taken")]
    assert kept.kept["reply:2"].receipt == f"{CHANNEL}:17.3"
    assert (receipt.code, receipt.detail, receipt.accepted_at) == ("ok", f"slack.com {CHANNEL}:17.1", NOW)
    assert http.tokens == {"Bearer xoxb-topsecret"}


def test_what_was_posted_before_is_not_posted_again() -> None:
    http, kept = Slack(), Kept({"main": Part("", f"{CHANNEL}:9.9"), "reply:1": Part("", f"{CHANNEL}:9.91")})
    bot(http).send_parts(THREADED, CHANNEL, "d1", kept)
    assert [(post["text"], post["thread_ts"]) for post in http.posts] == [("2. Two", "9.9")]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_trouble_at_any_part_leaves_those_before_it_taken(at: int) -> None:
    busy = RateLimited("slow down", status=429, retry_after=timedelta(seconds=30))
    http, kept = Slack([*(ok(f"1.{n}") for n in range(at)), busy]), Kept()
    with pytest.raises(DeliveryDeferred) as caught:
        bot(http).send_parts(THREADED, CHANNEL, "d1", kept)
    assert caught.value.retry_after == timedelta(seconds=30)
    assert [part.receipt is not None for part in kept.kept.values()] == [True] * at + [False]
    # The pipeline forgets the part that certainly was not taken; the next try goes on from there.
    kept.kept = {name: part for name, part in kept.kept.items() if part.receipt is not None}
    bot(http).send_parts(THREADED, CHANNEL, "d1", kept)
    assert [post["text"] for post in http.posts].count("One") == 1 + (at == 0)
    assert len(kept.kept) == 3


@pytest.mark.parametrize(
    ("result", "kind", "code"),
    [
        (no("is_archived"), DeliveryRefused, "is_archived"),
        (no("invalid_blocks"), DeliveryRefused, "invalid_blocks"),
        (no("invalid_auth"), DeliveryDeferred, "invalid_auth"),
        (no("not_in_channel"), DeliveryDeferred, "not_in_channel"),
        (no("ratelimited"), DeliveryDeferred, "ratelimited"),
        (no("fatal_error"), DeliveryUnknown, "fatal_error"),
        (no("<b>never heard of</b>"), DeliveryRefused, "<b>never heard of</b>"),
        (Answer(200, b"<html>log in</html>"), DeliveryUnknown, "200"),
        (Answer(200, b'{"ok": true}'), DeliveryUnknown, "no receipt"),
        (UpstreamUnavailable("answered 503", status=503), DeliveryDeferred, "503"),
        (UpstreamUnavailable("no answer"), DeliveryUnknown, ""),
    ],
)
def test_what_each_answer_means(result: Answer | Exception, kind: type[DeliveryError], code: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        bot(Slack([result])).send_parts(MESSAGE, CHANNEL, "d1", Kept())
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_the_token_is_never_repeated() -> None:
    with pytest.raises(DeliveryError) as caught:
        bot(Slack([UpstreamUnavailable("Bearer xoxb-topsecret: no answer")])).send(MESSAGE, CHANNEL, "d1")
    assert "topsecret" not in str(caught.value)


def test_without_a_token_it_says_what_to_set() -> None:
    http = Slack()
    with pytest.raises(DeliveryDeferred, match="BROADSHEET_SLACK_TOKEN"):
        bot(http, "").send_parts(MESSAGE, CHANNEL, "d1", Kept())
    assert http.posts == []


def test_a_caller_without_records_commits_once_and_sends_all() -> None:
    http, intent = Slack(), Intent()
    bot(http).send(THREADED, CHANNEL, "d1", commit_intent=intent)
    assert (intent.calls, len(http.posts)) == (1, 3)
