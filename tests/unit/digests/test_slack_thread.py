from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from services.digests.entries import make_page
from services.digests.slack import MAX_BLOCKS, MAX_SECTION
from services.digests.slack_thread import MAX_REPLIES, slack_thread
from services.domain.digests import EditionView

from .hostile import views
from .sample_view import VIEW
from .test_slack import check_inert, texts


def check_limits(payload: dict[str, Any]) -> None:
    assert 0 < len(payload["text"]) <= 4_000
    assert 1 <= len(payload["blocks"]) <= MAX_BLOCKS
    assert all(0 < len(part["text"].strip()) <= MAX_SECTION for part in texts(payload))
    assert payload["unfurl_links"] is payload["unfurl_media"] is False


def test_a_reply_says_what_the_list_leaves_out() -> None:
    replies = slack_thread(make_page(VIEW))
    assert len(replies) == min(len(VIEW.items), MAX_REPLIES)
    first = "\n".join(part["text"] for part in texts(replies[0]))
    assert first.startswith("*1.* <https://arxiv.org/abs/2611.01234|Speculative Decoding Without a Draft Model>")
    for said in ("Why: matches", "★ 412", "|PDF>", "(abstract)", "arXiv 2611.01234"):
        assert said in first, said
    for reply in replies:
        check_limits(reply)
        check_inert(reply)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(views())
def test_whatever_upstreams_say_stays_inert_and_within_limits(view: EditionView) -> None:
    for reply in slack_thread(make_page(view)):
        check_limits(reply)
        check_inert(reply)
