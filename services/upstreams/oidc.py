"""OpenID Connect: a provider at which people log in. Authorization Code with PKCE (RFC 7636), ID tokens checked by the
provider's own keys (OpenID Connect Core 1.0, 3.1.3.7).

Only asymmetric signatures count: with `HS256` whoever knows the client's secret could make anybody a person of ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from services.domain.errors import MalformedDocument, UpstreamRejected
from services.upstreams.json_values import as_list, read_json

if TYPE_CHECKING:
    from joserfc.jwk import KeySet  # 10 MB with its cryptography: loaded by the first login at a provider

WHO = "the login provider"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY = timedelta(minutes=1)
"""How far a provider's clock may be from ours."""


class UnknownKey(UpstreamRejected):
    """The token names a key that is not among those held: the provider may have made new ones."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider answers what."""

    issuer: str
    authorization_url: str
    token_url: str
    keys_url: str
    secret_in_body: bool
    """It takes a client's secret in the form only, not by basic authentication."""


@dataclass(frozen=True, slots=True)
class Client:
    """What we are to a provider. Without a secret, PKCE alone shows that who asked is who comes back."""

    id: str
    secret: str
    redirect_url: str


@dataclass(frozen=True, slots=True)
class Errand:
    """What one login must bring back."""

    state: str
    nonce: str
    verifier: str


def discovery_url(issuer: str) -> str:
    """Where a provider describes itself."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def parse_discovery(body: bytes, issuer: str) -> Provider:
    """The description. Raises `MalformedDocument` for what is none, `UpstreamRejected` for somebody else's, or for
    endpoints that are less well guarded than the issuer."""
    data = read_json(body, who=WHO)
    said = data.get("issuer")
    if not isinstance(said, str) or said.rstrip("/") != issuer.rstrip("/"):
        raise UpstreamRejected(f"{WHO} calls itself {str(said)[:200]!r}, not {issuer!r}: set BROADSHEET_OIDC_ISSUER so")
    secure = issuer.startswith("https://")
    urls: list[str] = []
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        url = data.get(name)
        if not isinstance(url, str) or urlsplit(url).scheme not in ({"https"} if secure else {"http", "https"}):
            raise MalformedDocument(f"{WHO}'s description has no {name} that can be used")
        urls.append(url)
    methods = as_list(data.get("token_endpoint_auth_methods_supported")) or ["client_secret_basic"]
    authorize, token, keys = urls
    return Provider(said, authorize, token, keys, secret_in_body="client_secret_basic" not in methods)


def authorization_url(provider: Provider, client: Client, errand: Errand, *, scopes: str) -> str:
    """Where the person's browser is sent."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(errand.verifier.encode()).digest()).rstrip(b"=").decode()
    query = urlencode(
        {
            "response_type": "code", "client_id": client.id, "redirect_uri": client.redirect_url, "scope": scopes,
            "state": errand.state, "nonce": errand.nonce, "code_challenge": challenge, "code_challenge_method": "S256",
        }
    )  # fmt: skip
    return f"{provider.authorization_url}{'&' if '?' in provider.authorization_url else '?'}{query}"


def token_request(provider: Provider, client: Client, errand: Errand, code: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the POST that changes a code into tokens."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_url,
        "client_id": client.id, "code_verifier": errand.verifier,
    }  # fmt: skip
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if client.secret and provider.secret_in_body:
        form["client_secret"] = client.secret
    elif client.secret:
        # RFC 6749, 2.3.1: both are form-encoded before they are joined.
        pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return urlencode(form).encode(), headers


def parse_token(body: bytes) -> str:
    """The ID token of an answer to that POST."""
    token = read_json(body, who=WHO).get("id_token")
    if not isinstance(token, str) or not token:
        raise MalformedDocument(f"{WHO}'s answer holds no ID token: the scope `openid` must be among those asked for")
    return token


def parse_keys(body: bytes) -> KeySet:
    """A provider's public keys; kinds we cannot use are left out."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    data = read_json(body, who=WHO)
    keys = [
        key for key in as_list(data.get("keys")) if isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"}
    ]
    try:
        return KeySet.import_key_set({"keys": keys})
    except (JoseError, ValueError, TypeError) as error:
        raise MalformedDocument(f"{WHO}'s keys cannot be read: {error}") from error


def read_claims(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """What an ID token says, once its signature, issuer, audience, nonce and times are found right.

    Raises `UnknownKey` where its key is not among `keys`, `UpstreamRejected` for a token that is not good.
    """
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError, JoseError

    checks = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()), leeway=int(LEEWAY.total_seconds()),
        iss={"essential": True, "value": issuer}, aud={"essential": True, "value": client_id},
        exp={"essential": True}, iat={"essential": True}, sub={"essential": True},
    )  # fmt: skip
    try:
        claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        checks.validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey(f"{WHO}'s ID token is signed with a key it does not publish") from error
    except (JoseError, ValueError, TypeError) as error:
        raise UpstreamRejected(f"{WHO}'s ID token is not good: {error}") from error
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != client_id:
        raise UpstreamRejected(f"{WHO}'s ID token was made for another program")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise UpstreamRejected(f"{WHO}'s ID token answers another login")
    return dict(claims)
