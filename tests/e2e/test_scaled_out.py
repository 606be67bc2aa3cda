"""Scaled out: PostgreSQL, Redis, two workers, a schedule and the web pages, each a process of its own."""

from __future__ import annotations

import email
import email.policy
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from services.storage import schema
from services.storage.tables import Attempt, Delivery, Feed, Heartbeat, Job, Paper
from tests.e2e.programs import Program, make_due, running, runtime, settings_for, subscribe_now, wait_for_quiet
from tests.e2e.test_embedded import STARTS_WITHIN_S, check_archive
from tests.factories import all_rows
from tests.servers import MailSink, PostgresServer, RedisServer, free_port, wait_until
from workers.demo.replay import Replay

pytestmark = pytest.mark.timeout(600)


def test_a_paper_goes_from_its_feed_to_a_mailbox_and_a_flushed_redis_loses_nothing(
    tmp_path: Path, postgres: PostgresServer, redis: RedisServer, mail: MailSink
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database(empty=True))
        replay = stack.enter_context(Replay(today=date.today(), first_call_faults=False))  # noqa: DTZ011
        redis.flush()
        port = free_port()
        settings = settings_for(
            replay, tmp_path / "home", database_url=url, broker_url=redis.url, smtp_url=mail.url, poll_s=2,
            web_port=port, public_url=f"http://127.0.0.1:{port}",
        )  # fmt: skip
        rt = runtime(settings)
        stack.callback(rt.close)

        def start(name: str, *arguments: str) -> Program:
            return stack.enter_context(running(settings, *arguments, log=tmp_path / f"{name}.log"))

        migrate = start("migrate", "migrate")
        assert migrate.process.wait(STARTS_WITHIN_S) == 0, migrate.said()
        assert schema.is_current(rt.engine)

        replay.hang("/", 0.05)
        programs = [
            start("web", "web"),
            start("one", "worker", "--concurrency", "2"),
            start("two", "worker", "--concurrency", "2"),
            start("beat", "beat"),
        ]
        everybody = ["beat", "web", "worker", "worker"]
        wait_until(lambda: _roles(rt) == everybody, within_s=STARTS_WITHIN_S, what="all report")
        wait_until(lambda: len(all_rows(rt, Paper)) > 0, within_s=STARTS_WITHIN_S, what="papers arrive")

        for _ in range(5):  # in the middle of it, everything Redis knew is gone
            redis.flush()
            time.sleep(0.2)
        rt.add_jobs([subscribe_now(rt, "ada@example.org")])
        redis.flush()
        wait_for_quiet(rt, *programs, within_s=STARTS_WITHIN_S)
        check_archive(rt, replay)

        # What the flushed Redis lost, the claim query found; a second round goes by hints again.
        for feed in all_rows(rt, Feed):
            make_due(rt, feed)
        rt.add_jobs([subscribe_now(rt, "bram@example.org", query="inference OR quantization")])
        wait_for_quiet(rt, *programs, within_s=STARTS_WITHIN_S)
        assert replay.conditional_hits() > 0

        assert [d.state for d in all_rows(rt, Delivery)] == ["accepted", "accepted"]
        assert sorted(mail.recipients) == ["ada@example.org", "bram@example.org"]
        messages = [email.message_from_bytes(raw, policy=email.policy.default) for raw in mail.received]
        assert len({m["Message-ID"] for m in messages}) == 2
        titles = [p.title for p in all_rows(rt, Paper)]
        for message in messages:
            body = message.get_body(("plain",))
            assert body is not None
            assert any(_squeezed(title) in _squeezed(body.get_content()) for title in titles)

        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            assert answer.status == 200
        assert {j.state for j in all_rows(rt, Job)} == {"done"}
        workers = {a.worker for a in all_rows(rt, Attempt)}
        assert len(workers) > 1, "one process did all the work"
        for program in reversed(programs):
            assert program.stop() == 0, program.said()
        for program in programs:
            assert "Traceback" not in program.said(), program.said()


def _roles(rt: Any) -> list[str]:
    return sorted(beat.role for beat in all_rows(rt, Heartbeat))


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()
