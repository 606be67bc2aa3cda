"""`broadsheet doctor` and the scholarly services: which are on, and whether they let us in."""

from __future__ import annotations

import json

import pytest

from config.settings import Settings
from services.pipeline.enrich_papers import enabled
from services.upstreams.http import HttpClient
from tests.unit.upstreams.test_http import Loopback, reply
from tests.unit.upstreams.test_http import server as server
from workers.commands.catalogue_checks import WELL_KNOWN, catalogue_checks, check_switches
from workers.commands.checks import Check


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def asked(given: Settings) -> dict[str, Check]:
    with HttpClient(user_agent="x", allowed_private_hosts={"127.0.0.1"}, attempts=1, sleep=lambda _: None) as http:
        return {check.name: check for check in (ask() for ask in catalogue_checks(given, http))}


def test_what_is_off_is_told_with_what_switches_it_on() -> None:
    said = check_switches(settings(catalogues_contact="desk@papers.example"))
    assert said.state == "ok"
    assert "asked: Crossref, DataCite;" in said.message
    assert "Semantic Scholar (BROADSHEET_SEMANTIC_SCHOLAR_KEY)" in said.message
    assert asked(settings()) == {}


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [(200, "ok", "lets us in"), (403, "fail", "does not let us in"), (429, "warn", "wait"), (503, "warn", "503")],
)
def test_a_service_that_is_on_is_asked_about_one_paper(server: Loopback, status: int, state: str, words: str) -> None:
    given = settings(semantic_scholar_url=server.url, semantic_scholar_key="a-key-of-ours")
    server.answers(_path(given), reply(status, b"[null]"))
    (check,) = asked(given).values()
    assert (check.name, check.state) == ("catalogue Semantic Scholar", state)
    assert words in check.message
    assert server.requests[0].headers["x-api-key"] == "a-key-of-ours"
    assert "a-key-of-ours" not in check.message


def test_openreview_is_logged_in_to(server: Loopback) -> None:
    server.answers("/login", reply(200, json.dumps({"token": "a-token-of-theirs"}).encode()))
    server.answers("/notes/search", reply(200, b'{"notes": []}'))
    (check,) = asked(settings(openreview_url=server.url, openreview_user="us", openreview_password="hush")).values()
    assert check.state == "ok"
    assert server.requests[1].headers["authorization"] == "Bearer a-token-of-theirs"


def _path(given: Settings) -> str:
    """The path that Semantic Scholar is asked at."""
    one = enabled(given)["semantic_scholar"]
    return one.service.request([WELL_KNOWN], one.access).url.removeprefix(given.semantic_scholar_url).partition("?")[0]
