"""Sign-on: people log in at a provider of the operator's own (OpenID Connect); what it says makes them users here."""

from __future__ import annotations

import secrets
import threading
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.domain.errors import InvalidInput
from services.domain.users import ADMIN, checked_name, claimed, highest_role
from services.runtime import Runtime
from services.upstreams.oidc import (
    Client,
    Errand,
    Provider,
    UnknownKey,
    authorization_url,
    discovery_url,
    parse_discovery,
    parse_keys,
    parse_token,
    read_claims,
    token_request,
)

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

CALLBACK = "/admin/oidc/callback"
"""Where the provider sends people back to; it has to be registered there."""

KEPT = timedelta(hours=1)
"""How long a provider's description and keys are held."""


class SignOn:
    """The provider that is set, if one is. One a web process: it holds its description and keys."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        s = rt.settings
        self.on = bool(s.oidc_issuer)
        self.host = urlsplit(s.oidc_issuer).hostname or ""
        """How the login page names it."""
        self._client = Client(s.oidc_client_id, s.oidc_client_secret.get_secret_value(), rt.url(CALLBACK))
        self._lock = threading.Lock()
        self._known: tuple[datetime, Provider, KeySet] | None = None

    def begin(self) -> tuple[str, Errand]:
        """Where to send somebody who wants to log in, and what must come back with them. Raises `UpstreamError`."""
        errand = Errand(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        provider, _ = self._provider()
        return authorization_url(provider, self._client, errand, scopes=self._rt.settings.oidc_scopes), errand

    def finish(self, errand: Errand, code: str) -> tuple[str, str]:
        """(name, role the provider gives, or empty) of who came back with a code.

        Raises `UpstreamError` for a provider that fails or does not vouch, `InvalidInput` for a person whose name
        cannot be used.
        """
        provider, keys = self._provider()
        body, headers = token_request(provider, self._client, errand, code)
        token = parse_token(self._rt.http.post(provider.token_url, content=body, headers=headers).body)
        s = self._rt.settings
        read = partial(read_claims, token, client_id=s.oidc_client_id, nonce=errand.nonce, now=self._rt.now())
        try:
            claims = read(keys, issuer=provider.issuer)
        except UnknownKey:  # it signs with a new one
            provider, keys = self._provider(fresh=True)
            claims = read(keys, issuer=provider.issuer)
        names = claimed(claims, s.oidc_name_claim)
        if not names:
            raise InvalidInput(f"the provider names nobody: its ID token has no {s.oidc_name_claim!r}; "
                               "set BROADSHEET_OIDC_NAME_CLAIM to one it has")  # fmt: skip
        if s.oidc_name_claim == "email" and claims.get("email_verified") is not True:
            raise InvalidInput("the provider has not verified this mail address, so it names nobody")
        name = checked_name(names[0])
        if name == ADMIN:
            raise InvalidInput(f"the name {ADMIN} belongs to the account whose password is a setting")
        return name, highest_role(claimed(claims, s.oidc_role_claim), s.role_of_claim)

    def _provider(self, *, fresh: bool = False) -> tuple[Provider, KeySet]:
        """Its description and keys, read again after an hour."""
        now = self._rt.now()
        with self._lock:
            if self._known is None or fresh or now - self._known[0] >= KEPT:
                issuer = self._rt.settings.oidc_issuer
                provider = parse_discovery(self._rt.http.get(discovery_url(issuer)).body, issuer)
                self._known = (now, provider, parse_keys(self._rt.http.get(provider.keys_url).body))
            return self._known[1], self._known[2]
