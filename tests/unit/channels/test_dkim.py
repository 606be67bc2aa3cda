"""Signatures are verified here from the text of RFC 6376 and RFC 8463, with nothing of what made them."""

from __future__ import annotations

import base64
import hashlib
import re
from email import message_from_bytes
from pathlib import Path

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from config.settings import Settings
from services.channels.dkim import OVERSIGNED, Signature, load_signatures, sign
from services.channels.mime import build_mime
from services.domain.errors import InvalidInput
from services.runtime import dkim_signatures

from .samples import FROM, MESSAGE, NOW, TO


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


RSA_PEM = pem(rsa.generate_private_key(65537, 2048))
ED_PEM = pem(ed25519.Ed25519PrivateKey.generate())
BOTH = load_signatures("papers.example.org", "rsa1,ed1", RSA_PEM + ED_PEM)
MAIL = build_mime(MESSAGE, FROM, TO)


# -- a verifier ------------------------------------------------------------------------------------------------


def split(mail: bytes) -> tuple[list[bytes], bytes]:
    head, body = mail.split(b"\r\n\r\n", 1)
    fields: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    return fields, body


def tags_of(field: bytes) -> dict[str, str]:
    value = field.split(b":", 1)[1].replace(b"\r\n", b"").decode()
    pairs = (piece.split("=", 1) for piece in value.split(";") if piece.strip())
    return {name.strip(): re.sub(r"\s+", "", text) for name, text in pairs}


def relaxed(field: bytes) -> bytes:
    name, value = field.split(b":", 1)
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", value)
    return name.lower().rstrip(b" \t") + b":" + re.sub(rb"[ \t]+", b" ", unfolded).strip(b" \t")


def verify(mail: bytes, records: dict[str, str]) -> list[str]:
    """The algorithms by which the mail verifies; raises for the first signature that does not."""
    fields, body = split(mail)
    found = []
    for field in [one for one in fields if one.lower().startswith(b"dkim-signature:")]:
        tags = tags_of(field)
        assert (tags["v"], tags["c"]) == ("1", "relaxed/relaxed")
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
        canonical = re.sub(rb"(\r\n)*\Z", b"", b"\r\n".join(lines)) + b"\r\n"
        if base64.b64decode(tags["bh"]) != hashlib.sha256(canonical).digest():
            raise InvalidSignature("body")
        unused = list(fields)
        covered = b""
        for name in tags["h"].split(":"):
            for one in reversed(unused):
                if one.split(b":", 1)[0].strip().lower() == name.encode():
                    covered += relaxed(one) + b"\r\n"
                    unused.remove(one)
                    break
        covered += relaxed(re.sub(rb"([;:\s]b\s*=)[^;]*", rb"\1", field))
        record = dict(part.strip().split("=", 1) for part in records[f"{tags['s']}._domainkey.{tags['d']}"].split(";"))
        key, value = base64.b64decode(record["p"]), base64.b64decode(tags["b"])
        if tags["a"] == "ed25519-sha256":
            assert record["k"] == "ed25519"
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(value, hashlib.sha256(covered).digest())
        else:
            public = load_der_public_key(key)
            assert isinstance(public, rsa.RSAPublicKey)
            public.verify(value, covered, padding.PKCS1v15(), hashes.SHA256())
        found.append(tags["a"])
    return found


RECORDS = {one.record_name: one.record for one in BOTH}


# -- tests -----------------------------------------------------------------------------------------------------


def test_both_signatures_verify() -> None:
    assert verify(sign(MAIL, BOTH, at=NOW), RECORDS) == ["rsa-sha256", "ed25519-sha256"]


def test_another_implementation_agrees() -> None:
    def record(name: bytes, **_: object) -> bytes:
        return RECORDS[name.decode().rstrip(".")].encode()

    assert dkim.verify(sign(MAIL, BOTH[:1], at=NOW), dnsfunc=record)


def test_the_mail_itself_is_unchanged_and_the_same_mail_is_signed_the_same() -> None:
    signed = sign(MAIL, BOTH, at=NOW)
    assert signed.endswith(MAIL)
    assert sign(MAIL, BOTH, at=NOW) == signed
    assert sign(MAIL, (), at=NOW) == MAIL
    assert max(len(line) for line in signed[: -len(MAIL)].split(b"\r\n")) <= 400


def test_what_one_click_unsubscribing_needs_is_under_the_signature() -> None:
    (field,) = [one for one in split(sign(MAIL, BOTH[:1], at=NOW))[0] if one.startswith(b"DKIM-Signature")]
    names = tags_of(field)["h"].split(":")
    assert {"list-unsubscribe", "list-unsubscribe-post", "from", "message-id", "date", "subject"} <= set(names)
    assert names.count("from") == 2
    assert tags_of(field)["t"] == str(int(NOW.timestamp()))


@pytest.mark.parametrize("name", sorted(OVERSIGNED))
def test_a_header_added_on_the_way_is_noticed(name: str) -> None:
    signed = sign(MAIL, BOTH[:1], at=NOW)
    with pytest.raises(InvalidSignature):
        verify(name.encode() + b": <https://elsewhere.example/>\r\n" + signed, RECORDS)
    head, body = signed.split(b"\r\n\r\n", 1)
    with pytest.raises(InvalidSignature):
        verify(head + b"\r\n" + name.encode() + b": <https://elsewhere.example/>\r\n\r\n" + body, RECORDS)


@pytest.mark.parametrize(
    ("what", "instead"),
    [(b"naive", b"naiv3"), (b"One-Click", b"Two-Click"), (b"ada@example.org", b"bob@example.org"), (b"One", b"0ne")],
)
def test_a_change_is_noticed(what: bytes, instead: bytes) -> None:
    signed = sign(MAIL.replace(b"na=C3=AFve", b"naive"), BOTH, at=NOW)
    assert verify(signed, RECORDS)
    with pytest.raises(InvalidSignature):
        verify(signed.replace(what, instead), RECORDS)


def test_what_relays_do_to_spaces_and_folds_is_no_change() -> None:
    signed = sign(MAIL, BOTH, at=NOW).replace(b"Subject: ", b"subject:   ").replace(b"=One-Click", b"=One-Click \t")
    assert len(verify(signed + b"\r\n\r\n", RECORDS)) == 2


def test_an_empty_body_is_signed_as_rfc_6376_says() -> None:
    signed = sign(b"From: a@papers.example.org\r\nTo: b@example.org\r\n\r\n", BOTH[:1], at=NOW)
    (field,) = [one for one in split(signed)[0] if one.startswith(b"DKIM-Signature")]
    assert tags_of(field)["bh"] == base64.b64encode(hashlib.sha256(b"").digest()).decode()


def test_the_signature_stands_in_one_readable_header() -> None:
    mail = message_from_bytes(sign(MAIL, BOTH, at=NOW))
    assert len(mail.get_all("DKIM-Signature", [])) == 2
    assert mail["Message-ID"] == MESSAGE.message_id


@pytest.mark.parametrize(
    ("domain", "selectors", "keys", "says"),
    [
        ("papers.example.org", "a", "", "no private key"),
        ("papers.example.org", "a,b", RSA_PEM, "as many selectors"),
        ("papers.example.org", "", RSA_PEM, "as many selectors"),
        ("localhost", "a", RSA_PEM, "no domain"),
        ("papers.example.org", "a b", RSA_PEM, "no selector"),
        ("papers.example.org", "a\r\nX-Evil: 1", RSA_PEM, "no selector"),
        ("papers.example.org", "a", RSA_PEM.replace("\nM", "\n*", 1), "cannot be read"),
        ("papers.example.org", "a", pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
    ],
)
def test_keys_that_cannot_sign_are_told_without_showing_them(domain: str, selectors: str, keys: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        load_signatures(domain, selectors, keys)
    assert not any(line in str(caught.value) for line in keys.split("\n")[1:-2])


def test_settings_name_files_or_hold_the_key(tmp_path: Path) -> None:
    for name, text in (("rsa.pem", RSA_PEM), ("ed.pem", ED_PEM)):
        (tmp_path / name).write_text(text)
    files = f"{tmp_path / 'rsa.pem'}, {tmp_path / 'ed.pem'}"
    two = dkim_signatures(Settings(mail_from="Papers <p@example.org>", dkim_selector="x, y", dkim_key_file=files))
    assert [(one.domain, one.selector, one.algorithm) for one in two] == [
        ("example.org", "x", "rsa-sha256"), ("example.org", "y", "ed25519-sha256"),
    ]  # fmt: skip
    flat = ED_PEM.replace("\n", "\\n")
    (one,) = dkim_signatures(Settings(dkim_domain="other.example", dkim_selector="z", dkim_key=flat))
    assert isinstance(one, Signature)
    assert one.record_name == "z._domainkey.other.example"
    assert dkim_signatures(Settings()) == ()
    with pytest.raises(InvalidInput, match="no selector"):
        dkim_signatures(Settings(dkim_key=flat))
    with pytest.raises(InvalidInput, match="cannot be read"):
        dkim_signatures(Settings(dkim_selector="z", dkim_key_file=str(tmp_path / "none.pem")))
