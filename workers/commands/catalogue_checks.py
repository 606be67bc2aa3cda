"""Checks of the scholarly services: which are switched on, and whether they let us in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from config.settings import Settings
from services.domain.errors import RateLimited, UpstreamError
from services.domain.identifiers import Identifier
from services.domain.lookups import AskedPaper, LookupRequest
from services.pipeline.enrich_papers import Enabled, enabled
from services.upstreams.http import HttpClient
from services.upstreams.lookups import SERVICES
from workers.commands.checks import Check, failure, ok, warning

_SWITCHES = {
    "semantic_scholar": "SEMANTIC_SCHOLAR_KEY", "openalex": "OPENALEX_KEY", "crossref": "CATALOGUES_CONTACT",
    "datacite": "CATALOGUES_CONTACT", "openreview": "OPENREVIEW_USER and OPENREVIEW_PASSWORD",
}  # fmt: skip
WELL_KNOWN = AskedPaper(
    identifiers=(
        Identifier("arxiv", "1706.03762"),
        Identifier("doi", "10.1038/nature14539"),
        Identifier("openreview", "B1QRgziT-"),
    ),
    title="A paper that each of them knows",
)
"""Names of papers that each service knows one of."""


def check_switches(settings: Settings) -> Check:
    """Which services are asked about papers, and what would switch the others on."""
    on = enabled(settings)
    off = [f"{one.title} (BROADSHEET_{_SWITCHES[name]})" for name, one in SERVICES.items() if name not in on]
    asked = ", ".join(one.service.title for one in on.values()) or "none"
    return ok("catalogues", f"asked: {asked}" + (f"; off without their settings: {', '.join(off)}" if off else ""))


def catalogue_checks(settings: Settings, http: HttpClient) -> list[Callable[[], Check]]:
    """A check of each service that is switched on: it is asked about one paper, as it will be about many."""
    return [partial(_check, http, name, one) for name, one in enabled(settings).items()]


def _check(http: HttpClient, name: str, one: Enabled) -> Check:
    title, where = f"catalogue {one.service.title}", urlsplit(one.access.url).netloc
    access = one.access
    try:
        if one.service.login is not None:
            login, read_token = one.service.login
            access = replace(access, key=read_token(_ask(http, login(access))))
        _ask(http, one.service.request([WELL_KNOWN], access))
    except RateLimited as error:
        return warning(title, f"{where} asks us to wait ({error})", "nothing: it is asked again later")
    except UpstreamError as error:
        if error.status in (400, 401, 403):
            return failure(title, f"{where} does not let us in: {error}", f"check BROADSHEET_{_SWITCHES[name]}")
        return warning(title, f"{where}: {error}", "nothing waits for it; check the network, and whether it is up")
    return ok(title, f"{where} answers, and lets us in")


def _ask(http: HttpClient, request: LookupRequest) -> bytes:
    headers = dict(request.headers)
    if request.json is None:
        # What it does not know it may answer with 404: it is there, and let us in.
        return http.get(request.url, headers=headers, expect_statuses=(404,)).body
    return http.post(request.url, json=request.json, headers=headers).body
