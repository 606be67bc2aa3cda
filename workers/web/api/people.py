"""API: who may come in, and what everybody did. For admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, SecretStr, StrictBool

from services.domain.text import clean
from services.domain.users import LONGEST_PASSWORD, SHORTEST_PASSWORD
from services.pipeline import accounts
from services.pipeline.accounts import LONGEST_TOKEN_DAYS
from services.storage import audit, users
from workers.web.api.shape import Answer, Cursor, Limit, Name, Order, Page, page_of, part
from workers.web.auth import Doer
from workers.web.kit import WebKit

router = part("people")

Role = Literal["viewer", "operator", "admin"]
Password = Annotated[SecretStr, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class UserOut(Answer):
    """Somebody who may log in."""

    name: str
    role: str
    disabled: bool
    created_at: datetime
    last_login_at: datetime | None


class NewUser(Order):
    """Somebody who is to be let in."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    role: Role
    password: Password


class UserChange(Order):
    """What is to be changed; what is left out stays."""

    role: Role | None = None
    disabled: StrictBool | None = None
    password: Password | None = None


class TokenOut(Answer):
    """A program's token, without its value."""

    name: str
    scope: str
    hint: str
    made_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewToken(Order):
    """A token that is to be made."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    scope: Literal["read", "operate", "admin"]
    days: Annotated[
        int | None, Field(strict=True, ge=1, le=LONGEST_TOKEN_DAYS, description="It lasts; else for good")
    ] = None


class MadeToken(TokenOut):
    """A token just made. Its value is told this once."""

    token: str


class AuditOut(Answer):
    """One act, and how it ended."""

    id: int
    at: datetime
    who: str
    role: str
    origin: str
    address: str
    act: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    outcome: str
    detail: str


@router.get("/users", summary="Who may log in")
def list_users(web: WebKit) -> Page[UserOut]:
    """All on one page; `admin`, whose password is a setting, is not listed."""
    with web.rt.reading() as session:
        rows = users.list_all(session)
    return Page(items=[UserOut.model_validate(row) for row in rows], next=None)


@router.post("/users", status_code=201, summary="Let somebody in")
def add_user(web: WebKit, me: Doer, order: NewUser) -> UserOut:
    """With a name of their own."""
    return UserOut.model_validate(
        accounts.add_user(web.rt, me, order.name, order.password.get_secret_value(), order.role)
    )


@router.patch("/users/{name}", summary="Change a user's role or password, or disable one")
def change_user(web: WebKit, me: Doer, name: Name, order: UserChange) -> UserOut:
    """Each change is an act of its own; the first that cannot be done ends it."""
    with web.rt.reading() as session:
        user = users.get(session, name)
    if order.role is not None:
        user = accounts.set_role(web.rt, me, name, order.role)
    if order.password is not None:
        user = accounts.set_password(web.rt, me, name, order.password.get_secret_value())
    if order.disabled is not None:
        user = accounts.set_disabled(web.rt, me, name, order.disabled)
    return UserOut.model_validate(user)


@router.get("/tokens", summary="Tokens of programs, newest first")
def list_tokens(web: WebKit) -> Page[TokenOut]:
    """All on one page, those that are worth nothing any more among them."""
    with web.rt.reading() as session:
        rows = users.list_tokens(session)
    return Page(items=[TokenOut.model_validate(row) for row in rows], next=None)


@router.post("/tokens", status_code=201, summary="Make a token")
def make_token(web: WebKit, me: Doer, order: NewToken) -> MadeToken:
    """Its value is in this answer, and never again."""
    value, row = accounts.make_token(web.rt, me, order.name, order.scope, days=order.days)
    return MadeToken(**TokenOut.model_validate(row).model_dump(), token=value)


@router.delete("/tokens/{name}", summary="Let nobody in with a token any more")
def revoke_token(web: WebKit, me: Doer, name: Name) -> TokenOut:
    """It stays listed."""
    return TokenOut.model_validate(accounts.revoke_token(web.rt, me, name))


@router.get("/audit", summary="What everybody did, newest first")
def list_audit(
    web: WebKit,
    who: Annotated[str, Query(max_length=100)] = "",
    act: Annotated[str, Query(max_length=40, description="`feed.pause`, or a group: `feed`")] = "",
    origin: Literal["", "web", "api", "command"] = "",
    outcome: Literal["", "done", "failed", "denied"] = "",
    text: Annotated[str, Query(max_length=200, description="Part of subject or detail")] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[AuditOut]:
    """Kept as long as BROADSHEET_AUDIT_KEEP_DAYS says."""
    with web.rt.reading() as session:
        rows = audit.find(
            session, who=clean(who), act=clean(act), origin=origin, outcome=outcome, text=clean(text), before=cursor,
            limit=limit + 1,
        )  # fmt: skip
    return Page[AuditOut](**page_of(rows, limit, AuditOut.model_validate, lambda row: row.id))
