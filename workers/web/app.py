"""The web application: routes put together, one guard around them, one way to say what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles

from services.domain.errors import BroadsheetError, InvalidInput, NotFound
from services.domain.tokens import PAPER_PURPOSES, PURPOSES
from services.runtime import Runtime
from workers.web import (
    admin,
    admin_feeds,
    admin_lineage,
    admin_papers,
    admin_people,
    admin_readers,
    admin_runs,
    api,
    auth,
    exports,
    feedback,
    feeds_out,
    health,
    hooks,
    links,
    login,
    own_data,
    public,
    readers,
    sign_on,
)
from workers.web.api.document import describe
from workers.web.api.shape import problem
from workers.web.kit import STATIC, Web
from workers.web.security import Guard

log = structlog.get_logger(__name__)


def make_web(rt: Runtime) -> FastAPI:
    """The application around one runtime. Sync routes: they run in the thread pool."""
    served = _served()
    app = FastAPI(
        title=served.title, docs_url=None, redoc_url=None, routes=served.routes, dependencies=[Depends(auth.guard)]
    )
    web = Web(rt)
    app.state.web = web
    app.state.gatekeeper = auth.Gatekeeper(web)
    app.openapi = lambda: describe(served)  # type: ignore[method-assign]

    app.add_exception_handler(auth.Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(links.BadLink, links.refused)
    app.add_exception_handler(links.StaleForm, links.refused)
    app.add_exception_handler(BroadsheetError, _ours)
    app.add_exception_handler(SQLAlchemyError, _database)
    app.add_middleware(
        Guard,
        https=rt.settings.public_url.startswith("https://"),
        failed=lambda request: _failed(web, request),
    )
    return app


ROUTERS = (
    login.router, sign_on.router, admin.router, admin_feeds.router, admin_lineage.router, admin_papers.router,
    admin_people.router, admin_readers.router, admin_runs.router, public.router, readers.router, links.router,
    own_data.router, feedback.router, feeds_out.router, exports.router, health.router, hooks.router, *api.ROUTERS,
)  # fmt: skip


@cache
def _served() -> FastAPI:
    """Every route with its guard. Once a process: to look through them takes far longer than to answer most."""
    app = FastAPI(
        title="Broadsheet", summary="A self-hosted Daily Papers.", version=_version(), openapi_url=None,
        routes=_guarded(ROUTERS), dependencies=[Depends(auth.guard)],
    )  # fmt: skip
    app.mount("/static", Files(directory=STATIC), name="static")
    app.add_api_route("/favicon.ico", favicon, include_in_schema=False)
    app.add_api_route("/robots.txt", robots, include_in_schema=False)
    return app


def _guarded(routers: Iterable[APIRouter]) -> list[BaseRoute]:
    """The routes of `routers`. Raises RuntimeError for one that does not pass the guard."""
    found = [route for router in routers for route in router.routes]
    for route in found:
        if not (isinstance(route, APIRoute) and auth.guard in [one.dependency for one in route.dependencies]):
            raise RuntimeError(f"{route} does not pass the guard: make its router by workers.web.auth.guarded")
    return found


class Files(StaticFiles):
    """Our own files. Their addresses hold a fingerprint, so a browser may keep what it has."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The file, to be kept for a year."""
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def favicon() -> Response:
    """Where browsers look that do not read the page."""
    return RedirectResponse("/static/favicon.svg", 301)


def robots() -> Response:
    """Readers' pages may be listed; searches, links from mails and the operators' pages may not."""
    lines = ["User-agent: *", "Disallow: /admin", "Disallow: /*?q=", "Disallow: /api/"]
    lines += [f"Disallow: /{path}/" for path in (*PURPOSES, *PAPER_PURPOSES, "editions")]
    return Response("\n".join(lines) + "\n", media_type="text/plain")


# -- errors ----------------------------------------------------------------------------------------------------


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path in {"/healthz", "/readyz", "/openapi.json"}


def _answer(request: Request, status: int, heading: str, text: str, detail: str = "") -> Response:
    web: Web = request.app.state.web
    if _wants_json(request):
        return problem(status, text or detail or heading)
    return web.problem(request, status, heading, text, detail=detail)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, auth.Refused)
    if _wants_json(request):
        headers = {"WWW-Authenticate": 'Bearer realm="broadsheet"'} if error.status == 401 else None
        return problem(error.status, error.text, headers)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return auth.refuse(request, error, login.safe_next(target))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and _wants_json(request):  # a body that is no JSON is refused as any other
        return problem(422, str(error.detail))
    headings = {
        404: ("No such page", "The address may have been cut short. Start from the papers of the day."),
        405: ("That cannot be done here", "This page is for reading, or wants a form to be sent."),
    }
    heading, text = headings.get(error.status_code, ("That did not work", str(error.detail)))
    answer = _answer(request, error.status_code, heading, str(error.detail) if _wants_json(request) else text)
    answer.headers.update(error.headers or {})
    return answer


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors()[:5])
    return _answer(request, 422, "That cannot be read", said)


def _ours(request: Request, error: Exception) -> Response:
    if isinstance(error, NotFound):
        return _answer(request, 404, "Not found", str(error))
    if isinstance(error, InvalidInput):
        status = 422 if _wants_json(request) else 400
        return _answer(request, status, "That cannot be used", "", detail=str(error))
    log.warning("web.refused", path=request.url.path, error=str(error))
    return _answer(request, 502, "That did not work", str(error))


def _database(request: Request, error: Exception) -> Response:
    log.error("web.database", path=request.url.path, error=str(error).splitlines()[0][:300])
    return _answer(
        request,
        503,
        "The archive cannot be read just now",
        "Please try again in a minute. /healthz says what is wrong.",
    )


def _failed(web: Web, request: Request) -> Response:
    if _wants_json(request):
        return problem(500, "something failed here; it is in the log")
    return web.problem(request, 500, "Something failed here", "It is in the log. Trying again may help.")


def _version() -> str:
    try:
        return version("broadsheet")
    except PackageNotFoundError:
        return "0"
