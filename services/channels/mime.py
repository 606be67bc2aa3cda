"""A message as the bytes of one mail to one person.

The same message gives the same bytes (the boundary comes from the Message-ID), so that a repeated attempt is
the same mail to every server on the way.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import b2a_qp
from email.headerregistry import Address
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime, getaddresses
from functools import lru_cache
from hashlib import sha256

from services.domain.addresses import valid_email
from services.domain.errors import DeliveryRefused, InvalidInput
from services.domain.messages import Message

# Kept on one line: folding inside them broke signatures on some servers, and Python would rather encode a
# long URL or identifier than leave its line long.
_ONE_LINE = frozenset({"message-id", "list-id", "list-unsubscribe", "list-unsubscribe-post", "to", "from", "date"})
_MAX_LINE = 990
_USUAL_LINE = 76
"""Of a name and its value; a colon, a blank and the line end come to it."""
# A message says these itself; an extra header may not replace them or add a recipient.
_OURS = frozenset(
    {
        "from", "to", "cc", "bcc", "sender", "reply-to", "return-path", "subject", "date", "message-id",
        "list-id", "mime-version", "received",
    }
)  # fmt: skip
_OUR_PREFIXES = ("content-", "resent-")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+")
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})
_ENCODED_WORD = re.compile(r"=\?(?=.*\?)")
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")


class _MailPolicy(EmailPolicy):
    """EmailPolicy that leaves the structured headers of `_ONE_LINE` unfolded where they fit SMTP's line."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() in _ONE_LINE and value.isascii() and len(value) < _MAX_LINE:
            return f"{name}: {value}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


_POLICY = _MailPolicy(linesep=SMTP.linesep, raise_on_defect=False, cte_type="7bit")


def build_mime(message: Message, mail_from: str, to: str) -> bytes:
    """The mail: text and HTML alternatives, `\\r\\n` line ends, every line below 998 bytes.

    `mail_from` is `Name <address>` or an address, `to` one plain address. Raises DeliveryRefused when `to`
    or the Message-ID cannot stand in a header.
    """
    if not valid_email(to):
        raise DeliveryRefused(f"{to[:80]!r} is not one plain mail address.")
    if not _MESSAGE_ID.fullmatch(message.message_id) or len(message.message_id) > 250:
        raise DeliveryRefused(f"{message.message_id[:80]!r} is no Message-ID.")
    fields = [
        ("From", str(sender(mail_from))),
        ("To", to),
        ("Subject", _header_text(message.subject, 400)),
        ("Date", format_datetime(message.date)),
        ("Message-ID", message.message_id),
    ]
    list_id = _header_text(message.list_id, 200)
    if list_id:
        fields.append(("List-Id", list_id))
    for name, value in message.headers.items():
        ours = name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES)
        if _HEADER_NAME.fullmatch(name) and not ours:
            fields.append((name, _header_text(value, 900)))
    head = b"".join(_field(name, value) for name, value in fields) + b"MIME-Version: 1.0\r\n"
    text = _part("plain", message.text)
    if message.html is None:
        return head + text
    boundary = b"=_" + sha256(message.message_id.encode()).hexdigest()[:32].encode()
    kind = b'Content-Type: multipart/alternative;\r\n boundary="' + boundary + b'"\r\n\r\n'
    before = b"--" + boundary + b"\r\n"
    return (
        head + kind + before + text + b"\r\n" + before + _part("html", message.html) + b"\r\n--" + boundary + b"--\r\n"
    )


@lru_cache(maxsize=64)
def _field(name: str, value: str) -> bytes:
    """A header field with its line end. Most are one plain line; the others are folded and encoded by the library."""
    plain = value.isascii() and value
    if plain and (len(name) + len(value) <= _USUAL_LINE or (name.lower() in _ONE_LINE and len(value) < _MAX_LINE)):
        return f"{name}: {value}\r\n".encode("ascii")
    return _POLICY.fold_binary(name, _POLICY.header_store_parse(name, value)[1])


def _part(kind: str, text: str) -> bytes:
    """A text with its own header, as quoted-printable; its last line has an end."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    body = b2a_qp((lines if lines.endswith("\r\n") else f"{lines}\r\n").encode())
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    return head.encode("ascii") + body


def one_line(value: str, limit: int) -> str:
    """`value` as one header line: breaks become spaces, invisible characters go."""
    flat = _BREAKS.sub(" ", value[: limit * 4])
    if not (flat.isascii() and flat.isprintable()):
        flat = "".join(c for c in flat if unicodedata.category(c) not in _HIDDEN)
    return flat.strip()[:limit]


def _header_text(value: str, limit: int) -> str:
    # The library reads `=?utf-8?q?=0D=0A?=` in a value as encoded text, and then writes the line break out.
    return _ENCODED_WORD.sub("= ?", one_line(value, limit))


@lru_cache(maxsize=8)
def sender(mail_from: str) -> Address:
    """`Name <address>` or an address as a header's Address; raises InvalidInput when it is neither."""
    named = getaddresses([_header_text(mail_from, 400)])
    if len(named) != 1 or not valid_email(named[0][1]):
        raise InvalidInput(f"{mail_from[:80]!r} cannot be a sender; use Name <address@domain> or an address.")
    return Address(display_name=named[0][0], addr_spec=named[0][1])
