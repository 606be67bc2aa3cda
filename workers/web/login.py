"""Login: in and out of the pages for operators."""

from __future__ import annotations

import math
import re
import secrets
from typing import Annotated

import structlog
from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from services.domain.text import clean
from services.domain.users import ADMIN, Actor
from services.pipeline import acts
from services.pipeline.accounts import SESSION_LIVES
from workers.web.auth import Act, Doer, Gatekeeper, Keeper, guarded, password_file
from workers.web.kit import Web, WebKit
from workers.web.security import client_of, from_own_page, on_loopback

log = structlog.get_logger(__name__)

FORM_COOKIE = "broadsheet_form"

router = guarded(include_in_schema=False)

_NEXT = re.compile(r"/admin(?:[/?][A-Za-z0-9._~:/?&=%+-]*)?|/editions/[0-9]{1,15}")


def safe_next(target: str) -> str:
    """Where to go after a login: a page of the operators', never another site."""
    return target if _NEXT.fullmatch(target) and "//" not in target else "/admin"


@router.get("/admin/login")
def login_form(request: Request, web: WebKit, keeper: Keeper, next: str = "") -> Response:
    """The form."""
    if keeper.who(request) is not None:
        return RedirectResponse(safe_next(next), 303)
    return login_page(request, web, keeper, next)


def login_page(
    request: Request, web: Web, keeper: Gatekeeper, target: str, *, status: int = 200, error: str = "",
    user: str = ADMIN,
) -> Response:  # fmt: skip
    """The form, and the way to the login provider where one is set."""
    bound = request.cookies.get(FORM_COOKIE) or ""
    fresh = not re.fullmatch(r"[A-Za-z0-9_-]{20,60}", bound)
    if fresh:
        bound = secrets.token_urlsafe(24)
    answer = web.page(
        request, "admin/login.html", status=status, private=True, csrf=web.forms.mark("login", bound),
        next=safe_next(target), error=error, made_password=keeper.made_password and on_loopback(request),
        password_file=str(password_file(web.rt.settings)), user=clean(user, limit=64),
        provider=keeper.sign_on.host if keeper.sign_on.on else "",
    )  # fmt: skip
    if fresh:
        answer.set_cookie(
            FORM_COOKIE, bound, max_age=3600, path="/admin", httponly=True, samesite="lax",
            secure=keeper.secure(request),
        )  # fmt: skip
    return answer


@router.post("/admin/login")
def login(
    request: Request,
    web: WebKit,
    keeper: Keeper,
    user: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Check the password, five times in a row from one address, then once every twelve seconds."""
    bound = request.cookies.get(FORM_COOKIE, "")
    ours = from_own_page(request, web.rt.settings.public_url)
    if not bound or not ours or web.forms.age("login", csrf, bound) is None:
        return login_page(
            request, web, keeper, next, status=403, error="The form had expired. Please try again.", user=user
        )
    client = client_of(request)
    wait = math.ceil(keeper.too_often(client).total_seconds())
    if wait:
        log.warning("admin.login_limited", client=client)
        answer = login_page(
            request, web, keeper, next, status=429, error=f"Too many tries. Please wait {wait} seconds.", user=user
        )
        answer.headers["Retry-After"] = str(wait)
        return answer
    name = clean(user, limit=64).strip().lower()
    role = keeper.accounts.check(name, password)
    if role is not None and name == ADMIN and keeper.made_password and not on_loopback(request):
        role = None  # the password made at the first start is for whoever sits at this machine
    if role is None:
        log.warning("admin.login_failed", client=client)
        stranger = Actor(name=name or "?", role="none", origin="web", address=client)
        acts.note(web.rt, stranger, "login", name, outcome="denied", detail="not the right name and password")
        return login_page(
            request, web, keeper, next, status=401, error="That is not the right name and password.", user=user
        )
    answer = enter(request, web, keeper, name, role, next)
    answer.delete_cookie(FORM_COOKIE, path="/admin")
    return answer


def enter(
    request: Request, web: Web, keeper: Gatekeeper, name: str, role: str, target: str, *, vouched: str = ""
) -> Response:
    """A new session in the place of the old one, and on to the page that was asked for."""
    old = keeper.cookie(request)
    if old:
        keeper.accounts.end_session(old)
    value = keeper.accounts.open_session(name, vouched=vouched)
    me = Actor(name=name, role=role, origin="web", address=client_of(request))
    acts.note(web.rt, me, "login", name, after={"by": keeper.sign_on.host} if vouched else {})
    answer = RedirectResponse(safe_next(target), 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        keeper.cookie_name(request), value, max_age=int(SESSION_LIVES.total_seconds()), path="/", httponly=True,
        samesite="lax", secure=keeper.secure(request),
    )  # fmt: skip
    return answer


@router.post("/admin/logout", dependencies=[Act])
def logout(request: Request, web: WebKit, keeper: Keeper, who: Doer) -> Response:
    """End this session."""
    keeper.accounts.end_session(keeper.cookie(request))
    acts.note(web.rt, who, "logout", who.name)
    answer = RedirectResponse("/admin/login", 303, {"Cache-Control": "no-store"})
    answer.delete_cookie(keeper.cookie_name(request), path="/", secure=keeper.secure(request))
    return answer
