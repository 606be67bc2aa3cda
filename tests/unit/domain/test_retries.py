from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import (
    BroadsheetError,
    DeliveryDeferred,
    DeliveryRefused,
    DeliveryUnknown,
    InvalidInput,
    LeaseLost,
    MalformedDocument,
    NotFound,
    NotYet,
    RateLimited,
    UpstreamRejected,
    UpstreamUnavailable,
)
from services.domain.retries import RetryPolicy, counts_as_attempt, error_signature, retry_in

POLICY = RetryPolicy(attempts=5, first_wait=timedelta(minutes=1), max_wait=timedelta(minutes=10), factor=3.0)
PASSING = [UpstreamUnavailable("503"), DeliveryDeferred("421 busy")]
LASTING = [
    UpstreamRejected("404"),
    MalformedDocument("not XML"),
    DeliveryRefused("550"),
    DeliveryUnknown("died after the dot"),
    NotFound("no such feed"),
    InvalidInput("no"),
    BroadsheetError("something of ours"),
]


@pytest.mark.parametrize(
    ("attempt", "jitter", "minutes"),
    [
        (1, 0.0, 0.5),
        (1, 0.5, 0.75),
        (2, 0.0, 1.5),
        (2, 0.5, 2.25),
        (3, 0.0, 4.5),
        (4, 0.0, 5.0),
        (4, 0.5, 7.5),
        (5, 0.0, None),
        (6, 0.0, None),
    ],
)
@pytest.mark.parametrize("error", PASSING)
def test_passing_errors_back_off_until_the_attempts_are_used_up(
    error: BroadsheetError, attempt: int, jitter: float, minutes: float | None
) -> None:
    expected = None if minutes is None else timedelta(minutes=minutes)
    assert retry_in(error, attempt=attempt, policy=POLICY, jitter=jitter) == expected


@pytest.mark.parametrize("error", [*LASTING, LeaseLost("another worker")])
def test_lasting_errors_are_given_up_at_once(error: BroadsheetError) -> None:
    assert retry_in(error, attempt=1, policy=POLICY, jitter=0.0) is None


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("bad"), OSError(28, "No space left"), MemoryError()])
def test_unexpected_errors_get_three_tries(error: BaseException) -> None:
    waits = [retry_in(error, attempt=attempt, policy=POLICY, jitter=0.0) for attempt in (1, 2, 3)]
    assert waits == [timedelta(seconds=30), timedelta(seconds=90), None]


def test_a_policy_of_fewer_attempts_binds_unexpected_errors_too() -> None:
    once = RetryPolicy(attempts=1)
    assert retry_in(KeyError("x"), attempt=1, policy=once, jitter=0.0) is None


@pytest.mark.parametrize(
    ("asked", "jitter", "wait"),
    [
        (None, 0.0, timedelta(seconds=30)),
        (timedelta(0), 0.0, timedelta(seconds=30)),
        (timedelta(seconds=10), 0.0, timedelta(seconds=30)),
        (timedelta(hours=2), 0.0, timedelta(hours=2)),
        (timedelta(hours=2), 0.5, timedelta(hours=2, minutes=6)),
        (timedelta(days=30), 0.0, timedelta(hours=24)),
    ],
)
@pytest.mark.parametrize("kind", [UpstreamUnavailable, DeliveryDeferred])
def test_what_a_server_asked_for_is_a_minimum(
    kind: type[UpstreamUnavailable], asked: timedelta | None, jitter: float, wait: timedelta
) -> None:
    assert retry_in(kind("later", retry_after=asked), attempt=1, policy=POLICY, jitter=jitter) == wait


@pytest.mark.parametrize(
    "error", [RateLimited("429", retry_after=timedelta(seconds=10)), NotYet("x", timedelta(seconds=10))]
)
def test_being_told_to_wait_means_waiting_just_that(error: RateLimited | NotYet) -> None:
    assert retry_in(error, attempt=4, policy=POLICY, jitter=0.5) == timedelta(seconds=10.5)
    assert not counts_as_attempt(error)


def test_a_rate_limit_is_no_failed_attempt() -> None:
    limited = RateLimited("429", retry_after=timedelta(minutes=5))
    assert not counts_as_attempt(limited)
    assert retry_in(limited, attempt=99, policy=POLICY, jitter=0.0) == timedelta(minutes=5)


@pytest.mark.parametrize("error", [*PASSING, *LASTING, KeyError("x")])
def test_everything_else_counts_as_an_attempt(error: BaseException) -> None:
    assert counts_as_attempt(error)


def test_waits_of_strangers_are_not_ours() -> None:
    class TheirError(Exception):
        retry_after = "tomorrow"

    assert retry_in(TheirError(), attempt=1, policy=POLICY, jitter=0.0) == timedelta(seconds=30)


@given(
    attempt=st.integers(1, 10_000),
    jitter=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
    factor=st.floats(1, 10),
)
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_both_caps(
    attempt: int, jitter: float, asked: timedelta | None, factor: float
) -> None:
    policy = RetryPolicy(attempts=20_000, factor=factor)
    error = UpstreamUnavailable("503", retry_after=asked)
    wait = retry_in(error, attempt=attempt, policy=policy, jitter=jitter)
    assert wait is not None
    assert policy.first_wait / 2 <= wait
    assert wait <= max(policy.max_wait, min(asked or timedelta(0), timedelta(hours=24)) * 1.1)
    assert wait >= min(asked or timedelta(0), timedelta(hours=24))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"first_wait": timedelta(0)},
        {"first_wait": timedelta(hours=2), "max_wait": timedelta(hours=1)},
        {"factor": 0.5},
    ],
)
def test_a_policy_must_make_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.0), (-1, 0.0), (1, 1.0), (1, -0.1)])
def test_nonsense_is_refused(attempt: int, jitter: float) -> None:
    with pytest.raises(ValueError, match=r"attempts|jitter"):
        retry_in(UpstreamUnavailable("x"), attempt=attempt, policy=POLICY, jitter=jitter)


@pytest.mark.parametrize(
    ("error", "signature"),
    [
        (ValueError("line 12, column 7: bad"), "ValueError: line <n>, column <n>: bad"),
        (ValueError(""), "ValueError"),
        (KeyError("title"), "KeyError: <value>"),
        (
            UpstreamUnavailable("export.arxiv.org answered 503", status=503),
            "UpstreamUnavailable 503: export.arxiv.org answered <n>",
        ),
        (UpstreamRejected("https://a.example/x?y=1: gone", status=410), "UpstreamRejected 410: <url> gone"),
        (RuntimeError("job 0f8fad5b-d9cb-469f-a165-70867728950e failed"), "RuntimeError: job <id> failed"),
        (RuntimeError("at 0x7f3a2c, hash deadbeef01"), "RuntimeError: at <id>, hash <id>"),
        (RuntimeError("defaced facade"), "RuntimeError: defaced facade"),
        (
            DeliveryRefused("a.b@example.org is unknown", code="550 5.1.1"),
            "DeliveryRefused 550 5.1.1: <mail> is unknown",
        ),
        (RuntimeError("can't read it, isn't there"), "RuntimeError: can't read it, isn't there"),
        (RuntimeError("first\nsecond 2"), "RuntimeError: first"),
        (RuntimeError("  wide   gaps "), "RuntimeError: wide gaps"),
        (RuntimeError("x" * 500), "RuntimeError: " + "x" * 186),
    ],
)
def test_a_signature_leaves_out_what_differs(error: BaseException, signature: str) -> None:
    assert error_signature(error) == signature


def test_failures_of_the_same_kind_share_a_signature() -> None:
    one = UpstreamUnavailable("hf.example/api/papers/2601.01234 answered 502", status=502)
    two = UpstreamUnavailable("hf.example/api/papers/2602.55555 answered 502", status=502)
    other = UpstreamUnavailable("hf.example/api/papers/2602.55555 answered 500", status=500)
    assert error_signature(one) == error_signature(two) != error_signature(other)


@given(st.text(max_size=400))
def test_any_message_has_a_short_signature_on_one_line(text: str) -> None:
    signature = error_signature(RuntimeError(text))
    assert signature.startswith("RuntimeError")
    assert len(signature) <= 200
    assert len(signature.splitlines()) == 1
