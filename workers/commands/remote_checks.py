"""Checks of others' machines: broker, mail server, upstreams, and whether our clocks agree. All at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from config.catalogue import CatalogueError
from config.settings import Settings
from services.domain.errors import BroadsheetError, RateLimited, UpstreamError, UpstreamRejected
from services.domain.redaction import redact
from services.runtime import Runtime
from services.upstreams.http import HttpClient
from services.upstreams.oidc import discovery_url, parse_discovery, parse_keys
from workers.commands.checks import Check, failure, has_database, ok, warning

TIMEOUT_S = 8.0


def check_broker(settings: Settings) -> Check:
    """The broker answers, and would not drop messages when it is full."""
    url = settings.broker_url
    if not url or url.startswith("memory:"):
        return ok("broker", "in this process (enough for `broadsheet up`)")
    if url.startswith(("redis", "rediss")):
        return _check_redis(url)
    import kombu

    try:
        with kombu.Connection(url, connect_timeout=4) as connection:
            connection.ensure_connection(max_retries=1, timeout=int(TIMEOUT_S))
    except Exception as error:  # each transport raises errors of its own
        return failure(
            "broker",
            f"{redact(url)}: {redact(str(error)) or type(error).__name__}",
            "check BROADSHEET_BROKER_URL, and that the broker runs",
        )
    return ok("broker", redact(url))


def _check_redis(url: str) -> Check:
    import redis

    try:
        client = redis.Redis.from_url(url, socket_timeout=4, socket_connect_timeout=4)
        try:
            client.ping()
            try:
                policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
            except redis.ResponseError:
                return warning(
                    "broker", f"{redact(url)}: it does not tell its maxmemory-policy", "make sure that it is noeviction"
                )
        finally:
            client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        return failure(
            "broker", f"{redact(url)}: {redact(str(error))}", "check BROADSHEET_BROKER_URL, and that Redis runs"
        )
    if policy != "noeviction":
        return failure(
            "broker",
            f"{redact(url)}: maxmemory-policy is {policy}, so a full Redis drops messages without a word",
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its configuration",
        )
    return ok("broker", f"{redact(url)}, maxmemory-policy noeviction")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A service we read, what to ask of it, and whether an active feed needs it."""

    name: str
    url: str
    setting: str
    needed: bool
    headers: tuple[tuple[str, str], ...] = ()


def upstreams_of(settings: Settings, in_use: set[str]) -> list[Upstream]:
    """The services we read, each with one small thing to ask of it."""
    token = settings.github_token.get_secret_value()
    return [
        Upstream("Hugging Face", f"{settings.hf_url}/api/daily_papers?limit=1", "HF_URL", "hf_papers" in in_use),
        Upstream(
            "arXiv API",
            f"{settings.arxiv_api_url}/query?search_query=cat:cs.CL&max_results=1",
            "ARXIV_API_URL",
            "arxiv_api" in in_use,
        ),
        Upstream("arXiv RSS", f"{settings.arxiv_rss_url}/rss/cs.CL", "ARXIV_RSS_URL", "arxiv_rss" in in_use),
        Upstream("arXiv OAI-PMH", f"{settings.arxiv_oai_url}?verb=Identify", "ARXIV_OAI_URL", "arxiv_oai" in in_use),
        Upstream(
            "GitHub",
            f"{settings.github_api_url}/rate_limit",
            "GITHUB_API_URL",
            needed=settings.repo_recheck,
            headers=(("Authorization", f"Bearer {token}"),) if token else (),
        ),
    ]


def kinds_in_use(rt: Runtime) -> set[str]:
    """Kinds of the feeds that run; those of the catalogue where there is no database yet."""
    from sqlalchemy.exc import SQLAlchemyError

    from services.storage import feeds

    found: set[str] = set()
    try:
        if has_database(rt):
            with rt.reading() as session:
                found = {f.kind for f in feeds.list_all(session) if not f.paused}
    except SQLAlchemyError:
        pass  # the database's own check tells of it
    if found:
        return found
    try:
        return {spec.kind for spec in rt.catalogue().feeds if not spec.paused}
    except CatalogueError:
        return set()


def upstream_check(http: HttpClient, upstream: Upstream, dates: list[datetime]) -> Callable[[], Check]:
    """A check of one upstream; the time it tells is added to `dates`."""

    def check() -> Check:
        name = f"upstream {upstream.name}"
        where = urlsplit(upstream.url).netloc
        try:
            answer = http.get(upstream.url, headers=dict(upstream.headers))
        except RateLimited as error:
            return warning(name, f"{where} asks us to wait ({error})", "nothing: it is asked again later")
        except UpstreamRejected as error:
            if error.status == 401 and upstream.headers:
                return failure(name, f"{where} does not take the token", "renew BROADSHEET_GITHUB_TOKEN, or unset it")
            if error.status is not None:
                return warning(
                    name, f"{where} is there, but answers {error.status}", f"check BROADSHEET_{upstream.setting}"
                )
            return failure(
                name,
                f"{where}: {error}",
                f"check BROADSHEET_{upstream.setting}; BROADSHEET_ALLOWED_PRIVATE_HOSTS lets private addresses through",
            )
        except UpstreamError as error:
            make = failure if upstream.needed else warning
            unused = "" if upstream.needed else " (no active feed needs it)"
            return make(name, f"{where}: {error}{unused}", "check the network, and whether the service is up")
        date = getattr(answer, "headers", {}).get("date", "")
        if date:
            try:
                dates.append(parsedate_to_datetime(date))
            except ValueError:
                return warning(name, f"{where} answers, with a date that cannot be read: {date!r}")
        return ok(name, f"{where} answers")

    return check


def check_sign_on(settings: Settings, http: HttpClient) -> Check:
    """The login provider is there, calls itself as it is set, and shows the keys it signs with."""
    issuer = settings.oidc_issuer
    try:
        provider = parse_discovery(http.get(discovery_url(issuer)).body, issuer)
        parse_keys(http.get(provider.keys_url).body)
    except BroadsheetError as error:
        advice = "check BROADSHEET_OIDC_ISSUER, and that the provider runs; people log in by password meanwhile. "
        advice += "BROADSHEET_ALLOWED_PRIVATE_HOSTS lets private addresses through"
        return failure("login provider", f"{issuer}: {error}", advice)
    return ok("login provider", f"{issuer} answers, with its keys")


def check_clock(dates: Sequence[datetime]) -> Check:
    """Our clock agrees with those of the services we read."""
    if not dates:
        return warning("clock", "not checked: nobody told us the time")
    now = datetime.now(UTC)
    apart = min((abs((now - (d if d.tzinfo else d.replace(tzinfo=UTC))).total_seconds()) for d in dates), default=0.0)
    if apart > 300:
        return failure(
            "clock",
            f"{apart:.0f} s away from that of others",
            "let this machine keep time by NTP: digests go out by the clock",
        )
    if apart > 30:
        return warning("clock", f"{apart:.0f} s away from that of others", "let this machine keep time by NTP")
    return ok("clock", f"within {max(apart, 1):.0f} s of others")
