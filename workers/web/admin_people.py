"""Admin, people: who may come in (users, tokens of programs), and what everybody did (the audit)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Request
from starlette.responses import Response

from services.domain.text import clean
from services.domain.users import ADMIN, ROLES, SCOPES
from services.pipeline import accounts
from services.storage import audit, users
from workers.web.admin import PER_PAGE, back, desk, id_of, more_after
from workers.web.auth import Act, Doer, Known, Who, guarded
from workers.web.kit import Web, WebKit

router = guarded(include_in_schema=False)


# -- users -----------------------------------------------------------------------------------------------------


@router.get("/admin/users")
def user_list(request: Request, web: WebKit, who: Known) -> Response:
    """Everybody who may log in."""
    with web.rt.reading() as session:
        people = users.list_all(session)
    return desk(request, web, "users.html", who, people=people, roles=ROLES, admin=ADMIN)


@router.post("/admin/users", dependencies=[Act])
def add_user(
    web: WebKit, me: Doer, name: Annotated[str, Form()] = "", role: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Add somebody."""
    user = accounts.add_user(web.rt, me, name, password, role)
    return back("/admin/users", "user_added", user.name)


@router.post("/admin/users/{name}/role", dependencies=[Act])
def set_role(web: WebKit, me: Doer, name: str, role: Annotated[str, Form()] = "") -> Response:
    """Another role."""
    return back("/admin/users", "user_changed", accounts.set_role(web.rt, me, name, role).name)


@router.post("/admin/users/{name}/disable", dependencies=[Act])
def disable(web: WebKit, me: Doer, name: str) -> Response:
    """Let somebody in no more."""
    return back("/admin/users", "user_changed", accounts.set_disabled(web.rt, me, name, True).name)


@router.post("/admin/users/{name}/enable", dependencies=[Act])
def enable(web: WebKit, me: Doer, name: str) -> Response:
    """Let somebody in again."""
    return back("/admin/users", "user_changed", accounts.set_disabled(web.rt, me, name, False).name)


@router.post("/admin/users/{name}/password", dependencies=[Act])
def set_password(web: WebKit, me: Doer, name: str, password: Annotated[str, Form()] = "") -> Response:
    """Another password; open sessions end."""
    return back("/admin/users", "user_changed", accounts.set_password(web.rt, me, name, password).name)


# -- tokens ----------------------------------------------------------------------------------------------------


@router.get("/admin/tokens")
def token_list(request: Request, web: WebKit, who: Known) -> Response:
    """The tokens of programs."""
    return _tokens(request, web, who)


def _tokens(request: Request, web: Web, who: Who, *, made: str = "", name: str = "") -> Response:
    with web.rt.reading() as session:
        rows = users.list_tokens(session)
    return desk(request, web, "tokens.html", who, tokens=rows, scopes=list(SCOPES), made=made, made_name=name)


@router.post("/admin/tokens", dependencies=[Act])
def make_token(
    request: Request, web: WebKit, who: Known, name: Annotated[str, Form()] = "", scope: Annotated[str, Form()] = "",
    days: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Make one. Its value is on the page that answers, and never again."""
    value, row = accounts.make_token(web.rt, who.actor, name, scope, days=id_of(days) if days else None)
    return _tokens(request, web, who, made=value, name=row.name)


@router.post("/admin/tokens/{name}/revoke", dependencies=[Act])
def revoke_token(web: WebKit, me: Doer, name: str) -> Response:
    """Let nobody in with it any more."""
    return back("/admin/tokens", "token_revoked", accounts.revoke_token(web.rt, me, name).name)


# -- audit -----------------------------------------------------------------------------------------------------


@router.get("/admin/audit")
def audit_list(
    request: Request, web: WebKit, who: Known, by: str = "", act: str = "", origin: str = "", outcome: str = "",
    text: str = "", before: str = "",
) -> Response:  # fmt: skip
    """What everybody did, newest first, filtered."""
    chosen = {
        "by": clean(by, limit=80), "act": clean(act, limit=40), "text": clean(text, limit=200),
        "origin": origin if origin in audit.ORIGINS else "", "outcome": outcome if outcome in audit.OUTCOMES else "",
    }  # fmt: skip
    with web.rt.reading() as session:
        found = audit.find(
            session, who=chosen["by"], act=chosen["act"], origin=chosen["origin"], outcome=chosen["outcome"],
            text=chosen["text"], before=id_of(before), limit=PER_PAGE + 1,
        )  # fmt: skip
    more = more_after(found, lambda row: row.id)
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return desk(
        request, web, "audit.html", who, rows=found[:PER_PAGE], chosen=chosen, origins=audit.ORIGINS,
        outcomes=audit.OUTCOMES, first=not before, keep_days=web.rt.settings.audit_keep_days,
        more=f"/admin/audit?{kept}{'&' if kept else ''}before={more}" if more else "",
    )  # fmt: skip
