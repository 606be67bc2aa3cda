"""Logging: events with context, JSON for machines, colour for a terminal, secrets redacted."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"(?i)(pass(word|wd)?|secret|token|authorization|api_?key|cookie)")
_URL_PASSWORD = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^/\s:@]*):[^/\s@]+@", re.IGNORECASE)
_SLACK_HOOK = re.compile(r"(hooks\.slack\.com/services/)[^\s\"'<>]+")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without passwords in addresses, Slack hook paths and the given secret values."""
    text = _URL_PASSWORD.sub(r"\g<scheme>\g<user>:***@", text)
    text = _SLACK_HOOK.sub(r"\1***", text)
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
