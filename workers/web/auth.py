"""Auth: who may see and do what operators see and do.

One account, `admin`. Sessions are signed with a key that holds a fingerprint of the password, so that a new
password ends all of them. Programs come with `Authorization: Bearer` and the token shown on the admin page.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import APIRouter, Depends, Form, Request
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import RedirectResponse, Response

from config.settings import Settings
from workers.web.kit import Web, WebKit
from workers.web.security import client_of, from_own_page, on_loopback

log = structlog.get_logger(__name__)

USER = "admin"
SESSION_LIVES_S = 12 * 3600
FORM_COOKIE = "broadsheet_form"


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


class Admin:
    """The one account: its password's hash, its sessions, its token."""

    def __init__(self, web: Web) -> None:
        settings = web.rt.settings
        self._secret = web.rt.secret
        self._password = ensure_admin_password(settings)
        self.loopback_only = not settings.admin_password.get_secret_value()
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._hash: str | None = None
        self._lock = threading.Lock()
        fingerprint = hmac.new(self._secret.encode(), f"password:{self._password}".encode(), "sha256").hexdigest()
        self._sessions = URLSafeTimedSerializer(self._secret, salt=f"broadsheet.session.{fingerprint}")
        self._ended: set[str] = set()
        self.token = hmac.new(self._secret.encode(), f"token:{fingerprint}".encode(), "sha256").hexdigest()[:40]
        """What programs send as `Authorization: Bearer`; changes with the password."""
        public = urlsplit(settings.public_url)
        self._https_host = public.netloc if public.scheme == "https" else None

    def check(self, user: str, password: str) -> bool:
        """Whether these are the account's; takes as long for a wrong name as for a wrong password."""
        with self._lock:  # one hash at a time: each takes 19 MB
            if self._hash is None:
                self._hash = self._hasher.hash(self._password)
            good = False
            with suppress(VerificationError):
                good = self._hasher.verify(self._hash, password[:1000])
        return hmac.compare_digest(user.encode("utf-8", "replace"), USER.encode()) and good

    def open_session(self) -> str:
        """A new session's cookie value."""
        return self._sessions.dumps({"id": secrets.token_urlsafe(18), "user": USER})

    def session_id(self, cookie: str | None) -> str | None:
        """The session a cookie stands for; `None` when forged, too old or ended."""
        if not cookie:
            return None
        try:
            data = self._sessions.loads(cookie, max_age=SESSION_LIVES_S)
        except BadData:
            return None
        found = data.get("id") if isinstance(data, dict) else None
        return found if isinstance(found, str) and found not in self._ended else None

    def end_session(self, session_id: str) -> None:
        """No cookie of this session is worth anything to this process from now on."""
        self._ended.add(session_id)

    def secure(self, request: Request) -> bool:
        """Whether cookies of this request go over HTTPS only."""
        return request.url.scheme == "https" or request.headers.get("host") == self._https_host

    def cookie_name(self, request: Request) -> str:
        """`__Host-` keeps neighbours on other subdomains from setting it; browsers want HTTPS for it."""
        return "__Host-broadsheet" if self.secure(request) else "broadsheet_session"

    def session_of(self, request: Request) -> str | None:
        """The request's session, if it has one that counts."""
        return self.session_id(request.cookies.get(self.cookie_name(request)))

    def bearer(self, request: Request) -> bool:
        """Whether the request carries the token."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        given = value.strip().encode("utf-8", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self.token.encode())


# -- what routes depend on -------------------------------------------------------------------------------------


class Refused(Exception):
    """The request is not let in. `login`: a person who logs in would be."""

    def __init__(self, status: int, heading: str, text: str, *, login: bool = False) -> None:
        super().__init__(heading)
        self.status = status
        self.heading = heading
        self.text = text
        self.login = login


def get_admin(request: Request) -> Admin:
    """The account."""
    admin: Admin = request.app.state.admin
    return admin


Account = Annotated[Admin, Depends(get_admin)]


def admit(request: Request, admin: Account) -> None:
    """Without a password of the operator's own, only this machine is answered."""
    if admin.loopback_only and not on_loopback(request):
        raise Refused(
            403,
            "Only from this machine",
            "No administrator password is set, so these pages answer on loopback only. "
            "Set BROADSHEET_ADMIN_PASSWORD and start again.",
        )


def require_session(request: Request, admin: Account, _: Annotated[None, Depends(admit)]) -> str:
    """The operator's session id, or `Refused`."""
    session = admin.session_of(request)
    if session is None:
        raise Refused(401, "Please log in", "This page is for operators.", login=True)
    return session


Operator = Annotated[str, Depends(require_session)]


def require_operator_or_token(request: Request, admin: Account) -> None:
    """A program with the token, or an operator's session; `Refused` for all others."""
    if admin.bearer(request):
        return
    admit(request, admin)
    if admin.session_of(request) is None:
        raise Refused(401, "A token is needed", "Send Authorization: Bearer with the token shown on the admin page.")


def check_form(request: Request, web: WebKit, session: Operator, csrf: Annotated[str, Form()] = "") -> None:
    """Every act of an operator comes from a form of this session, and from a page of ours."""
    if web.forms.age("admin", csrf, session) is None or not from_own_page(request, web.rt.settings.public_url):
        raise Refused(403, "This form is not valid", "Load the page again and repeat what you did.")


Act = Depends(check_form)


# -- logging in and out ----------------------------------------------------------------------------------------

router = APIRouter(include_in_schema=False)

_NEXT = re.compile(r"/admin(?:[/?][A-Za-z0-9._~:/?&=%+-]*)?")


def safe_next(target: str) -> str:
    """Where to go after a login: a page of the operators', never another site."""
    return target if _NEXT.fullmatch(target) and "//" not in target else "/admin"


@router.get("/admin/login", dependencies=[Depends(admit)])
def login_form(request: Request, web: WebKit, admin: Account, next: str = "") -> Response:
    """The form."""
    if admin.session_of(request):
        return RedirectResponse(safe_next(next), 303)
    return _login_page(request, web, admin, next)


def _login_page(
    request: Request, web: Web, admin: Admin, target: str, *, status: int = 200, error: str = ""
) -> Response:
    bound = request.cookies.get(FORM_COOKIE) or ""
    fresh = not re.fullmatch(r"[A-Za-z0-9_-]{20,60}", bound)
    if fresh:
        bound = secrets.token_urlsafe(24)
    answer = web.page(
        request, "admin/login.html", status=status, private=True, csrf=web.forms.mark("login", bound),
        next=safe_next(target), error=error, loopback_only=admin.loopback_only,
        password_file=str(password_file(web.rt.settings)),
    )  # fmt: skip
    if fresh:
        answer.set_cookie(
            FORM_COOKIE, bound, max_age=3600, path="/admin", httponly=True, samesite="lax", secure=admin.secure(request)
        )
    return answer


@router.post("/admin/login", dependencies=[Depends(admit)])
def login(
    request: Request,
    web: WebKit,
    admin: Account,
    user: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",
) -> Response:
    """Check the password, at most five times a minute from one address."""
    bound = request.cookies.get(FORM_COOKIE, "")
    ours = from_own_page(request, web.rt.settings.public_url)
    if not bound or not ours or web.forms.age("login", csrf, bound) is None:
        return _login_page(request, web, admin, next, status=403, error="The form had expired. Please try again.")
    client = client_of(request)
    wait = max(web.logins.take(client), web.all_logins.take("all"))
    if wait:
        log.warning("admin.login_limited", client=client)
        answer = _login_page(
            request, web, admin, next, status=429, error=f"Too many tries. Please wait {int(wait) + 1} seconds."
        )
        answer.headers["Retry-After"] = str(int(wait) + 1)
        return answer
    if not admin.check(user, password):
        log.warning("admin.login_failed", client=client)
        return _login_page(request, web, admin, next, status=401, error="That is not the right name and password.")
    log.info("admin.logged_in", client=client)
    answer = RedirectResponse(safe_next(next), 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        admin.cookie_name(request), admin.open_session(), max_age=SESSION_LIVES_S, path="/", httponly=True,
        samesite="lax", secure=admin.secure(request),
    )  # fmt: skip
    answer.delete_cookie(FORM_COOKIE, path="/admin")
    return answer


@router.post("/admin/logout", dependencies=[Act])
def logout(request: Request, admin: Account, session: Operator) -> Response:
    """End this session."""
    admin.end_session(session)
    answer = RedirectResponse("/admin/login", 303, {"Cache-Control": "no-store"})
    answer.delete_cookie(admin.cookie_name(request), path="/", secure=admin.secure(request))
    return answer


def refuse(request: Request, error: Refused) -> Response:
    """What somebody who is not let in gets: the login form for a person, a plain refusal for the rest."""
    web: Web = request.app.state.web
    wants_page = "text/html" in request.headers.get("accept", "") and "x-fragment" not in request.headers
    if error.login and request.method == "GET" and wants_page:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        login_at = f"/admin/login?next={quote(safe_next(target), safe='')}"
        return RedirectResponse(login_at, 303, {"Cache-Control": "no-store"})
    answer = web.problem(request, error.status, error.heading, error.text)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="broadsheet"'
    return answer


__all__ = ["Account", "Act", "Admin", "Operator", "Refused", "ensure_admin_password", "refuse", "router"]
