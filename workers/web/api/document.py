"""Document: the OpenAPI description of the API, with who may what, taken from the same table that decides it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from workers.web.access import PUBLIC, needed
from workers.web.api.shape import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """The document; made once."""
    if app.openapi_schema is None:
        told = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes, description=ABOUT
        )
        parts = told.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        scheme = {"type": "http", "scheme": "bearer", "description": "Made at /admin/tokens"}
        parts["securitySchemes"] = {"token": scheme}
        for path, methods in told["paths"].items():
            for method, operation in methods.items():
                role = needed(method.upper(), path) or needed(method.upper(), f"{path[:-1]}:path}}")
                if role not in (PUBLIC, None):
                    operation["security"] = [{"token": []}]
                    operation["description"] = f"{operation.get('description', '')}\n\nNeeds the role {role}.".strip()
        app.openapi_schema = told
    return app.openapi_schema


ABOUT = """Everything the pages and the command line do. Papers, days and feeds are for everybody; the rest wants
`Authorization: Bearer` and a token, whose scope is `read` (viewer), `operate` (operator) or `admin`.

Lists come in pages: `next` is the `cursor` of the page after. What goes wrong is told as `application/problem+json`
with what to do in `help`. Fields and parameters that are not described here are refused."""
