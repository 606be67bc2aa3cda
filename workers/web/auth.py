"""Auth: who a request is from, and whether its route lets them in (`access` says what each needs).

A person comes with a session's cookie, or through a proxy that has logged them in; a program with
`Authorization: Bearer` and one of the tokens made for programs.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Depends, Form, Request
from fastapi.params import Depends as Needed
from starlette.responses import RedirectResponse, Response

from config.settings import Settings
from services.domain.errors import InvalidInput
from services.domain.users import ADMIN, Actor, checked_name
from services.pipeline import acts
from services.pipeline.accounts import Accounts
from services.pipeline.sign_on import SignOn
from services.storage import allowances
from workers.web.access import LOGIN, PUBLIC, needed
from workers.web.kit import Web, WebKit, get_web
from workers.web.security import client_of, from_own_page, on_loopback

log = structlog.get_logger(__name__)

HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


def ensure_admin_password(settings: Settings) -> str:
    """The administrator's password: the one set, else one made once and kept in `HOME/admin_password`.

    Whoever starts a web process prints the kept one, for its owner is at the terminal; only loopback clients
    may use it.
    """
    if settings.admin_password.get_secret_value():
        return settings.admin_password.get_secret_value()
    path = password_file(settings)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = "-".join(secrets.token_hex(3) for _ in range(4))
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        temporary.touch(mode=0o600)
        temporary.write_text(fresh + "\n", encoding="ascii")
        try:
            path.hardlink_to(temporary)  # of processes that start together one wins, and all read the same
        except FileExistsError:
            log.debug("admin_password.kept_already")
        finally:
            temporary.unlink()
    return path.read_text(encoding="ascii").strip()


def password_file(settings: Settings) -> Path:
    """Where a generated password is kept."""
    return settings.home / "admin_password"


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever a request is from, and what their forms are bound to."""

    actor: Actor
    bound_to: str
    """The session's cookie value, or how else they came."""
    by_browser: bool
    """A browser sends along what lets them in, whoever made it ask; a program says it itself."""


class Gatekeeper:
    """Knows who a request is from. One per application."""

    def __init__(self, web: Web) -> None:
        settings = web.rt.settings
        self._rt = web.rt
        self.accounts = Accounts(web.rt, ensure_admin_password(settings))
        self.sign_on = SignOn(web.rt)
        self.made_password = not settings.admin_password.get_secret_value()
        """The administrator's password was made here: it lets in from this machine only."""
        public = urlsplit(settings.public_url)
        self._https_host = public.netloc if public.scheme == "https" else None
        self._header = settings.login_header.lower()
        proxies = [one.strip() for one in settings.login_proxies.split(",")]
        self._proxies = [ip_network(one, strict=False) for one in proxies if one]
        self._proxy_role = settings.login_role

    # -- cookies -----------------------------------------------------------------------------------------------

    def secure(self, request: Request) -> bool:
        """Whether cookies of this request go over HTTPS only."""
        return request.url.scheme == "https" or request.headers.get("host") == self._https_host

    def cookie_name(self, request: Request) -> str:
        """`__Host-` keeps neighbours on other subdomains from setting it; browsers want HTTPS for it."""
        return "__Host-broadsheet" if self.secure(request) else "broadsheet_session"

    def cookie(self, request: Request) -> str:
        """The request's session cookie, empty without one."""
        return request.cookies.get(self.cookie_name(request), "")

    # -- who ---------------------------------------------------------------------------------------------------

    def who(self, request: Request) -> Who | None:
        """Whoever the request is from; `None` for somebody we do not know."""
        origin = "api" if request.url.path.startswith("/api/") else "web"
        address = client_of(request)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            found = self.accounts.of_token(value.strip())
            return self._made(found, origin, address, value.strip(), by_browser=False)
        named = self._named_by_proxy(request)
        if named is not None:
            return self._made(named, origin, address, f"proxy:{named[0]}", by_browser=True)
        cookie = self.cookie(request)
        found = self.accounts.of_session(cookie) if cookie else None
        if found is not None and found[0] == ADMIN and self.made_password and not on_loopback(request):
            return None
        return self._made(found, origin, address, cookie, by_browser=True)

    @staticmethod
    def _made(
        found: tuple[str, str] | None, origin: str, address: str, bound_to: str, *, by_browser: bool
    ) -> Who | None:
        if found is None:
            return None
        return Who(Actor(name=found[0], role=found[1], origin=origin, address=address), bound_to, by_browser)

    def _named_by_proxy(self, request: Request) -> tuple[str, str] | None:
        """Whom a trusted proxy has let in. What anybody else says in that header is nothing."""
        if not self._header or not self._proxies or len(request.headers.getlist(self._header)) != 1:
            return None
        try:
            peer = ip_address(request.client.host if request.client else "")
            name = checked_name(request.headers[self._header])
        except (ValueError, InvalidInput):
            return None
        mapped = getattr(peer, "ipv4_mapped", None)
        if name == ADMIN or not any((mapped or peer) in network for network in self._proxies):
            return None
        role = self.accounts.role_of(name, otherwise=self._proxy_role)
        return (name, role) if role is not None else None

    def admit(self, request: Request) -> None:
        """Refuse the login form to all but this machine while nobody else could log in anyway."""
        others = self.sign_on.on or self.accounts.anybody()
        if self.made_password and not on_loopback(request) and not others:
            raise Refused(
                403,
                "Only from this machine",
                "No administrator password is set, so these pages answer on loopback only. Set "
                "BROADSHEET_ADMIN_PASSWORD and start again, or add somebody with `broadsheet users add`.",
            )

    def too_often(self, client: str) -> timedelta:
        """Count a try of a password, over all processes; how long to wait before the next, nothing when it may be."""
        for key, times in ((f"login {client}", 5), ("login", 60)):
            with self._rt.writing() as session:
                wait = allowances.take(session, key, times=times, per=timedelta(minutes=1), now=self._rt.now())
            if wait:
                return wait
        return timedelta(0)


# -- what routes depend on -------------------------------------------------------------------------------------


class Refused(Exception):
    """The request is not let in. `login`: a person who logs in would be."""

    def __init__(self, status: int, heading: str, text: str, *, login: bool = False) -> None:
        super().__init__(heading)
        self.status = status
        self.heading = heading
        self.text = text
        self.login = login


def get_gatekeeper(request: Request) -> Gatekeeper:
    """The gatekeeper."""
    keeper: Gatekeeper = request.app.state.gatekeeper
    return keeper


Keeper = Annotated[Gatekeeper, Depends(get_gatekeeper)]


def guard(request: Request) -> None:
    """Let a request through to its route, or raise `Refused`. Every route of the application passes here."""
    web, keeper = get_web(request), get_gatekeeper(request)
    path = getattr(request.scope.get("route"), "path", "")
    role = needed(request.method, path)
    if role == PUBLIC:
        return
    if role is None:
        log.error("access.not_declared", method=request.method, path=path)
        raise Refused(403, "This page is closed", "Its route is not written down in workers/web/access.py.")
    if role == LOGIN:
        keeper.admit(request)
        return
    who = keeper.who(request)
    if who is None:
        if "authorization" not in request.headers and not request.url.path.startswith("/api/"):
            keeper.admit(request)
        raise Refused(
            401, "Please log in", "This page is for operators; programs send Authorization: Bearer and a token.",
            login=True,
        )  # fmt: skip
    if not who.actor.may(role):
        if request.method not in HARMLESS:
            acts.note(
                web.rt, who.actor, "denied", f"{request.method} {request.url.path}", outcome="denied",
                detail=f"wants the role {role}",
            )  # fmt: skip
        raise Refused(403, "Not for you", f"This wants the role {role}; {who.actor.name} is {who.actor.role}.")
    if who.by_browser and request.method not in HARMLESS and request.url.path.startswith("/api/"):
        _from_a_page_of_ours(request, web)
    request.state.who = who


def guarded(*more: Needed, **options: Any) -> APIRouter:
    """A router each of whose routes passes the guard, and then what `more` says; `options` are those of `APIRouter`.

    The application takes its routes as they are: FastAPI makes each anew for a router that is included.
    """
    return APIRouter(dependencies=[Depends(guard), *more], **options)


def _from_a_page_of_ours(request: Request, web: Web) -> None:
    """An act through the API that a browser's cookie lets in must say that it comes from our own pages."""
    if "origin" not in request.headers or not from_own_page(request, web.rt.settings.public_url):
        raise Refused(403, "Not from another site", "Acts through the API want a token: Authorization: Bearer …")


def get_who(request: Request) -> Who:
    """Whoever passed the guard; only for routes that are not public."""
    who: Who = request.state.who
    return who


def get_actor(request: Request) -> Actor:
    """The one who acts."""
    return get_who(request).actor


Known = Annotated[Who, Depends(get_who)]
Doer = Annotated[Actor, Depends(get_actor)]


def check_form(request: Request, web: WebKit, who: Known, csrf: Annotated[str, Form()] = "") -> None:
    """Every act of an operator comes from a form of this session, and from a page of ours."""
    if web.forms.age("admin", csrf, who.bound_to) is None or not from_own_page(request, web.rt.settings.public_url):
        raise Refused(403, "This form is not valid", "Load the page again and repeat what you did.")


Act = Depends(check_form)


def refuse(request: Request, error: Refused, safe_next: str) -> Response:
    """What somebody who is not let in gets: the login form for a person, a plain refusal for the rest."""
    web: Web = request.app.state.web
    wants_page = "text/html" in request.headers.get("accept", "") and "x-fragment" not in request.headers
    if error.login and request.method == "GET" and wants_page:
        return RedirectResponse(f"/admin/login?next={quote(safe_next, safe='')}", 303, {"Cache-Control": "no-store"})
    answer = web.problem(request, error.status, error.heading, error.text)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="broadsheet"'
    return answer


__all__ = [
    "Act", "Doer", "Gatekeeper", "Keeper", "Known", "Refused", "Who", "ensure_admin_password", "guard", "guarded",
    "refuse",
]  # fmt: skip
