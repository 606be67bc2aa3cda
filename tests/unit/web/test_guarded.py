"""Every route passes the guard; one that would not is refused before there is an application."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Depends, Request
from starlette.routing import Mount

from workers.web.app import ROUTERS, _guarded
from workers.web.auth import guard, guarded


def page() -> str:
    """Answers."""
    return "open"


def first(request: Request) -> str:
    """Something else that has to hold."""
    return request.method


def test_a_router_that_is_guarded_asks_the_guard_first() -> None:
    router = guarded(Depends(first), prefix="/api")
    router.get("/page")(page)
    (route,) = _guarded([router])
    assert [one.dependency for one in route.dependencies] == [guard, first]  # type: ignore[attr-defined]


def test_a_route_without_the_guard_is_refused() -> None:
    open_ = APIRouter()
    open_.get("/open")(page)
    mounted = guarded()
    mounted.routes.append(Mount("/files", app=APIRouter()))
    for router in (open_, mounted):
        with pytest.raises(RuntimeError, match=r"workers\.web\.auth\.guarded"):
            _guarded([*ROUTERS, router])
