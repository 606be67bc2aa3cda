"""Metrics: what the tables say at this moment, in Prometheus' words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from sqlmodel import Session

from services.pipeline.rates import all_rates
from services.runtime import Runtime, disk_under
from services.storage import archive, deliveries, feeds, freshness, jobs, quotas, reports, service
from workers.web.health import SILENT

__all__ = ["CONTENT_TYPE", "exposed", "freshness_metrics"]


def exposed(rt: Runtime) -> bytes:
    """Everything, as `CONTENT_TYPE`."""
    registry = CollectorRegistry()
    registry.register(Tables(rt))
    return generate_latest(registry)


class Tables(Collector):
    """What the tables say, as metrics."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand, so that registering reads no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Everything, in one transaction."""
        now = self._rt.now()
        with self._rt.reading() as session:
            papers = GaugeMetricFamily("broadsheet_papers", "Papers in the archive.")
            papers.add_metric([], archive.count(session))
            yield papers

            work = GaugeMetricFamily("broadsheet_jobs", "Jobs by stage and state.", labels=["stage", "state"])
            for stage, states in sorted(jobs.counts(session).items()):
                for state, number in sorted(states.items()):
                    work.add_metric([stage, state], number)
            yield work

            overdue = GaugeMetricFamily(
                "broadsheet_jobs_overdue", "Jobs that a worker should have taken more than two minutes ago."
            )
            overdue.add_metric([], reports.overdue(session, since=now - SILENT))
            yield overdue

            age = GaugeMetricFamily(
                "broadsheet_oldest_ready_job_age_seconds", "How long the oldest due job has waited; 0 with none.",
                labels=["stage"],
            )  # fmt: skip
            rests = GaugeMetricFamily("broadsheet_stage_paused", "1 while a person has it rest.", labels=["stage"])
            for queue in reports.queues(session, now):
                waited = (now - queue.oldest_due_at).total_seconds() if queue.oldest_due_at else 0.0
                age.add_metric([queue.stage], max(0.0, waited))
                rests.add_metric([queue.stage], float(queue.paused is not None))
            yield from (age, rests)

            fetched = GaugeMetricFamily("broadsheet_fetches_24h", "Fetches of the last 24 hours.", labels=["state"])
            for state, number in sorted(reports.fetch_states(session, since=now - timedelta(hours=24)).items()):
                fetched.add_metric([state], number)
            yield fetched

            sent = GaugeMetricFamily(
                "broadsheet_deliveries_24h", "Deliveries planned in the last 24 hours.", labels=["channel", "state"]
            )
            for (channel, state), number in sorted(deliveries.counts(session, since=now - timedelta(hours=24)).items()):
                sent.add_metric([channel, state], number)
            yield sent

            pace = GaugeMetricFamily(
                "broadsheet_channel_rate_per_hour", "Messages an hour that may leave, where that is limited.",
                labels=["channel"],
            )  # fmt: skip
            used_of = GaugeMetricFamily(
                "broadsheet_channel_sent_1h", "Messages that left within the hour, where that is limited.",
                labels=["channel"],
            )  # fmt: skip
            for rate in all_rates(self._rt, session):
                if rate.per_hour:
                    pace.add_metric([rate.channel], rate.per_hour)
                    used_of.add_metric([rate.channel], rate.used)
            yield from (pace, used_of)

            beats = GaugeMetricFamily(
                "broadsheet_heartbeat_age_seconds", "Since each process was last heard of.", labels=["process", "role"]
            )
            heard = reports.newest_heartbeats(session)
            for beat in heard:
                beats.add_metric([beat.name, beat.role], max(0.0, (now - beat.seen_at).total_seconds()))
            yield beats

            busy = GaugeMetricFamily(
                "broadsheet_worker_busy", "Jobs each was at when last heard of.", labels=["process", "role"]
            )
            slots = GaugeMetricFamily("broadsheet_worker_slots", "Jobs each can be at.", labels=["process", "role"])
            for beat in heard:
                if beat.role in service.WORKING:
                    busy.add_metric([beat.name, beat.role], beat.busy)
                    slots.add_metric([beat.name, beat.role], beat.slots)
            yield from (busy, slots)

            alive = GaugeMetricFamily(
                "broadsheet_workers_alive", "Processes that take work and were heard of within two minutes."
            )
            alive.add_metric([], sum(b.role in service.WORKING and now - b.seen_at <= SILENT for b in heard))
            yield alive

            failures = GaugeMetricFamily(
                "broadsheet_feed_failures", "Tries in a row that failed, by polled feed.", labels=["feed"]
            )
            for feed in feeds.list_all(session):
                if not feed.paused:
                    failures.add_metric([feed.name], feed.failures)
            yield failures

            free, total = disk_under(self._rt.settings.home)
            used_up = GaugeMetricFamily(
                "broadsheet_disk_used_ratio", "The part of the data folder's disk that is used."
            )
            used_up.add_metric([], 1 - free / total)
            yield used_up

            yield from freshness_metrics(session, now)

            left = GaugeMetricFamily("broadsheet_quota_remaining", "Calls an upstream still allows.", labels=["quota"])
            for quota in quotas.list_all(session):
                left.add_metric([quota.name], quota.remaining)
            yield left

            used = GaugeMetricFamily(
                "broadsheet_quota_used_ratio", "The part of an upstream's allowance that is used.", labels=["quota"]
            )
            for quota in quotas.list_all(session):
                used.add_metric([quota.name], quotas.share_used(quota, now))
            yield used

            share = GaugeMetricFamily("broadsheet_quota_share_ratio", "The part of an allowance that we may use.")
            share.add_metric([], self._rt.settings.quota_share)
            yield share


def freshness_metrics(session: Session, now: datetime) -> Iterator[Metric]:
    """How fresh each polled feed is, against the objective set for it (`fresh_minutes`).

    `broadsheet_feed_age_seconds{feed}`: since a batch of it was last found complete; infinite when none ever was.
    `broadsheet_feed_objective_seconds{feed}`, `broadsheet_feed_fresh{feed}` (1 met, 0 missed) and
    `broadsheet_feed_burn_ratio{feed}` (the age as a multiple of the objective): for feeds that have one.
    """
    age = GaugeMetricFamily(
        "broadsheet_feed_age_seconds", "Since a batch of it was last found complete; +Inf: never.", labels=["feed"]
    )
    objective = GaugeMetricFamily(
        "broadsheet_feed_objective_seconds", "How old that may be, where an objective is set.", labels=["feed"]
    )
    met = GaugeMetricFamily("broadsheet_feed_fresh", "1 when the objective is met, 0 when not.", labels=["feed"])
    burn = GaugeMetricFamily(
        "broadsheet_feed_burn_ratio", "The age as a multiple of the objective; above 1 it is missed.", labels=["feed"]
    )
    for one in freshness.list_freshness(session, now=now):
        age.add_metric([one.feed], inf if one.age is None else max(0.0, one.age.total_seconds()))
        if one.objective is not None:
            objective.add_metric([one.feed], one.objective.total_seconds())
            met.add_metric([one.feed], float(one.met))
            burn.add_metric([one.feed], inf if one.burn is None else max(0.0, one.burn))
    yield from (age, objective, met, burn)
