"""The runtime: everything a pipeline function needs, put together in one place.

Processes assemble it (`Runtime.from_settings`), everything below is handed what it needs. Nothing here knows
Celery: `publish` is a plain callable that whoever runs us may set.
"""

from __future__ import annotations

import random
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from config.catalogue import SHIPPED, Catalogue, load_catalogue
from config.settings import Settings
from services.channels import Channel
from services.channels.apprise import AppriseChannel
from services.channels.dkim import Signature, load_signatures
from services.channels.email import SmtpChannel
from services.channels.mime import sender
from services.channels.outbox_folder import OutboxFolder
from services.channels.slack import SlackWebhook
from services.channels.slack_bot import SlackBot
from services.channels.smtp_servers import SmtpServers
from services.channels.smtp_url import split_smtp_urls
from services.channels.webhook import Webhook
from services.domain.errors import InvalidInput, LeaseLost, RateLimited, UpstreamUnavailable
from services.domain.feeds import FeedRequest, UpstreamUrls
from services.domain.jobs import Claim, Hint, NewJob
from services.domain.redaction import redact
from services.domain.seals import Seals
from services.storage import jobs, notices, quotas, service
from services.storage.clock import clock_of, host_time
from services.storage.engine import make_engine, reading, writing
from services.upstreams.headers import parse_quota
from services.upstreams.http import Fetched, HttpClient, NotModified, Validators

log = structlog.get_logger(__name__)

LONGEST_WAIT_AT_GATE = timedelta(seconds=5)
"""A worker stands at a gate this long at most; beyond it the job is handed back and other work done meanwhile."""


HOLD_GATE, KEEP_GATE_EVERY_S = timedelta(seconds=15), 5.0
"""Who is alone inside a gate holds it for so long, and says so again that often: a killed one keeps others out no
longer, however long a call may take."""

RESERVE = 5
"""Calls left of a host's allowance at which we stop by ourselves until it is filled up again."""


@runtime_checkable
class Closable(Protocol):
    """Something that holds connections."""

    def close(self) -> None:
        """Give them back."""


def no_hints(_: Sequence[Hint]) -> None:
    """The publisher where there is no broker: due jobs are found by the claim query."""


def pass_by(_: str) -> None:
    """The checkpoint of a service that runs undisturbed."""


@dataclass(slots=True)
class Step:
    """One transaction of a job: its writes, the jobs that follow, its own finish."""

    session: Session
    now: datetime
    claim: Claim
    hints: list[Hint] = field(default_factory=list)

    def add(self, new_jobs: Iterable[NewJob]) -> None:
        """Add the jobs that follow from this one."""
        self.hints += jobs.add(self.session, new_jobs, now=self.now, cause_id=self.claim.job_id)


@dataclass(slots=True)
class Runtime:
    """The composition root. `clock` and `sleep` can be replaced; `publish` sends hints after a commit."""

    settings: Settings
    engine: Engine
    http: HttpClient
    channels: Mapping[str, Channel]
    clock: Callable[[], datetime] = host_time
    """The database's: see `storage.clock`."""
    sleep: Callable[[float], None] = time.sleep
    publish: Callable[[Sequence[Hint]], None] = no_hints
    checkpoint: Callable[[str], None] = pass_by
    """Told of every named step of every stage as it is passed, so that tests can end a process at any of them."""
    worker: str = ""
    secret: str = ""
    old_secrets: tuple[str, ...] = ()
    """Secret keys of before: links signed with them still open."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Runtime:
        """Put a runtime together; raises `InvalidInput` for settings that cannot work."""
        http = HttpClient(
            user_agent=settings.user_agent,
            deadline_s=settings.fetch_deadline_s,
            max_body_bytes=settings.fetch_max_mb * 1024 * 1024,
            allowed_private_hosts=settings.private_hosts,
            http2_hosts=settings.much_asked_hosts,
            secrets=settings.secret_values(),
        )
        seals = Seals(settings.signing_key(), settings.old_keys)
        engine = make_engine(settings.database, pool_size=settings.concurrency + 4, seals=seals)
        return cls(
            settings=settings,
            engine=engine,
            clock=clock_of(engine),
            http=http,
            channels=_channels(settings, http),
            worker=f"{socket.gethostname()}",
            secret=settings.signing_key(),
            old_secrets=settings.old_keys,
        )

    def close(self) -> None:
        """Give back connections."""
        self.http.close()
        for channel in self.channels.values():
            if isinstance(channel, Closable):
                channel.close()
        self.engine.dispose()

    # -- the database ------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return self.clock()

    def reading(self) -> AbstractContextManager[Session]:
        """A session that reads."""
        return reading(self.engine)

    def writing(self) -> AbstractContextManager[Session]:
        """A session in a transaction of its own."""
        return writing(self.engine)

    @contextmanager
    def step(self, claim: Claim) -> Iterator[Step]:
        """The one transaction in which a job writes its result, what follows from it, and its own finish.

        The fencing token is checked first (the row stays locked) and again by the finish; a worker that lost
        its lease commits nothing. Hints go out after the commit.
        """
        with writing(self.engine) as session:
            jobs.check(session, claim)
            self.checkpoint(f"{claim.kind}.begun")
            step = Step(session, self.now(), claim)
            yield step
            jobs.finish(session, claim, now=self.now())
            self.checkpoint(f"{claim.kind}.written")
        self.checkpoint(f"{claim.kind}.committed")
        self.publish(step.hints)

    def add_jobs(self, new_jobs: Iterable[NewJob]) -> list[Hint]:
        """Add jobs in a transaction of their own, then hint."""
        with writing(self.engine) as session:
            hints = jobs.add(session, new_jobs, now=self.now())
        self.publish(hints)
        return hints

    # -- the network -------------------------------------------------------------------------------------------

    @property
    def urls(self) -> UpstreamUrls:
        """Where each upstream lives."""
        s = self.settings
        return UpstreamUrls(
            hf=s.hf_url, arxiv_api=s.arxiv_api_url, arxiv_rss=s.arxiv_rss_url, arxiv_oai=s.arxiv_oai_url,
            github_api=s.github_api_url, github=s.github_url,
            gitlab=s.gitlab_url, codeberg=s.codeberg_url, biorxiv=s.biorxiv_url,
        )  # fmt: skip

    def get(
        self, request: FeedRequest, validators: Validators | None = None, *, expect_statuses: Collection[int] = ()
    ) -> Fetched | NotModified:
        """One GET through the host's gate. A host that says "not now" closes its gate for everybody, and so does one
        that says that our share of its allowance is spent. `expect_statuses` as in `HttpClient.get`."""
        with self.gate(request.gate, request.interval_s, alone=request.alone):
            self.spend(request.gate)
            answer = self.http.get(
                request.url, validators=validators, headers=dict(request.headers), expect_statuses=expect_statuses
            )
        left = parse_quota(answer.headers, now=self.now())
        if left is not None:
            with self.writing() as session:
                quotas.record(session, request.gate, left, now=self.now(), settled=1)
            if left.remaining <= max(RESERVE, left.limit - quotas.usable(left.limit, self.settings.quota_share)):
                log.info("gate.allowance_spent", gate=request.gate, left=left.remaining, resets_at=left.reset_at)
                self.close_gate(request.gate, left.reset_at - self.now())
        return answer

    def spend(self, name: str, calls: int = 1, *, assumed: tuple[int, timedelta] | None = None) -> None:
        """Put calls on the account of an allowance before they are made.

        `RateLimited` when they would go beyond the share of it that is ours (`quota_share`). `assumed` is limit and
        window of an allowance of which its host has told nothing yet; without it, an unknown one has no end.
        """
        with self.reading() as session:
            if assumed is None and not quotas.is_known(session, name, now=self.now()):
                return
        with self.writing() as session:
            now = self.now()
            again_at = quotas.spend(
                session, name, calls=calls, share=self.settings.quota_share, now=now, assumed=assumed
            )
        if again_at is not None:
            raise RateLimited(
                f"our share of what {name} allows is spent until {again_at:%H:%M:%S} UTC", retry_after=again_at - now
            )

    @contextmanager
    def gate(self, name: str, interval_s: float = 0.0, *, alone: bool = False) -> Iterator[None]:
        """Call a host from inside: entered `interval_s` apart over all workers, one at a time with `alone`.

        `RateLimited` when the wait is so long that others should work meanwhile; one raised inside keeps everybody
        out for as long as the host asked.
        """
        holder = secrets.token_hex(8)
        interval = timedelta(seconds=interval_s * self.settings.gate_scale)
        failures = self._enter_gate(name, interval, holder, alone)
        alone = alone or failures >= service.BREAKER_AFTER  # a host that was silent is tried by one caller
        silent = False
        try:
            with self._keeping(name, holder) if alone else nullcontext():
                yield
        except RateLimited as error:
            self.close_gate(name, error.retry_after)
            raise
        except UpstreamUnavailable as error:
            silent = error.status is None
            raise
        finally:
            if alone:
                # They count from when a call reaches them, which we do not know: it was before they answered.
                answered_at = self.now()
                with writing(self.engine) as session:
                    service.leave_gate(session, name, holder=holder, free_at=answered_at + interval)
            if silent or failures:
                self._heard(name, silent)

    @contextmanager
    def _keeping(self, name: str, holder: str) -> Iterator[None]:
        """Say again and again that we are still inside, so that whoever waits for a dead one need not wait long."""
        left = threading.Event()

        def keep() -> None:
            while not left.wait(KEEP_GATE_EVERY_S):
                try:
                    with writing(self.engine) as session:
                        service.keep_gate(session, name, holder=holder, until=self.now() + HOLD_GATE)
                except SQLAlchemyError as error:  # who cannot be told of us cannot ask for the gate either
                    log.warning("gate.not_kept", gate=name, error=str(error).splitlines()[0])

        keeper = threading.Thread(target=keep, name=f"gate-{name}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            left.set()
            keeper.join()

    def _heard(self, name: str, silent: bool) -> None:
        """Count a host's silences, and tell of one that has fallen silent, or answers again."""
        with writing(self.engine) as session:
            now = self.now()
            before, failures = service.count_silence(session, name, silent=silent, now=now, jitter=self.jitter())
            if before < service.BREAKER_AFTER <= failures:
                kind, text = "host_down", f"{name} has not answered {failures} times in a row; it is tried by one call "
                text += "at a time, ever more seldom. What was to be fetched waits, and nothing is given up."
            elif failures < service.BREAKER_AFTER <= before:
                kind, text = "host_up", f"{name} answers again; what waited for it goes on."
            else:
                return
            notices.tell(session, kind=kind, subject=name, text=text, now=now, send=bool(self.settings.alert_to))

    def _enter_gate(self, name: str, interval: timedelta, holder: str, alone: bool) -> int:
        """Go in, and learn how often the host has been silent lately."""
        hold = HOLD_GATE if alone else timedelta(0)
        deadline = self.now() + LONGEST_WAIT_AT_GATE
        if not interval and not alone:
            # Nothing is kept from anybody by going in: a look that the gate stands open will do, and writes nothing.
            with self.reading() as session:
                if service.stands_open(session, name, now=self.now()):
                    return 0
        while True:
            with writing(self.engine) as session:
                now = self.now()
                failures, again_at = service.try_gate(
                    session, name, interval=interval, now=now, holder=holder, hold=hold, probe=HOLD_GATE
                )
            if again_at is None:
                return failures
            if again_at > deadline:
                raise RateLimited(f"the gate of {name} opens at {again_at:%H:%M:%S} UTC", retry_after=again_at - now)
            self.sleep(max((again_at - now).total_seconds(), 0.01))

    def close_gate(self, name: str, retry_after: timedelta | None) -> None:
        """Keep everybody from calling a host for a while."""
        with writing(self.engine) as session:
            service.close_gate(session, name, until=self.now() + (retry_after or timedelta(seconds=60)))

    # -- small things ------------------------------------------------------------------------------------------

    def catalogue(self) -> Catalogue:
        """The feeds and digests written down."""
        path = self.settings.feeds or self.settings.home / "feeds.toml"
        return load_catalogue(path if self.settings.feeds or path.exists() else SHIPPED)

    def url(self, path: str) -> str:
        """An address of our web pages."""
        return f"{self.settings.public_url}{path}"

    def redact(self, text: str) -> str:
        """`text` without secrets: those that are set, passwords in addresses, the paths of webhooks."""
        return redact(text, self.settings.secret_values())

    def jitter(self) -> float:
        """A number in [0, 1) that keeps retries apart."""
        return random.random()  # noqa: S311 - spreads load, guards nothing

    def channel(self, name: str, target: str) -> Channel:
        """The way out for one address; the outbox folder where nothing else is set."""
        if name == "email" and not self.settings.smtp_url.get_secret_value():
            return self.channels["outbox"]
        if target == "outbox":
            return self.channels["outbox"]
        if name == "slack" and "/" not in target:
            return self.channels["slack_bot"]
        if name not in self.channels:
            raise InvalidInput(f"there is no channel {name!r}; there are: {', '.join(sorted(self.channels))}")
        return self.channels[name]

    def lease(self) -> timedelta:
        """How long a claim holds."""
        return timedelta(seconds=self.settings.lease_s)

    def enough_lease(self, claim: Claim, needed: timedelta) -> None:
        """Raise `LeaseLost` when less than `needed` of the claim is left."""
        if claim.lease_until - self.now() < needed:
            raise LeaseLost(f"job {claim.job_id}: too little of its lease is left to go on")


def disk_under(folder: Path) -> tuple[int, int]:
    """Bytes (free, in all) of the disk where a folder is, or would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    return disk.free, disk.total


def _channels(settings: Settings, http: HttpClient) -> dict[str, Channel]:
    channels: dict[str, Channel] = {
        "outbox": OutboxFolder(settings.outbox, settings.mail_from),
        "slack": SlackWebhook(http),
        "slack_bot": SlackBot(http, settings.slack_api_url, settings.slack_token.get_secret_value()),
        "webhook": Webhook(http, settings.signing_key()),
        "apprise": AppriseChannel(http.check_host),
    }
    urls = split_smtp_urls(settings.smtp_url.get_secret_value())
    if urls:
        signatures = dkim_signatures(settings)
        servers = [SmtpChannel(url, settings.mail_from, signatures=signatures) for url in urls]
        channels["email"] = servers[0] if len(servers) == 1 else SmtpServers(servers)
    return channels


def dkim_signatures(settings: Settings) -> tuple[Signature, ...]:
    """What mails are signed with; none where no selector is set. Raises `InvalidInput` for keys that cannot be used."""
    if not settings.dkim_selector:
        if settings.dkim_key_file or settings.dkim_key.get_secret_value():
            raise InvalidInput("DKIM: a key is set and no selector; set BROADSHEET_DKIM_SELECTOR, such as news2026")
        return ()
    try:
        keys = settings.dkim_keys()
    except OSError as error:
        raise InvalidInput(f"DKIM: the key file {error.filename} cannot be read: {error.strerror or error}") from error
    domain = settings.dkim_domain or sender(settings.mail_from).domain
    return load_signatures(domain, settings.dkim_selector, keys)
