"""Where the demonstration may send digests: a Slack incoming webhook and a plain one, both recording."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.demo.exchange import Answer, Ask, text_answer

SLACK_PATH = "/slack/services/T000/B000/xyz"
MAX_BLOCKS = 50


@dataclass(frozen=True, slots=True)
class Posted:
    """One body that the plain webhook took."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Sinks:
    """What was received, in order."""

    slack: list[dict[str, Any]] = field(default_factory=list)
    webhook: list[Posted] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer_slack(self, ask: Ask) -> Answer:
        """Slack's answers are bare words; a wrong address is refused for good."""
        if f"/slack{ask.path}" != SLACK_PATH:
            return text_answer("no_service", 404)
        try:
            payload = json.loads(ask.body)
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            return text_answer("invalid_payload", 400)
        blocks = payload.get("blocks", [])
        if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
            return text_answer("invalid_blocks", 400)
        if not payload.get("text") and not blocks:
            return text_answer("no_text", 400)
        with self._lock:
            self.slack.append(payload)
        return text_answer("ok")

    def answer_webhook(self, ask: Ask) -> Answer:
        """Anything is taken."""
        with self._lock:
            self.webhook.append(Posted(dict(ask.headers), ask.body))
        return text_answer("ok")
