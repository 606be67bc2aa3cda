"""Scan: the API is asked what its own description says it takes, and what it says it does not. It must do as it says.

    python -m tests.scan [--examples N] [--seed S] [--operation TEXT]

Every operation gets N well-formed and N malformed requests, with an admin's token, in this process. What is checked:
no server error, every status and every body as described, nothing unusable taken, nothing let in without a token.
Exit 1 on any finding; each is told with the request that shows it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from config.settings import Settings
from services.domain.errors import UpstreamUnavailable
from services.domain.jobs import NewJob
from services.domain.users import Actor
from services.pipeline import accounts
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import jobs, schema
from workers.web.app import make_web

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.result import Ok

LEFT_OUT = ("positive_data_acceptance", "object_level_authorization", "use_after_free", "ensure_resource_availability")
"""A query, a time zone and an address have a grammar that JSON Schema cannot tell: well-formed may still be refused.
And what is added need not be found again under the address a request was made up with."""

BOSS = Actor(name="scan", role="admin", origin="command")


def findings(app: FastAPI, token: str, *, examples: int, seed: int = 1, only: str = "") -> Iterator[str]:
    """What the scan finds, one a kind and operation, as it goes."""
    load_all_checks()
    checks = CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in LEFT_OUT])
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    headers = {"Authorization": f"Bearer {token}"}
    for result in described.get_all_operations():
        if not isinstance(result, Ok):
            yield f"the description cannot be read: {result}"
            continue
        operation = result.ok()
        if only not in operation.label or not operation.path.startswith("/api/"):
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            ask = _asker(operation, mode, checks, headers, examples, seed)
            try:
                ask()
            except (Exception, BaseExceptionGroup) as error:  # each finding is an exception; several come as a group
                if type(error).__name__ == "Unsatisfiable" or "does not contain any" in str(error):
                    continue
                yield f"{operation.label} ({mode.value}): {type(error).__name__}: {error}"


def _asker(
    operation: Any, mode: GenerationMode, checks: list[Any], headers: dict[str, str], examples: int, seed: int
) -> Callable[[], None]:
    @seeded(seed)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if [] in dict(case.query or {}).values():
            return  # an empty list is sent as nothing at all, and that may be left out
        answer = case.call(headers=headers)
        if answer.status_code not in (413, 414):  # too long for any page: refused, by a status the checks do not know
            case.validate_response(answer, checks=checks, headers=headers)

    return ask


@contextmanager
def site(folder: Path) -> Iterator[tuple[FastAPI, str]]:
    """An application over a small archive, with nothing of the network in reach, and an admin's token for it."""
    rt = Runtime.from_settings(
        Settings(
            _env_file=None,
            home=folder,
            secret_key="a key for the scan",
            public_url="http://testserver",
            admin_password="open lanterns at dusk",
            gate_scale=0,
            fetch_deadline_s=1,
        )
    )
    rt.http.get = _unreachable  # type: ignore[method-assign]
    try:
        schema.migrate(rt.engine)
        _fill(rt)
        yield make_web(rt), accounts.make_token(rt, BOSS, "scan", "admin")[0]
    finally:
        rt.close()


def _unreachable(url: str, **_: object) -> Any:
    raise UpstreamUnavailable(f"{url[:100]} does not answer: a scan calls nobody")


def _fill(rt: Runtime) -> None:
    from config.catalogue import FeedSpec
    from services.storage import feeds

    with rt.writing() as session:
        feeds.add(session, FeedSpec(name="1", kind="rss", title="One", url="https://feeds.example/1"), now=rt.now())
        subscribe(rt, session, to="ada@example.org", confirmed=True)
    rt.add_jobs([NewJob(kind="fetch_feed", key="1 lost", payload={"feed_id": 1})])
    with rt.writing() as session:
        claim = jobs.claim(session, now=rt.now(), lease=rt.lease(), worker="scan")
        assert claim is not None
        jobs.bury(session, claim, now=rt.now(), error="gone", signature="gone")
    accounts.add_user(rt, BOSS, "ada", "a lantern in the fog", "viewer")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.scan", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=200, help="requests of each kind to each operation (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operation", default="", help="only operations with this in their name: 'POST /api/v1/feeds'")
    asked = parser.parse_args()
    quiet()
    found = 0
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as (app, token):
        for said in findings(app, token, examples=asked.examples, seed=asked.seed, only=asked.operation):
            found += 1
            print(said, end="\n\n")
    print(f"{found} findings" if found else "nothing found")
    return 1 if found else 0


def quiet() -> None:
    """Log nothing: a scan asks for thousands of refusals."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


if __name__ == "__main__":
    sys.exit(main())
