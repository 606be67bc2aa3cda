"""Seals: opened by the key they were made with, named for it, and by no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.seals import MARK, Seals, WrongKey, key_name

ONE, TWO = Seals("one secret"), Seals("two secrets", ["one secret"])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_what_is_sealed_is_opened_with_its_key_and_with_those_that_know_it(text: str) -> None:
    sealed = ONE.seal(text)
    assert ONE.open(sealed) == TWO.open(sealed) == text
    assert len(text) < 8 or text not in sealed
    assert ONE.seal(text) != sealed, "the same text is sealed otherwise each time"


def test_a_seal_names_its_key_and_does_not_tell_it() -> None:
    assert ONE.seal("x").startswith(f"{MARK}{key_name('one secret')}:")
    assert TWO.current == key_name("two secrets") != ONE.current
    assert len(TWO.current) == 8
    assert TWO.knows(ONE.current)
    assert not ONE.knows(TWO.current)


@pytest.mark.parametrize("text", ["sealed:", "sealed:abc", "sealed:00000000:gAAAA", "gAAAA", "sealed::"])
def test_what_no_key_opens_is_told_with_what_to_do(text: str) -> None:
    with pytest.raises(WrongKey, match=r"BROADSHEET_SECRET_KEY.*BROADSHEET_OLD_SECRET_KEYS"):
        ONE.open(text)


def test_a_newer_seal_is_not_opened_by_an_older_key_and_a_changed_one_by_none() -> None:
    with pytest.raises(WrongKey, match="not set"):
        ONE.open(TWO.seal("x"))
    sealed = ONE.seal("x")
    with pytest.raises(WrongKey, match="changed since"):
        ONE.open(sealed[:-4] + "AAAA")
