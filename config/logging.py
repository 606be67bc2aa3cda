"""Logging: events with context, JSON for machines, colour for a terminal, secrets redacted."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"(?i)(pass(word|wd)?|secret|token|authorization|api_?key|cookie)")

Redact = Callable[[str, Iterable[str]], str]
"""A text without secrets, those that are given among them."""


def _redactor(redact: Redact, secrets: tuple[str, ...]) -> structlog.typing.Processor:
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
    *, redact: Redact, level: str = "info", style: str = "auto", secrets: Iterable[str] = (), stream: Any = None
) -> None:
    """Send structlog and the standard library's loggers to `stream` (stderr) in one form.

    `style` is `json`, `console` or `auto`; `redact` goes over all that is written, `secrets` are values that must never
    be printed.
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
        _redactor(redact, tuple(secrets)),
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
