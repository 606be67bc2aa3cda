"""Logging: events with context, JSON for machines, colour for a terminal, secrets redacted."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"(?i)(pass(word|wd)?|secret|token|authorization|api_?key|cookie)")
_URL_PASSWORD = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^/\s:@]*):[^/\s@]+@", re.IGNORECASE)
# Of an Apprise address everything after the service's name may be a secret.
_APPRISE = re.compile(r"(\bapprise:[a-z][a-z0-9+.-]{0,30}://)[^\s\"'<>]+", re.IGNORECASE)
_WEBHOOK = re.compile(r"(\b(?:webhook|slack):[a-z]{3,8}://[^\s\"'<>/?#]+)[/?#][^\s\"'<>]+", re.IGNORECASE)
_SLACK_HOOK = re.compile(r"(hooks\.slack\.com/services/)[^\s\"'<>]+")
_KEY_NAME = (
    # Where a query or one of its parts begins; an address may itself be the value of a query, percent-encoded.
    r"(?:[?&;]|%(?:25)*(?:3F|26))"
    # What asks for the next page, sorts or looks up is no key.
    r"(?!(?:(?:next|prev(?:ious)?)[_-]?)?(?:resumption|page|next|continuation|cursor|sync)[_-]?token(?:=|%)"
    r"|(?:[\w.-]{0,60}[_.-])?(?:sort|order|group|query|search|filter|db|hot|primary|foreign|partition|row|cache|index"
    r"|next|page)[_-]?key(?:=|%))"
    # Short words end innocent ones (monkey, oauth), so they stand by themselves: after a separator, a hump or a prefix.
    r"(?:(?:(?:[\w.\[\]-]|%(?!(?:25)*(?:3F|26|3D|23))[0-9A-F]{2}){0,60}?(?:[_.\[-]|%(?:25)*(?:5F|2D|2E|5B)"
    r"|(?-i:(?<=[a-z0-9])(?=[A-Z]))|api|app|access|auth|secret|private|user|feed|rss|account|client|licen[cs]e"
    r"|subscription|session|master|service|consumer|dev|developer|signing|pass))?(?:key|auth|sig)"
    r"|(?:[\w.\[\]-]|%(?!(?:25)*(?:3F|26|3D|23))[0-9A-F]{2}){0,60}?"
    r"(?:token|secret|password|passwd|pwd|signature|credentials?))(?:\]|%(?:25)*5D)?"
)
# The same as in `services.domain.urls`, which may not know this package; a test holds them together.
_QUERY_KEY = re.compile(
    rf"({_KEY_NAME})(?:(=)[^&#\s\"'<>]+|(%(?:25)*3D)(?:(?!%(?:25)*26)[^&#\s\"'<>])+)", re.IGNORECASE
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without passwords and keys in addresses, the paths of Slack's and others' webhooks, and the given secret
    values."""
    text = _URL_PASSWORD.sub(r"\g<scheme>\g<user>:***@", text)
    text = _APPRISE.sub(r"\1***", text)
    text = _WEBHOOK.sub(r"\1/***", text)
    text = _SLACK_HOOK.sub(r"\1***", text)
    text = _QUERY_KEY.sub(r"\1\2\3***", text)
    for secret in secrets:
        if len(secret) >= 6:  # shorter ones would blot out ordinary words
            text = text.replace(secret, "***")
    return text


def _redactor(secrets: tuple[str, ...]) -> structlog.typing.Processor:
    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return redact(value, secrets)
        if isinstance(value, dict):
            return {k: "***" if _SECRET_KEYS.search(str(k)) else clean(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(item) for item in value]
        return value

    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = "***" if _SECRET_KEYS.fullmatch(key) else clean(value)
        return event

    return processor


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No text of others forges a line or commands the terminal: breaks and controls are written as escapes.

    Tracebacks are of several lines by nature; in them only the controls go.
    """

    def escaped(text: str) -> str:
        return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)

    for key, value in event.items():
        if key in {"exception", "stack"} and isinstance(value, str):
            event[key] = escaped(value)
        elif isinstance(value, str) and not value.isprintable():
            event[key] = escaped(value).replace("\n", "\\n")
    return event


def configure_logging(
    *, level: str = "info", style: str = "auto", secrets: Iterable[str] = (), stream: Any = None
) -> None:
    """Send structlog and the standard library's loggers to `stream` (stderr) in one form.

    `style` is `json`, `console` or `auto`; `secrets` are values that must never be printed.
    """
    stream = stream if stream is not None else sys.stderr
    as_json = style == "json" or (style == "auto" and not stream.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    finish: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _redactor(tuple(secrets)),
        *(() if as_json else (_one_line,)),
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty()),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=finish))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "kombu", "amqp", "alembic.runtime", "celery.bootsteps", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
