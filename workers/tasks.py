"""Every task there is, in pipeline order: the table of contents. Each runs the one job its message names."""

from __future__ import annotations

from celery import shared_task

from workers.app import run_hinted


@shared_task(name="broadsheet.fetch")
def fetch(job_id: int) -> str:
    """Fetch one page of one feed."""
    return run_hinted(job_id)


@shared_task(name="broadsheet.parse")
def parse(job_id: int) -> str:
    """Parse one document into papers."""
    return run_hinted(job_id)


@shared_task(name="broadsheet.enrich")
def enrich(job_id: int) -> str:
    """Read up to 50 repositories, or keep house."""
    return run_hinted(job_id)


@shared_task(name="broadsheet.notify")
def notify(job_id: int) -> str:
    """Compose one edition, or send its deliveries."""
    return run_hinted(job_id)
