"""All checks in order: first what needs nobody else, then what does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from config.settings import Settings
from services.domain.errors import BroadsheetError
from services.domain.redaction import redact
from services.runtime import Runtime
from services.upstreams.http import HttpClient
from workers.commands.catalogue_checks import catalogue_checks, check_switches
from workers.commands.checks import (
    Check,
    check_addresses,
    check_catalogue,
    check_database,
    check_disk,
    check_environment,
    check_feeds,
    check_home,
    check_key,
    check_quotas,
    check_rates,
    check_seals,
    check_work,
    failure,
)
from workers.commands.mail_checks import check_dkim, check_smtp, smtp_urls, txt_records
from workers.commands.remote_checks import (
    TIMEOUT_S,
    check_broker,
    check_clock,
    check_sign_on,
    kinds_in_use,
    upstream_check,
    upstreams_of,
)


def all_checks(settings: Settings, *, network: bool) -> Iterator[Check]:
    """Every check in order; those that wait for others' machines run at the same time."""
    yield from check_environment()
    yield check_home(settings)
    yield check_disk(settings)
    key = check_key(settings)
    yield key
    try:
        rt = Runtime.from_settings(settings)
    except (BroadsheetError, OSError, ImportError, ValueError) as error:
        if key.state != "fail":  # which stands in the way here, too
            yield failure("settings", redact(str(error)), "mend the setting named")
        return
    try:
        reached = True
        for check in check_database(rt):
            reached = reached and check.state != "fail"
            yield check
        yield from check_seals(rt)
        yield from check_catalogue(rt)
        yield check_addresses(settings)
        yield check_switches(settings)
        yield from check_dkim(settings, txt_records if network else None)
        slow: list[Callable[[], Check]] = [lambda: check_broker(settings)]
        upstreams = upstreams_of(settings, kinds_in_use(rt))
        dates: list[datetime] = []
        if network:
            slow += [partial(check_smtp, settings, url) for url in smtp_urls(settings)]
            with HttpClient(
                user_agent=settings.user_agent, connect_timeout_s=4, deadline_s=TIMEOUT_S, attempts=1,
                max_body_bytes=8 * 1024 * 1024, allowed_private_hosts=settings.private_hosts,
                secrets=settings.secret_values(),
            ) as http:  # fmt: skip
                slow += [upstream_check(http, upstream, dates) for upstream in upstreams]
                slow += catalogue_checks(settings, http)
                if settings.oidc_issuer:
                    slow.append(partial(check_sign_on, settings, http))
                yield from _together(slow)
            yield check_clock(dates)
        else:
            yield from _together(slow)
        if reached:  # without a database there is no clock to judge by, either
            yield from check_quotas(rt)
            yield from check_rates(rt)
            yield from check_feeds(rt)
            yield from check_work(rt)
    finally:
        rt.close()


def _together(checks: Sequence[Callable[[], Check]]) -> list[Check]:
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:
        return [future.result() for future in [pool.submit(check) for check in checks]]
