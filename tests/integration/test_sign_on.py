"""Logging in at a provider (OpenID Connect): who gets in as what, and every way in which nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey
from pydantic import ValidationError

from config.settings import Settings
from services.domain.users import Actor
from services.pipeline import accounts
from services.storage.tables import Audit, Login
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import Clock
from tests.integration.web_site import PASSWORD, Site
from tests.login_provider import LoginProvider, make_key

BOSS = Actor(name="boss", role="admin", origin="command")
ROLES = "ops=operator,leads=admin,staff=viewer"
Enter = Callable[..., Site]


@pytest.fixture(scope="module")
def keys() -> tuple[RSAKey, RSAKey]:
    """Two key pairs: they take their time to make."""
    return make_key("one"), make_key("two")


@pytest.fixture
def provider(clock: Clock, keys: tuple[RSAKey, RSAKey]) -> Iterator[LoginProvider]:
    """A provider that vouches for Ada."""
    with LoginProvider(clock, keys[0]) as provider:
        yield provider


@pytest.fixture
def site(make_runtime: MakeRuntime, provider: LoginProvider) -> Enter:
    """A site whose people log in at the provider."""

    def make(**settings: Any) -> Site:
        return Site(
            make_runtime(**{"admin_password": PASSWORD, "oidc_roles": ROLES, **provider.settings(), **settings})
        )

    return make


def come_back(site: Site, provider: LoginProvider, **params: str) -> Any:
    """Begin at the page that was asked for, log in at the provider, and follow it back."""
    sent = site.get("/admin/oidc", params={"next": "/admin/runs?state=dead"})
    assert sent.status_code == 303, sent.text
    return site.get(provider.log_in(sent.headers["location"]), **params)


@pytest.mark.parametrize(
    ("claims", "settings", "role"),
    [
        ({"groups": ["staff", "ops"]}, {}, "operator"),
        ({"groups": "leads"}, {}, "admin"),
        ({"groups": ["others"]}, {"login_role": "viewer"}, "viewer"),
        ({"realm_access": {"roles": ["ops"]}}, {"oidc_role_claim": "realm_access.roles"}, "operator"),
        ({"https://lab.example/role": "staff"}, {"oidc_role_claim": "https://lab.example/role"}, "viewer"),
    ],
)
def test_a_claim_tells_the_role(
    site: Enter, provider: LoginProvider, claims: dict[str, Any], settings: dict[str, str], role: str
) -> None:
    provider.claims |= claims
    here = site(**settings)
    answer = come_back(here, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/runs?state=dead")
    page = here.get("/admin")
    assert f'title="ada, {role}"' in page.text
    line = all_rows(here.rt, Audit)[-1]
    assert (line.who, line.act, line.outcome, line.after) == ("ada", "login", "done", {"by": "127.0.0.1"})


def test_who_is_among_the_users_has_the_role_written_there_and_who_is_disabled_none(
    site: Enter, provider: LoginProvider
) -> None:
    here = site()
    provider.claims["groups"] = ["leads"]
    accounts.add_user(here.rt, BOSS, "ada", "a lantern in the fog", "viewer")
    assert come_back(here, provider).status_code == 303
    assert 'title="ada, viewer"' in here.get("/admin").text
    accounts.set_disabled(here.rt, BOSS, "ada", True)
    assert here.get("/admin/runs").status_code == 303  # to the login page
    answer = come_back(here, provider)
    assert (answer.status_code, all_rows(here.rt, Login)) == (403, [])
    assert "has no role here" in answer.text


def test_a_session_ends_with_its_provider(make_runtime: MakeRuntime, site: Enter, provider: LoginProvider) -> None:
    here = site(login_role="viewer")
    come_back(here, provider)
    cookie = here.browser.cookies["__Host-broadsheet"]
    for changed, status in (
        (provider.settings(), 200),
        ({}, 401),
        ({**provider.settings(), "oidc_client_id": "b"}, 401),
    ):
        other = Site(make_runtime(admin_password=PASSWORD, **changed))
        other.browser.cookies.set("__Host-broadsheet", cookie)
        assert other.browser.get("/api/v1/runs").status_code == status


def test_new_keys_are_asked_for_when_a_token_names_one_and_the_rest_is_held(
    site: Enter, provider: LoginProvider, keys: tuple[RSAKey, RSAKey]
) -> None:
    here = site(login_role="viewer")
    for _ in range(2):
        assert come_back(here, provider).status_code == 303
    assert provider.asked.count("GET /realms/lab/keys") == 1
    provider.key = keys[1]
    assert come_back(here, provider).status_code == 303
    assert provider.asked.count("GET /realms/lab/keys") == 2


def test_a_client_may_have_its_secret_in_the_form_or_none(site: Enter, provider: LoginProvider) -> None:
    provider.described["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert come_back(site(login_role="viewer"), provider).status_code == 303
    provider.secret = ""
    provider.described.clear()
    assert come_back(site(login_role="viewer", oidc_client_secret=""), provider).status_code == 303


def _stranger(provider: LoginProvider, keys: tuple[RSAKey, RSAKey]) -> None:
    provider.header, provider.signing = {"kid": "one"}, keys[1]


def _unpublished(provider: LoginProvider, keys: tuple[RSAKey, RSAKey]) -> None:
    provider.key, provider.published = keys[1], [keys[0]]


def _by_secret(provider: LoginProvider, keys: tuple[RSAKey, RSAKey]) -> None:
    provider.header, provider.signing = {"alg": "HS256"}, OctKey.import_key(provider.secret * 3)


def _unsigned(provider: LoginProvider, keys: tuple[RSAKey, RSAKey]) -> None:
    provider.header = {"alg": "none"}


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (_stranger, "ID token is not good"),
        (_unpublished, "a key it does not publish"),
        (_by_secret, "ID token is not good"),
        (_unsigned, "ID token is not good"),
        ({"iss": "https://elsewhere.example"}, "ID token is not good"),
        ({"aud": "another"}, "ID token is not good"),
        ({"aud": ["broadsheet", "another"]}, "made for another program"),
        ({"azp": "another"}, "made for another program"),
        ({"nonce": "another"}, "answers another login"),
        ({"nonce": None}, "answers another login"),
        ({"exp": 1_700_000_000}, "ID token is not good"),
        ({"exp": None}, "ID token is not good"),
        ({"sub": None}, "ID token is not good"),
        ({"preferred_username": None}, "BROADSHEET_OIDC_NAME_CLAIM"),
        ({"preferred_username": "admin"}, "whose password is a setting"),
        ({"preferred_username": "../x"}, "a name holds"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_nobody_comes_in_with_a_token_that_is_not_good(
    site: Enter, provider: LoginProvider, keys: tuple[RSAKey, RSAKey], bend: Any, says: str
) -> None:
    here = site(login_role="admin")
    bend(provider, keys) if callable(bend) else provider.claims.update(bend)
    answer = come_back(here, provider)
    assert answer.status_code == 401
    assert says in answer.text
    assert all_rows(here.rt, Login) == []
    assert all_rows(here.rt, Audit)[-1].outcome == "denied"


def test_a_mail_address_names_somebody_once_it_is_verified(site: Enter, provider: LoginProvider) -> None:
    here = site(login_role="viewer", oidc_name_claim="email")
    provider.claims |= {"email": "Ada@Example.org"}
    assert "has not verified" in come_back(here, provider).text
    provider.claims["email_verified"] = True
    come_back(here, provider)
    assert 'title="ada@example.org, viewer"' in here.get("/admin").text


def test_what_comes_back_must_be_what_was_begun_in_this_browser(site: Enter, provider: LoginProvider) -> None:
    here = site(login_role="viewer")
    back = provider.log_in(here.get("/admin/oidc").headers["location"])
    elsewhere = Site(here.rt)
    assert elsewhere.get(back).status_code == 403  # a link somebody else made
    elsewhere.get("/admin/oidc")
    assert elsewhere.get(back).status_code == 403
    assert here.get(back + "x").status_code == 403
    assert here.get("/admin").status_code == 303
    refused = provider.log_in(here.get("/admin/oidc").headers["location"]).replace("code=", "error=access_denied&x=")
    answer = here.get(refused)
    assert (answer.status_code, "access_denied" in answer.text) == (401, True)
    assert all_rows(here.rt, Login) == []


def test_a_code_counts_once_and_tries_are_limited(site: Enter, provider: LoginProvider) -> None:
    here = site(login_role="viewer")
    url = here.get("/admin/oidc").headers["location"]
    kept = here.browser.cookies["broadsheet_errand"]
    back = provider.log_in(url)
    assert here.get(back).status_code == 303
    codes = []
    for _ in range(5):
        here.browser.cookies.set("broadsheet_errand", kept, path="/admin/oidc")
        codes.append(here.get(back).status_code)
    assert codes == [401, 401, 401, 401, 429]


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({"issuer": "https://elsewhere.example"}, "calls itself"),
        ({"token_endpoint": "ftp://x"}, "no token_endpoint"),
        ({"jwks_uri": None}, "no jwks_uri"),
    ],
)
def test_a_provider_that_cannot_be_used_is_told_of_and_passwords_still_work(
    site: Enter, provider: LoginProvider, described: dict[str, Any], says: str
) -> None:
    provider.described |= described
    here = site()
    assert "Log in at 127.0.0.1" in here.get("/admin/login").text
    answer = here.get("/admin/oidc")
    assert (answer.status_code, says in answer.text) == (502, True)
    assert here.login().status_code == 303


def test_without_a_provider_there_is_no_way_to_one(make_runtime: MakeRuntime) -> None:
    here = Site(make_runtime(admin_password=PASSWORD))
    assert "Log in at" not in here.get("/admin/login").text
    assert here.get("/admin/oidc").status_code == 404
    assert here.get("/admin/oidc/callback?code=1&state=1").status_code == 404


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"oidc_issuer": "http://login.example.org", "oidc_client_id": "a"}, "cannot be trusted"),
        ({"oidc_issuer": "https://login.example.org"}, "OIDC_CLIENT_ID"),
        ({"oidc_roles": "ops:operator"}, "gives no role"),
        ({"oidc_scopes": "profile"}, "openid"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(_env_file=None, **settings)
