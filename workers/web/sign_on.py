"""Sign-on: to the login provider that is set, and back from it into the pages for operators.

What the login must bring back waits in a signed cookie of the browser that began it: a link made by somebody else opens
no session here.
"""

from __future__ import annotations

import hmac
import math

import structlog
from fastapi import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import RedirectResponse, Response

from services.domain.errors import BroadsheetError, NotFound
from services.domain.text import clean
from services.domain.users import Actor
from services.pipeline import acts
from services.upstreams.oidc import Errand
from workers.web.auth import Gatekeeper, Keeper, Refused, guarded
from workers.web.kit import Web, WebKit
from workers.web.login import enter, login_page, safe_next
from workers.web.security import client_of

log = structlog.get_logger(__name__)

COOKIE = "broadsheet_errand"
ERRAND_LIVES_S = 600
PATH = "/admin/oidc"

router = guarded(include_in_schema=False)


@router.get("/admin/oidc")
def begin(request: Request, web: WebKit, keeper: Keeper, next: str = "") -> Response:
    """To the provider."""
    if not keeper.sign_on.on:
        raise NotFound("no login provider is set (BROADSHEET_OIDC_ISSUER)")
    try:
        url, errand = keeper.sign_on.begin()
    except BroadsheetError as error:
        log.warning("sign_on.failed", error=str(error))
        return login_page(request, web, keeper, next, status=502, error=f"The provider cannot be used: {error}")
    answer = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE, _signer(web).dumps([errand.state, errand.nonce, errand.verifier, safe_next(next)]),
        max_age=ERRAND_LIVES_S, path=PATH, httponly=True, samesite="lax", secure=keeper.secure(request),
    )  # fmt: skip
    return answer


@router.get("/admin/oidc/callback")
def callback(
    request: Request, web: WebKit, keeper: Keeper, code: str = "", state: str = "", error: str = "",
    error_description: str = "",
) -> Response:  # fmt: skip
    """Back from the provider: whom it vouches for is let in, as far as their role goes."""
    try:
        known, nonce, verifier, target = _signer(web).loads(request.cookies.get(COOKIE, ""), max_age=ERRAND_LIVES_S)
    except (BadData, ValueError):
        known = nonce = verifier = target = ""
    if not known or not hmac.compare_digest(str(known).encode(), state.encode()):
        return _sorry(request, web, keeper, target, 403, "This login was begun elsewhere or too long ago. Begin again.")
    if error or not code:
        said = clean(f"{error} {error_description}", limit=200).strip() or "it sent no code"
        return _sorry(request, web, keeper, target, 401, f"The provider did not let you in: {said}.")
    client = client_of(request)
    wait = math.ceil(keeper.too_often(client).total_seconds())
    if wait:
        return _sorry(request, web, keeper, target, 429, f"Too many tries. Please wait {wait} seconds.")
    try:
        name, vouched = keeper.sign_on.finish(Errand(state, nonce, verifier), code)
    except BroadsheetError as failed:
        log.warning("sign_on.failed", client=client, error=str(failed))
        return _sorry(request, web, keeper, target, 401, f"That did not work: {failed}", name="?")
    role = keeper.accounts.role_of(name, otherwise=vouched or web.rt.settings.login_role)
    if role is None:
        refused = (
            f"{name} is known to the provider, but has no role here. An admin can add the user, or a role for you."
        )
        return _sorry(request, web, keeper, target, 403, refused, name=name)
    answer = enter(request, web, keeper, name, role, target, vouched=role)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


def _sorry(
    request: Request, web: Web, keeper: Gatekeeper, target: str, status: int, text: str, *, name: str = ""
) -> Response:
    """The login page with what went wrong; a name that was refused is in the audit."""
    if not keeper.sign_on.on:
        raise Refused(404, "No login provider is set", "This address is for people who come from one.")
    if name:
        stranger = Actor(name=name, role="none", origin="web", address=client_of(request))
        acts.note(web.rt, stranger, "login", name, outcome="denied", detail=text)
    answer = login_page(request, web, keeper, target, status=status, error=text)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


def _signer(web: Web) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(web.rt.secret, salt="broadsheet.sign_on")
