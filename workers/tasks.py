"""Every task there is, in pipeline order: the table of contents. Each runs the one job its message names."""

from __future__ import annotations

from celery import shared_task

from workers.app import StageTask


@shared_task(bind=True, name="broadsheet.fetch")
def fetch(self: StageTask, job_id: int) -> str:
    """Fetch one page of one feed."""
    return self.run_hinted(job_id)


@shared_task(bind=True, name="broadsheet.parse")
def parse(self: StageTask, job_id: int) -> str:
    """Parse one document into papers."""
    return self.run_hinted(job_id)


@shared_task(bind=True, name="broadsheet.enrich")
def enrich(self: StageTask, job_id: int) -> str:
    """Read up to 50 repositories, or keep house."""
    return self.run_hinted(job_id)


@shared_task(bind=True, name="broadsheet.notify")
def notify(self: StageTask, job_id: int) -> str:
    """Compose one edition, or send its deliveries."""
    return self.run_hinted(job_id)
