"""Signed links: worth something for one act on one row, for as long as they are meant to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput
from services.domain.tokens import PURPOSES, _serializer, make_paper_token, make_token, read_token

SECRET = "a secret of some length"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_token_stands_for_its_row_and_version(purpose: str) -> None:
    token = make_token(SECRET, purpose, 7, 3)
    assert read_token(SECRET, purpose, token) == (7, 3)
    assert token == token.strip()
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@time_machine.travel(datetime(2026, 11, 24, tzinfo=UTC), tick=False)
def test_tokens_are_those_of_the_library() -> None:
    assert make_token(SECRET, "pause", 7, 3) == _serializer(SECRET, "pause").dumps([7, 3])
    assert make_paper_token(SECRET, "save", 7, 3, 2**40) == _serializer(SECRET, "save").dumps([7, 3, 2**40])


@pytest.mark.parametrize("other", PURPOSES[1:])
def test_a_token_for_one_act_is_worth_nothing_for_another(other: str) -> None:
    with pytest.raises(InvalidInput, match="not valid"):
        read_token(SECRET, other, make_token(SECRET, PURPOSES[0], 7, 3))


def test_a_token_signed_with_another_secret_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read_token("another secret", "pause", make_token(SECRET, "pause", 7, 3))


def test_a_token_is_refused_once_it_is_too_old() -> None:
    with time_machine.travel(datetime(2026, 11, 25, 9, tzinfo=UTC), tick=False) as clock:
        token = make_token(SECRET, "confirm", 7, 1)
        clock.shift(timedelta(days=2))
        assert read_token(SECRET, "confirm", token, max_age=timedelta(days=3)) == (7, 1)
        assert read_token(SECRET, "confirm", token) == (7, 1)
        clock.shift(timedelta(days=2))
        with pytest.raises(InvalidInput, match="expired"):
            read_token(SECRET, "confirm", token, max_age=timedelta(days=3))


def test_an_unknown_purpose_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="admin"):
        make_token(SECRET, "admin", 1, 1)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 5000, "\x00", "é", "WzEsMV0.aaaaaa.bbbbbb"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput):
        read_token(SECRET, "pause", token)


@given(st.text(max_size=200))
def test_whatever_is_sent_is_refused_and_never_breaks(token: str) -> None:
    with pytest.raises(InvalidInput):
        read_token(SECRET, "pause", token)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_token_with_any_character_changed_is_refused_or_means_the_same(place: int, char: str) -> None:
    token = make_token(SECRET, "unsubscribe", 7, 3)
    place %= len(token)
    changed = token[:place] + char + token[place + 1 :]
    try:
        found = read_token(SECRET, "unsubscribe", changed)
    except InvalidInput:
        return
    assert found == (7, 3)  # the last characters of base64 hold spare bits


@pytest.mark.parametrize("data", [[1], [1, 2, 3], ["1", 2], [1, None], {"a": 1, "b": 2}, 5, None, "ab"])
def test_a_signed_value_of_another_shape_is_refused(data: object) -> None:
    from itsdangerous import URLSafeTimedSerializer

    token = URLSafeTimedSerializer(SECRET, salt="broadsheet.pause").dumps(data)
    with pytest.raises(InvalidInput):
        read_token(SECRET, "pause", token)
