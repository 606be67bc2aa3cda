"""DKIM: a mail signed for its sender's domain (RFC 6376), so that mail services believe whom it is from.

RSA (rsa-sha256) and Ed25519 keys (RFC 8463); a mail signed with both is believed by services old and new. The same
mail gives the same signature: its time is the mail's own date, and both algorithms are without chance.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from services.domain.errors import InvalidInput
from services.domain.text import ascii_host

if TYPE_CHECKING:
    # 9 MB: loaded where there is a key.
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

SIGNED = (
    "from", "to", "cc", "reply-to", "subject", "date", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "list-id", "list-unsubscribe", "list-unsubscribe-post", "auto-submitted",
)  # fmt: skip
"""Headers under the signature where a mail has them. RFC 8058 wants both List-Unsubscribe ones there."""

OVERSIGNED = frozenset(
    {"from", "to", "cc", "reply-to", "subject", "date", "content-type", "list-unsubscribe", "list-unsubscribe-post"}
)
"""Named once more than the mail has them: one added on the way breaks the signature."""

LEAST_RSA_BITS = 1024
"""RFC 8301: shorter keys are worth nothing to those who verify."""

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SPACES = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Signature:
    """One key and the name it is published by: `selector._domainkey.domain`."""

    domain: str
    selector: str
    key: Key = field(repr=False)

    @property
    def algorithm(self) -> str:
        """As in the `a=` tag."""
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return "ed25519-sha256" if isinstance(self.key, ed25519.Ed25519PrivateKey) else "rsa-sha256"

    @property
    def record_name(self) -> str:
        """The name of the TXT record that has to hold `record`."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """What to publish: `v=DKIM1; k=rsa; p=…`."""
        from cryptography.hazmat.primitives.asymmetric import ed25519
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self.key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return f"v=DKIM1; k=ed25519; p={b64encode(raw).decode()}"
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(der).decode()}"

    def _sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(sha256(data).digest())  # RFC 8463: of the hash, not of the text
        return self.key.sign(data, padding.PKCS1v15(), SHA256())


def load_signatures(domain: str, selectors: str, keys: str) -> tuple[Signature, ...]:
    """The signatures of a domain: `keys` holds one or more private keys in PEM (`\\n` may stand for line ends),
    `selectors` as many names, by comma, in the same order.

    Raises `InvalidInput`, never with a part of a key in it.
    """
    host = ascii_host(domain.strip())
    if host is None or "." not in host:
        raise InvalidInput(f"DKIM: {domain[:80]!r} is no domain; set BROADSHEET_DKIM_DOMAIN, such as example.org")
    names = [name.strip() for name in selectors.split(",") if name.strip()]
    blocks = [found[0] for found in _PEM.finditer(keys.replace("\\n", "\n"))]
    if not blocks:
        raise InvalidInput("DKIM: there is no private key in PEM form (-----BEGIN PRIVATE KEY-----) in what was given")
    if len(names) != len(blocks):
        raise InvalidInput(
            f"DKIM: {len(blocks)} private keys need as many selectors in BROADSHEET_DKIM_SELECTOR, not {len(names)}"
        )
    for name in names:
        if not _SELECTOR.fullmatch(name):
            raise InvalidInput(f"DKIM: {name[:60]!r} is no selector: letters, digits, - and . such as news2026")
    return tuple(Signature(host, name, _load(block, name)) for name, block in zip(names, blocks, strict=True))


def _load(pem: str, selector: str) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode("ascii", "replace"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own words may say more of the key than a log should hold.
        raise InvalidInput(f"DKIM: the key of {selector} cannot be read; it has to be an unencrypted PEM") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidInput(f"DKIM: the key of {selector} is neither RSA nor Ed25519")
    if key.key_size < LEAST_RSA_BITS:
        raise InvalidInput(f"DKIM: the key of {selector} has {key.key_size} bits; make one of 2048")
    return key


def sign(mail: bytes, signatures: Sequence[Signature], *, at: datetime) -> bytes:
    """`mail` (CRLF line ends) with a DKIM-Signature for each of `signatures` before it, made `at` that moment."""
    if not signatures:
        return mail
    head, _, body = mail.partition(b"\r\n\r\n")
    fields = _fields(head)
    body_hash = b64encode(sha256(_relaxed_body(body)).digest()).decode()
    names = _signed_names(fields)
    made = [_field(signature, fields, names, body_hash, int(at.timestamp())) for signature in signatures]
    return b"".join(made) + mail


def _field(signature: Signature, fields: list[tuple[str, bytes]], names: list[str], body_hash: str, at: int) -> bytes:
    tags = [
        "v=1", f"a={signature.algorithm}", "c=relaxed/relaxed", f"d={signature.domain}", f"s={signature.selector}",
        f"t={at}", "h=" + "\r\n\t:".join(_in_lines(names)), f"bh={body_hash}",
    ]  # fmt: skip
    unsigned = b"DKIM-Signature: " + ";\r\n\t".join(tags).encode("ascii") + b";\r\n\tb="
    # The signature covers its own header as it is without the value of `b=`, and without its line end.
    covered = b"".join(_relaxed(field) + b"\r\n" for field in _chosen(fields, names)) + _relaxed(unsigned)
    value = b64encode(signature._sign(covered)).decode()
    return unsigned + "\r\n\t".join(value[i : i + 72] for i in range(0, len(value), 72)).encode("ascii") + b"\r\n"


def _fields(head: bytes) -> list[tuple[str, bytes]]:
    """Header fields in order: name in lower case, and the field as it stands, folds and all."""
    raw = re.split(rb"\r\n(?![ \t])", head)
    return [(one.partition(b":")[0].strip().decode("ascii", "replace").lower(), one) for one in raw if one]


def _signed_names(fields: list[tuple[str, bytes]]) -> list[str]:
    present = [name for name, _ in fields]
    return [name for name in SIGNED for _ in range(present.count(name) + (name in OVERSIGNED))]


def _chosen(fields: list[tuple[str, bytes]], names: list[str]) -> list[bytes]:
    """The fields `names` stand for: of several the last first, and nothing for a name beyond those there are."""
    left: dict[str, list[bytes]] = {}
    for name, raw in fields:
        left.setdefault(name, []).append(raw)
    return [left[name].pop() for name in names if left.get(name)]


def _in_lines(names: list[str]) -> list[str]:
    """Names joined by colons, in lines of a handful."""
    return [":".join(names[i : i + 6]) for i in range(0, len(names), 6)]


def _relaxed(raw: bytes) -> bytes:
    name, _, value = raw.partition(b":")
    return name.strip().lower() + b":" + _SPACES.sub(b" ", value.replace(b"\r\n", b"")).strip()


def _relaxed_body(body: bytes) -> bytes:
    lines = [_SPACES.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"\r\n".join(lines) + b"\r\n" if lines else b""
