"""Slack's Web API as far as digests need it: `chat.postMessage` with threads, and `reactions.get`."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from workers.demo.exchange import Answer, Ask, json_answer
from workers.demo.sinks import MAX_BLOCKS

TOKEN = "xoxb-demo-token"  # noqa: S105 - of the replay
CHANNEL = "C0DEMO00001"


@dataclass(slots=True)
class SlackApi:
    """One workspace with one channel. `messages` are as posted, each with its `ts`."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    reactions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By `ts`: emoji and the members who chose it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def react(self, ts: str, emoji: str, *users: str) -> None:
        """Members choose an emoji below a message."""
        with self._lock:
            self.reactions.setdefault(ts, {}).setdefault(emoji, []).extend(users)

    def take_back(self, ts: str) -> None:
        """Every reaction below a message is taken back."""
        with self._lock:
            self.reactions.pop(ts, None)

    def answer(self, ask: Ask) -> Answer:
        """One method of the API; trouble is told with 200 and a word, as Slack does."""
        if ask.headers.get("authorization") != f"Bearer {TOKEN}":
            return _no("invalid_auth")
        if ask.path == "/chat.postMessage" and ask.method == "POST":
            return self._post(ask)
        if ask.path == "/reactions.get":
            return self._reactions(ask)
        return _no("unknown_method")

    def _post(self, ask: Ask) -> Answer:
        try:
            payload = json.loads(ask.body)
        except ValueError:
            return _no("invalid_json")
        blocks = payload.get("blocks", [])
        if payload.get("channel") != CHANNEL:
            return _no("channel_not_found")
        if len(blocks) > MAX_BLOCKS:
            return _no("invalid_blocks")
        if not payload.get("text") and not blocks:
            return _no("no_text")
        with self._lock:
            thread = payload.get("thread_ts")
            if thread is not None and thread not in {message["ts"] for message in self.messages}:
                return _no("thread_not_found")
            ts = f"1764000000.{len(self.messages) + 1:06d}"
            self.messages.append({**payload, "ts": ts})
        return json_answer({"ok": True, "channel": CHANNEL, "ts": ts, "message": {"text": payload.get("text", "")}})

    def _reactions(self, ask: Ask) -> Answer:
        ts = ask.param("timestamp")
        with self._lock:
            if ask.param("channel") != CHANNEL or ts not in {message["ts"] for message in self.messages}:
                return _no("message_not_found")
            chosen = {name: list(users) for name, users in self.reactions.get(ts, {}).items()}
        message: dict[str, Any] = {"type": "message", "ts": ts}
        if chosen:
            message["reactions"] = [
                {"name": name, "users": users, "count": len(users)} for name, users in chosen.items()
            ]
        return json_answer({"ok": True, "type": "message", "channel": CHANNEL, "message": message})


def _no(word: str) -> Answer:
    return json_answer({"ok": False, "error": word})
