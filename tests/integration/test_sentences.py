"""A language model's sentence in an edition: asked for once, within the budget; without it the edition goes out too."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.domain.jobs import NewJob
from services.pipeline import drain, notify, sentences
from services.pipeline.choose import Chosen, choose
from services.pipeline.messages import unpack
from services.pipeline.schedule import edition_job
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import archive
from services.storage import sentences as rows
from services.storage.tables import Delivery, Sentence
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows, entry, store

SAID = "Lanterns are lit along a shore and the tide is read from them."


class Model:
    """A model's endpoint on loopback: keeps what it is asked, answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: Callable[[], tuple[int, bytes]] = lambda: (200, chat(json.dumps({"sentence": SAID})))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                outer.keys.append(self.headers["authorization"])
                status, body = outer.answer()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"


def chat(content: str, tokens: int | None = 321) -> bytes:
    usage = {"usage": {"total_tokens": tokens}} if tokens is not None else {}
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}], **usage}).encode()


@pytest.fixture
def model() -> Iterator[Model]:
    found = Model()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def make(make_runtime: MakeRuntime, model: Model) -> Callable[..., Runtime]:
    def make(**settings: Any) -> Runtime:
        rt = make_runtime(**{"llm_url": model.url, "llm_model": "small", "llm_key": "k-1", **settings})
        store(rt, [entry(1), entry(2), entry(3, ai_summary="Told by its source.")], feed=add_feed(rt, "hf"))
        return rt

    return make


def papers(rt: Runtime) -> list[Any]:
    with rt.reading() as session:
        return archive.load(session, archive.ids(session), now=rt.now())


def test_each_paper_is_asked_about_once_and_the_sentence_kept(make: Callable[..., Runtime], model: Model) -> None:
    rt = make()
    assert sentences.ask_for(rt, papers(rt)) == 2
    assert sentences.ask_for(rt, papers(rt)) == 0
    assert len(model.asked) == 2  # the third has its source's own
    assert model.keys == ["Bearer k-1"] * 2
    assert model.asked[0]["model"] == "small"
    assert "tools" not in model.asked[0]
    with rt.reading() as session:
        found = sentences.sentences_for(rt, session, papers(rt))
        assert rows.spent(session, now=rt.now()) == 642
    assert list(found.values()) == [SAID, SAID]


def test_an_answer_that_is_not_fit_is_kept_as_refused_and_not_asked_again(
    make: Callable[..., Runtime], model: Model
) -> None:
    rt = make()
    model.answer = lambda: (200, chat(json.dumps({"sentence": f"{SAID} Visit https://spam.example now"})))
    assert sentences.ask_for(rt, papers(rt)) == sentences.ask_for(rt, papers(rt)) == 0
    assert len(model.asked) == 2
    assert {(row.text, row.refused) for row in all_rows(rt, Sentence)} == {(None, "the sentence holds an address")}


@pytest.mark.parametrize("answer", [(500, b"down"), (401, b"who?"), (200, b"<html>"), (200, b'{"choices": []}')])
def test_a_model_that_is_down_is_left_alone_and_asked_another_time(
    make: Callable[..., Runtime], model: Model, answer: tuple[int, bytes]
) -> None:
    rt = make()
    model.answer = lambda: answer
    assert sentences.ask_for(rt, papers(rt)) == 0
    assert len(model.asked) == 1
    assert all_rows(rt, Sentence) == []


def test_the_days_budget_holds_and_the_next_day_has_its_own(
    make: Callable[..., Runtime], model: Model, clock: Any
) -> None:
    rt = make(llm_tokens_per_day=900)
    model.answer = lambda: (200, chat(json.dumps({"sentence": SAID}), 500))
    assert sentences.ask_for(rt, papers(rt)) == 1
    clock.advance(days=1)
    assert sentences.ask_for(rt, papers(rt)) == 1


def test_nothing_is_asked_unless_a_model_is_set_up(make: Callable[..., Runtime], model: Model) -> None:
    rt = make(llm_url="")
    assert sentences.ask_for(rt, papers(rt)) == 0
    assert model.asked == []


@pytest.mark.parametrize("up", [True, False])
def test_an_edition_goes_out_with_the_sentence_labelled_or_without(
    make: Callable[..., Runtime], model: Model, up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt, times = make(), 0

    def counted(*given: Any) -> Chosen:
        nonlocal times
        times += 1
        return choose(*given)

    monkeypatch.setattr(notify, "choose", counted)
    if not up:
        model.answer = lambda: (503, b"")
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="ada@example.org", confirmed=True)
        subscription.since_at = rt.now() - timedelta(days=2)
        session.flush()
        job = edition_job(subscription.id or 0, "daily", "UTC", rt.now())
    rt.add_jobs([NewJob(kind=job.kind, key=job.key, payload={**job.payload, "now": True})])
    drain.run_until_idle(rt, stages=["notify"], ticking=False)
    (sent,) = [unpack(row.message) for row in all_rows(rt, Delivery)]
    assert times == 1
    assert sent.text.count("[AI]") == (2 if up else 0)
    assert "[HF AI]" in sent.text
