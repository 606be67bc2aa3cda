"""A login provider on loopback: OpenID Connect over real HTTP, ID tokens signed with keys of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.fakes import Clock
from workers.demo.exchange import Answer, Ask, json_answer
from workers.demo.faults import Trouble
from workers.demo.server import LoopbackServer


def make_key(name: str) -> RSAKey:
    """A key pair of the provider's."""
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return RSAKey.import_key(pem, {"kid": name, "use": "sig", "alg": "RS256"})


@dataclass
class LoginProvider:
    """Vouches for `claims`; what it says of itself and what it signs can be bent."""

    clock: Clock
    key: RSAKey
    secret: str = "what we share"
    client_id: str = "broadsheet"
    claims: dict[str, Any] = field(default_factory=lambda: {"preferred_username": "ada"})
    described: dict[str, Any] = field(default_factory=dict)
    """What the description says otherwise than it should."""
    published: list[RSAKey] = field(default_factory=list)
    """Its keys for all to see; `key` alone when empty."""
    header: dict[str, Any] = field(default_factory=dict)
    signing: Any = None
    """What signs instead of `key`."""
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = LoopbackServer(0, self._handle, lambda _: Trouble(), lambda *_: None)
        self._server.start()
        self.issuer = f"http://127.0.0.1:{self._server.port}/realms/lab"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def settings(self) -> dict[str, str]:
        """What an installation sets to send people here."""
        return {"oidc_issuer": self.issuer, "oidc_client_id": self.client_id, "oidc_client_secret": self.secret}

    def log_in(self, url: str) -> str:
        """A person logs in at the address they were sent to: the path they come back to."""
        query = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
        assert query["response_type"] == "code"
        assert query["client_id"] == self.client_id
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self._codes[code] = query
        back = urlsplit(query["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': query['state']})}"

    # -- answering ---------------------------------------------------------------------------------------------

    def _handle(self, ask: Ask) -> Answer:
        self.asked.append(f"{ask.method} {ask.path}")
        match ask.path.removeprefix("/realms/lab"):
            case "/.well-known/openid-configuration":
                return json_answer(
                    {
                        "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                        "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys", **self.described,
                    }
                )  # fmt: skip
            case "/keys":
                keys = [key.as_dict(private=False) for key in self.published or [self.key]]
                return json_answer({"keys": [*keys, {"kty": "AKP", "kid": "of a kind nobody knows"}]})
            case "/token":
                return self._token(ask.headers, {k: v[0] for k, v in parse_qs(ask.body.decode()).items()})
        return Answer(status=404)

    def _token(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Answer:
        query = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if query is None or challenge.rstrip(b"=").decode() != query["code_challenge"]:
            return json_answer({"error": "invalid_grant"}, 400)
        if form["redirect_uri"] != query["redirect_uri"] or self.secret not in (
            form.get("client_secret"),
            _of(headers),
        ):
            return json_answer({"error": "invalid_client"}, 401)
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.issuer, "sub": "248289761001", "aud": self.client_id, "iat": now, "exp": now + 300,
            "nonce": query["nonce"], **self.claims,
        }  # fmt: skip
        header = {"alg": "RS256", "kid": self.key.kid, **self.header}
        claims = {name: value for name, value in claims.items() if value is not None}
        if header["alg"] == "none":
            parts = (
                base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
            )
            token = f"{'.'.join(parts)}."
        else:
            token = jwt.encode(header, claims, self.signing or self.key, algorithms=["RS256", "HS256"])
        return json_answer({"access_token": "x", "token_type": "Bearer", "id_token": token})


def _of(headers: Mapping[str, str]) -> str:
    """The secret a client sends by basic authentication."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return unquote(base64.b64decode(value).decode().partition(":")[2]) if scheme == "Basic" else ""
