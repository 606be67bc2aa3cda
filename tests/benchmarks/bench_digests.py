"""Digests for many readers of one query: chosen, rendered, queued; and handed to a mail server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context

from services.channels.email import SmtpChannel
from services.channels.mime import build_mime
from services.domain.digests import EditionView
from services.domain.messages import Message
from services.pipeline import drain, notify
from services.pipeline.choose import choose
from services.pipeline.messages import pack, render_edition
from services.pipeline.send import send_job
from services.pipeline.subscribe import subscribe
from services.pipeline.views import edition_view, source_statuses
from services.runtime import Runtime
from services.storage import deliveries, editions, subscribers
from services.storage.tables import Delivery
from tests.benchmarks import pages, places, reference_mail
from tests.benchmarks.bench_store import parsed
from tests.benchmarks.harness import Options, Result, compare, cpu, rate, ratio_of, rounds, wall
from tests.benchmarks.mail_sink import sink
from tests.factories import add_feed, store

BUDGET = 12
START = 5_000_000
"""Where the numbers of these papers begin: others may be there already."""
LISTMONK = "listmonk publishes 7 million mails in one campaign at 57 MB and below one core, no rate (listmonk.app)"


def readers(rt: Runtime, count: int, *, papers: int) -> list[int]:
    """The subscriptions of so many readers with one query, and papers that are new to them."""
    begun = rt.now()
    store(rt, parsed(pages.records(papers, start=START)), feed=add_feed(rt, "news", "arxiv_api"))
    return subscribed(rt, range(count), since=begun)


def subscribed(rt: Runtime, numbers: Iterable[int], *, since: datetime) -> list[int]:
    """Subscriptions of these readers, to whom everything is new that came after `since`."""
    made: list[int] = []
    with rt.writing() as session:
        for number in numbers:
            row, _ = subscribe(rt, session, to=reference_mail.address(number), budget=BUDGET, confirmed=True)
            later = rt.now() + timedelta(days=99)
            subscribers.update_subscription(session, row.id or 0, next_edition_at=later, since_at=since)
            made.append(row.id or 0)
    return made


def compose(rt: Runtime, subscriptions: Sequence[int], period: str) -> list[int]:
    """An edition for each, decided and written as the compose step does: a transaction each."""
    made: list[int] = []
    for number in subscriptions:
        with rt.writing() as session:
            subscription, who = subscribers.get_subscription(session, number)
            edition, items = notify.plan_edition(rt, session, subscription, who, period, rt.now())
        assert edition is not None
        assert items == BUDGET
        made.append(edition)
    return made


def render(rt: Runtime, made: Sequence[int]) -> int:
    """Render each edition and keep it as the send step does, its mail included; the bytes of all mails."""
    size = 0
    for number in made:
        with rt.reading() as session:
            (delivery, subscriber, _), *_ = deliveries.list_all(session, edition_id=number)
            message = render_edition(rt, session, editions.get(session, number), delivery)
        with rt.writing() as session:
            session.get_one(Delivery, delivery.id).message = pack(message)
        size += len(build_mime(message, rt.settings.mail_from, subscriber.address))
    return size


def queued(options: Options) -> Iterator[Result]:
    """Rendering and queueing beside a bare template and mail library; then with choosing the papers, too."""
    count, papers = options.some(400, 10), options.some(500, 40)
    chosen: list[float] = []
    ours: list[float] = []
    bare: list[float] = []
    with places.runtime() as rt:
        every = readers(rt, count * (options.some(5, 2)), papers=papers)
        view = _view(rt, every[0])
        for number in range(options.some(5, 2)):
            own, made = every[number * count : (number + 1) * count], list[int]()
            chosen.append(cpu(lambda own=own, made=made: made.extend(compose(rt, own, "2026-11-25")))())  # type: ignore[misc]
            ours.append(cpu(lambda made=made: render(rt, made))())  # type: ignore[misc]
            bare.append(cpu(lambda: sum(map(len, reference_mail.mails(view, count))))())
    whole = [one + other for one, other in zip(chosen, ours, strict=True)]
    for name, spent in (("render and queue", ours), ("choose, render and queue", whole)):
        ratio, spread = ratio_of(spent, bare)
        yield Result(
            name=f"digests: {name}", ratio=ratio, target=0.5, spread=spread, reference="a bare template + MIME loop",
            note=f"{rate(count, spent)} mails/s beside {rate(count, bare)}",
        )  # fmt: skip


def sent(options: Options) -> Iterator[Result]:
    """The channel beside a bare loop on one connection; more workers; then with the ledger of every step."""
    count = options.some(500, 15)
    message = _message()
    mail = build_mime(message, "papers@shore.example", reference_mail.address(0))
    with sink() as port:
        yield compare(
            "send: one worker", wall(partial(_send, port, message, count)),
            wall(partial(reference_mail.send_each, port, message, count)), target=0.8,
            reference="MIME and smtplib on one connection", items=count, unit="mails", count=options.some(5, 1),
        )  # fmt: skip
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            one, two = rounds(
                [
                    wall(lambda: pool.submit(_send, port, message, 2 * count).result()),
                    wall(lambda: list(pool.map(partial(_send, port, message), (count, count)))),
                ],
                count=options.some(5, 1),
            )
            limit = rounds([wall(lambda: reference_mail.send(port, mail, count))], count=options.some(3, 1))[0]
        ratio, spread = ratio_of(two, one)
        yield Result(
            name="send: two workers", ratio=ratio, target=1.6, spread=spread, reference="one worker",
            note=f"{rate(2 * count, two)} mails/s beside {rate(2 * count, one)}; one sender of ready mails fills the "
            f"sink with {rate(count, limit)}; {LISTMONK}",
        )  # fmt: skip
        yield _through_the_ledger(port, message, options)


def _through_the_ledger(port: int, message: Message, options: Options) -> Result:
    """Jobs, intents and outcomes, each committed, beside the bare loop."""
    number = options.some(200, 6)
    ours: list[float] = []
    bare: list[float] = []
    with places.runtime(smtp_url=f"smtp://127.0.0.1:{port}") as rt:
        every = readers(rt, number * options.some(3, 1), papers=40)
        for turn in range(options.some(3, 1)):
            made = compose(rt, every[turn * number : (turn + 1) * number], "2026-11-25")
            rt.add_jobs([send_job(edition) for edition in made])
            start = time.perf_counter()
            counted = drain.run_until_idle(rt, ticking=False)
            ours.append(time.perf_counter() - start)
            assert counted == {"done": number}, counted
            bare.append(wall(partial(reference_mail.send_each, port, message, number))())
        with rt.reading() as session:
            done = deliveries.list_all(session, states=["accepted"])
        assert len(done) == len(every)
    ratio, spread = ratio_of(ours, bare)
    return Result(
        name="send: with the ledger", ratio=ratio, target=0.8, spread=spread,
        reference="MIME and smtplib on one connection",
        note=f"{rate(number, ours)} mails/s beside {rate(number, bare)}; rendering and two commits a mail included",
    )  # fmt: skip


def _view(rt: Runtime, subscription_id: int) -> EditionView:
    """An edition as data, of the papers those of the readers have."""
    with rt.reading() as session:
        subscription, who = subscribers.get_subscription(session, subscription_id)
        chosen = choose(rt, session, subscription)
        return edition_view(
            rt, subscription, who, picks=chosen.picks, matched=chosen.matched, considered=chosen.considered,
            sources=source_statuses(session, subscription.feeds, since=rt.now(), now=rt.now()), composed_at=rt.now(),
            edition_id=None,
        )  # fmt: skip


def _message() -> Message:
    with places.runtime() as rt:
        (made,) = compose(rt, readers(rt, 1, papers=40), "2026-11-25")
        with rt.reading() as session:
            (delivery, _, _), *_ = deliveries.list_all(session, edition_id=made)
            return render_edition(rt, session, editions.get(session, made), delivery)


def _send(port: int, message: Message, count: int) -> None:
    channel = SmtpChannel(f"smtp://127.0.0.1:{port}", "papers@shore.example", local_hostname="bench.example")
    for number in range(count):
        channel.send(message, reference_mail.address(number), f"{number}")
    channel.close()
