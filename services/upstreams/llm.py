"""Language models: any service that speaks OpenAI's chat completions (vLLM, Ollama, llama.cpp, LM Studio, hosted ones).

Nothing optional of the protocol is used: no tools, no response format, no streaming, since many that speak it lack one
of them. `usage` is left out by some; then what was reckoned beforehand counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.domain.errors import UpstreamRejected

MAX_CONTENT = 4_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and what it cost, where it tells."""

    content: str
    tokens: int | None


def chat_url(base: str) -> str:
    """Where questions go, for a base such as `https://host/v1`."""
    return f"{base.rstrip('/')}/chat/completions"


def chat_body(model: str, messages: Sequence[dict[str, str]], max_tokens: int) -> dict[str, Any]:
    """The JSON of a question."""
    return {"model": model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0, "stream": False}


def parse_answer(body: bytes) -> Answer:
    """The first choice of an answer. Raises `UpstreamRejected` for what is none."""
    try:
        data = json.loads(body)
        content = data["choices"][0]["message"]["content"]
        usage = data.get("usage")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UpstreamRejected("the language model's answer is no chat completion") from error
    if not isinstance(content, str):
        raise UpstreamRejected("the language model's answer holds no text")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    known = tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0 else None
    return Answer(content[:MAX_CONTENT], known)
