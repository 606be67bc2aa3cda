"""The targets of fuzzing on their seeds, on every input that once broke one, and on what Hypothesis thinks of."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import TOKENS
from tests.fuzz.targets import FOUND, TARGETS, check_text

ONCE_BROKE = sorted(FOUND.iterdir()) if FOUND.is_dir() else []
"""Files named `TARGET-anything`."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_whole_and_cut_anywhere(name: str) -> None:
    for seed in TARGETS[name].seeds:
        for part in (seed, seed[: len(seed) // 2], seed[len(seed) // 3 :], seed.replace(b"e", b"\x00"), seed[::-1]):
            TARGETS[name].try_it(part)


@pytest.mark.parametrize("path", ONCE_BROKE, ids=lambda path: path.name)
def test_what_once_broke_a_parser_does_not_any_more(path: object) -> None:
    name = path.name.partition("-")[0]  # type: ignore[attr-defined]
    started = time.thread_time()
    TARGETS[name].try_it(path.read_bytes())  # type: ignore[attr-defined]
    assert time.thread_time() - started < 3


words = st.lists(st.one_of(st.sampled_from(TOKENS), st.text(max_size=8), st.characters()), max_size=30).map("".join)


@pytest.mark.parametrize(
    "name", ["links", "identifiers", "query", "latex", "clean_html", "safe_url", "address", "tokens"]
)
@given(data=words)
@settings(max_examples=60, deadline=None)
def test_text_of_any_kind_is_read_or_refused(name: str, data: str) -> None:
    TARGETS[name].try_it(data.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", "\x1b[31m", {"k": ["\x7f"]}])
def test_the_check_of_results_notices_what_cannot_be_stored(value: object) -> None:
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        check_text(value)
