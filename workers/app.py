"""The Celery application: hints in, jobs run.

A message carries a job's id and nothing else. `run_hinted` claims that job, runs it and lets the ledger account
for it; a hint for a job that is done, taken or gone is a no-op, so that losing one or running one twice is
harmless. Celery's own retries, ETAs, results and canvas are not used: the table decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from celery import Celery, Task
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from config.settings import Settings
from services.domain.jobs import STAGES, Hint
from services.pipeline import drain
from services.runtime import Runtime

log = structlog.get_logger(__name__)

HINT_EXPIRES_S = 120
"""A hint older than this is worth nothing: the claim query has found the job by then."""

EMBEDDED_BROKER = "memory://localhost/"

_runtime: Runtime | None = None


def use_runtime(runtime: Runtime | None) -> None:
    """The runtime the tasks of this process work with."""
    global _runtime  # Celery builds tasks by name; there is no other way in
    _runtime = runtime


def runtime() -> Runtime:
    """This process's runtime; made from the settings when nobody handed one in."""
    if _runtime is None:
        use_runtime(Runtime.from_settings(Settings()))
    assert _runtime is not None
    return _runtime


class StageTask(Task[..., Any]):
    """What all tasks have in common: no result is kept, since the ledger holds it."""

    abstract = True
    ignore_result = True


def run_hinted(job_id: int) -> str:
    """Run the job a hint names, if it is still there to be run: claim by id, run, account.

    Retry, timing and log context live in `pipeline.drain`; a task only names its stage.
    """
    return drain.run_next(runtime(), job_id=job_id) or "nothing to do"


def make_app(settings: Settings) -> Celery[StageTask]:
    """The application for these settings, with one direct queue a stage."""
    embedded = not settings.broker_url or settings.broker_url.startswith("memory:")
    app: Celery[StageTask] = Celery("broadsheet", broker=settings.broker_url or EMBEDDED_BROKER, task_cls=StageTask)
    transport: dict[str, Any] = (
        {"polling_interval": 0.02}
        if embedded
        else {
            # Without time-outs a half-open connection leaves a worker alive and deaf.
            "socket_timeout": 10, "socket_connect_timeout": 5, "socket_keepalive": True, "health_check_interval": 10,
            "visibility_timeout": 3600, "unacked_restore_throttle": 1,
        }
    )  # fmt: skip
    app.conf.update(
        timezone="UTC",
        enable_utc=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        task_acks_late=False,  # a hint: losing it is harmless
        task_publish_retry=False,  # a failed hint is logged and forgotten; the claim query finds the row
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=1000,
        worker_proc_alive_timeout=30,  # a child on a busy machine, or whose database is away, is slow to come up
        worker_concurrency=settings.concurrency,
        task_soft_time_limit=max(settings.lease_s - 30, 5),  # prefork only; both shorter than the lease
        task_time_limit=max(settings.lease_s - 10, 8),
        worker_soft_shutdown_timeout=20,
        worker_enable_remote_control=not embedded,
        worker_send_task_events=not embedded,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=4,
        broker_transport_options=transport,
        task_default_queue="fetch",
        task_create_missing_queues=False,
        task_queues=[Queue(stage, Exchange(stage, type="direct"), routing_key=stage) for stage in STAGES],
        imports=["workers.tasks"],
    )
    app.set_default()  # without it a publish from a pool thread goes to amqp://localhost and is lost
    return app


def make_publisher(app: Celery[StageTask]) -> Callable[[Sequence[Hint]], None]:
    """A `Runtime.publish` that sends each hint to its stage's queue, and never fails its caller."""

    def publish(hints: Sequence[Hint]) -> None:
        for number, hint in enumerate(hints):
            try:
                app.send_task(f"broadsheet.{hint.stage}", args=[hint.job_id], queue=hint.stage, expires=HINT_EXPIRES_S)
            except (OperationalError, OSError) as error:
                log.warning("hint.failed", error=str(error), left=len(hints) - number)
                return  # the others would wait for the same time-out; the claim query finds them all

    return publish
