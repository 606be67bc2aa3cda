"""Shape: what all of the API has in common. Pages by cursor, problems with what to do, nothing unknown taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from workers.web.auth import guarded

LARGEST_ID = 2**63 - 1
MOST = 500
"""Items on one page."""

MEDIA_TYPE = "application/problem+json"

Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Name = Annotated[str, Path(min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Most items on the page")]
Cursor = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")]

T = TypeVar("T")
R = TypeVar("R")


class Answer(BaseModel):
    """Something the API tells, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Order(BaseModel):
    """Something the API is told. A field it does not know is refused, so that nothing is set by accident."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """Some of a list, and where it goes on."""

    items: list[T]
    next: int | None = Field(None, description="The `cursor` of the next page; null on the last")


class Done(Answer):
    """What an act came to."""

    done: bool = Field(description="False: there was nothing to do")
    about: str


class Problem(BaseModel):
    """What went wrong (RFC 9457), and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    help: str = Field(description="What to do")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, words in (
        (401, "No token, and no session"),
        (403, "The token or the person may not do that"),
        (404, "There is no such thing"),
        (422, "What was sent cannot be used"),
        (429, "Too often"),
        (503, "The database does not answer"),
    )
}
PROBLEMS |= {
    status: {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}
    for status, words in ((413, "The body is over 64 KB"), (414, "The address is over 16 KB"))
}
"""What any route of the API may answer beside its own."""

HELP = {
    400: "Correct what was sent; /openapi.json says what is taken.",
    401: "Send `Authorization: Bearer` and a token; made at /admin/tokens or by `broadsheet tokens add`.",
    403: "Use a token of a higher scope, or ask an admin.",
    404: "Look it up in the list it belongs to; it may have been removed, or pruned after its retention.",
    405: "See /openapi.json for what this address takes.",
    409: "Look at its present state first.",
    413: "Send less than 64 KB.",
    422: "Correct what was sent; /openapi.json says what is taken.",
    429: "Wait as long as `Retry-After` says.",
    503: "Try again in a minute; /healthz says what is wrong.",
}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A problem as an answer."""
    told = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail,
        help=HELP.get(status, "Try again; if it goes on, look into the log."),
    )  # fmt: skip
    return JSONResponse(told.model_dump(), status, headers, media_type=MEDIA_TYPE)


def no_unknown_query(request: Request) -> None:
    """Refuse parameters given twice, and those the route does not know: a filter with a slip would show everything."""
    known = {field.alias for field in _query_fields(request)}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if given.count(name) > 1:
            raise RequestValidationError([{"type": "too_long", "loc": ("query", name[:80]), "msg": "give it once"}])
        if name not in known:
            raise RequestValidationError(
                [{"type": "extra_forbidden", "loc": ("query", name[:80]), "msg": "there is no such parameter"}]
            )


def _query_fields(request: Request) -> Sequence[Any]:
    dependant = getattr(request.scope.get("route"), "dependant", None)
    return list(getattr(dependant, "query_params", ()))


def part(tag: str) -> APIRouter:
    """A router for one subject of the API."""
    return guarded(Depends(no_unknown_query), prefix="/api/v1", tags=[tag], responses=PROBLEMS)


def page_of(rows: Sequence[R], limit: int, item: Callable[[R], Any], key: Callable[[R], int | None]) -> dict[str, Any]:
    """A page of `limit` items from one row more than that."""
    shown = rows[:limit]
    return {"items": [item(row) for row in shown], "next": key(shown[-1]) if len(rows) > limit else None}
