"""A site to walk through: the web application on a runtime, a browser's client, and what is on a page."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount

from services.domain.users import Actor
from services.pipeline import accounts
from services.runtime import Runtime
from tests import servers
from workers.web.app import make_web

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have another client library
    from starlette.testclient import TestClient

PASSWORD = "open lanterns at dusk"
HOST = "https://papers.example"


class Site:
    """The application with one browser that keeps its cookies and follows no redirects."""

    def __init__(
        self, rt: Runtime, *, client: str = "203.0.113.9", base_url: str = HOST, app: FastAPI | None = None
    ) -> None:
        self.rt = rt
        self.app: FastAPI = app or make_web(rt)
        self.browser = TestClient(
            self.app, base_url=base_url, client=(client, 50000), follow_redirects=False, raise_server_exceptions=False
        )
        self.browser.portal = servers.event_loop()

    def get(self, path: str, **kwargs: Any) -> Any:
        """GET, as a browser does."""
        headers = {"accept": "text/html", **kwargs.pop("headers", {})}
        return self.browser.get(path, headers=headers, **kwargs)

    def post(
        self, path: str, form: dict[str, str] | None = None, *, csrf_from: str | None = None, **kwargs: Any
    ) -> Any:
        """POST a form; `csrf_from` is the page whose form it is."""
        data = dict(form or {})
        if csrf_from is not None:
            data["csrf"] = hidden(self.get(csrf_from).text, "csrf")
        return self.browser.post(path, data=data, **kwargs)

    def login(self, password: str = PASSWORD, user: str = "admin") -> Any:
        """Log in, as the administrator if nobody is named."""
        return self.post("/admin/login", {"user": user, "password": password}, csrf_from="/admin/login")

    def token(self, scope: str, name: str = "") -> str:
        """A program's token."""
        boss = Actor(name="test", role="admin", origin="command")
        return accounts.make_token(self.rt, boss, name or f"a-{scope}-program", scope)[0]

    def ask(self, method: str, path: str, token: str, **kwargs: Any) -> Any:
        """A program's request with its token."""
        return self.browser.request(method, f"/api/v1{path}", headers={"authorization": f"Bearer {token}"}, **kwargs)


def hidden(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, f"no field {name} in the page"
    return found[1]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of that name."""
        return [attrs for name, attrs in self.found if name == tag]


def declared(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every (method, path) there is, parameters by their names; files and the API's description left out."""
    for route in _flat(app.routes):
        if not isinstance(route, Mount) and route.path != "/openapi.json":
            for method in sorted((route.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                yield method, route.path


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """As `declared`, parameters filled with harmless values, and one of the files."""
    for method, path in declared(app):
        yield method, re.sub(r"\{[^}]*\}", "1", path)


OTHERS = (("GET", "/static/style.css"), ("GET", "/openapi.json"))
"""What answers everybody and is no route of ours."""


def _flat(found: Iterable[Any]) -> Iterator[Any]:
    """Included routers are kept as such by newer FastAPI, and copied by older ones."""
    for route in found:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _flat(included.routes)
        else:
            yield route
