"""Errors travel between processes, and say whether trying again can help."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from services.domain import errors
from services.domain.errors import (
    BroadsheetError,
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    InvalidInput,
    LeaseLost,
    MalformedDocument,
    NotFound,
    RateLimited,
    UpstreamError,
    UpstreamRejected,
    UpstreamUnavailable,
)

PASSING: set[type[BroadsheetError]] = {UpstreamUnavailable, RateLimited, DeliveryDeferred, errors.NotYet}
LASTING: set[type[BroadsheetError]] = {
    UpstreamRejected,
    MalformedDocument,
    DeliveryRefused,
    DeliveryUnknown,
    NotFound,
    InvalidInput,
    LeaseLost,
}


@pytest.mark.parametrize("error", sorted(PASSING | LASTING, key=repr))
def test_an_error_says_whether_trying_again_can_help(error: type[BroadsheetError]) -> None:
    assert issubclass(error, BroadsheetError)
    assert error.passing is (error in PASSING)


def test_every_error_is_in_one_of_the_two_lists() -> None:
    def leaves(kind: type[BroadsheetError]) -> set[type[BroadsheetError]]:
        below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
        return {kind} if not below else set().union(*(leaves(one) for one in below))

    assert leaves(BroadsheetError) == PASSING | LASTING


@pytest.mark.parametrize("kind", [UpstreamError, UpstreamUnavailable, RateLimited, UpstreamRejected, MalformedDocument])
def test_an_upstreams_error_survives_pickling(kind: type[UpstreamError]) -> None:
    error = kind("503 it said", url="https://x.example/a", status=503, retry_after=timedelta(minutes=2))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.url, copy.status, copy.retry_after) == (
        "503 it said", "https://x.example/a", 503, timedelta(minutes=2)
    )  # fmt: skip


@pytest.mark.parametrize("kind", [DeliveryError, DeliveryDeferred, DeliveryRefused, DeliveryUnknown])
def test_a_deliverys_error_survives_pickling(kind: type[DeliveryError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("no", code="550 5.1.1", retry_after=timedelta(minutes=2))))
    assert type(copy) is kind
    assert (str(copy), copy.code, copy.retry_after) == ("no", "550 5.1.1", timedelta(minutes=2))


@pytest.mark.parametrize("kind", [NotFound, InvalidInput, LeaseLost])
def test_plain_errors_survive_pickling(kind: type[BroadsheetError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("there is no such thing")))
    assert (type(copy), str(copy)) == (kind, "there is no such thing")


def test_not_yet_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(errors.NotYet("waiting", retry_after=timedelta(minutes=2))))
    assert (str(copy), copy.retry_after) == ("waiting", timedelta(minutes=2))
