"""Measured: what one paper, poll, edition and mail cost. Written by `python -m tests.benchmarks fit`; not by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds are those of a processor unless said otherwise; bytes are those of PostgreSQL's files."""

    poll_s: float
    """A poll that finds nothing new."""
    database_poll_s: float
    commits_a_poll: float
    poll_bytes: float
    paper_s: float
    """A new paper in a full page: fetched, parsed, stored, indexed."""
    database_paper_s: float
    paper_bytes: float
    """With all indexes."""
    document_bytes: float
    """Its part of the page as received, compressed."""
    edition_s: float
    """Choosing an edition's papers from 500 new ones, and planning its delivery."""
    candidate_s: float
    """Each further new paper an edition is chosen from."""
    reading_s: float
    """Each paper an edition is chosen from where they are more than are kept ready: they are read for it anew."""
    query_s: float
    """Reading one more query, and trying it on 500 new papers."""
    mail_s: float
    """Rendering it and handing it over."""
    database_mail_s: float
    """Both together, in the database."""
    commits_a_mail: float
    sync_s: float
    """By the clock: one write until the disk has it."""
    mail_wire_bytes: float
    delivery_bytes: float
    """Edition, items, delivery and the mail as kept."""
    message_bytes: float
    """The mail as kept, of which that is a part."""
    job_bytes: float
    reader_bytes: float
    """Subscriber and subscription."""
    worker_mb: float
    """Memory of a process that works."""
    requests_per_fifty: float
    """To GitHub, for each 50 repositories that are due."""
    backup_share: float
    """A backup's size as a part of the database's."""


MEASURED_ON = "2026-11-28"
MACHINE = "2 × AMD EPYC, 25 GB, Python 3.11.7, shared; PostgreSQL beside it"
FIGURES = Figures(
    poll_s=0.006839,
    database_poll_s=0.002733,
    commits_a_poll=2.007,
    poll_bytes=1638.0,
    paper_s=0.0002313,
    database_paper_s=0.0001525,
    paper_bytes=8295.0,
    document_bytes=439.5,
    edition_s=0.005727,
    candidate_s=5.524e-06,
    reading_s=7.167e-05,
    query_s=0.0002823,
    mail_s=0.003634,
    database_mail_s=0.004325,
    commits_a_mail=4.013,
    sync_s=0.0001568,
    mail_wire_bytes=60150.0,
    delivery_bytes=12790.0,
    message_bytes=8001.0,
    job_bytes=1119.0,
    reader_bytes=1287.0,
    worker_mb=218.7,
    requests_per_fifty=1.0,
    backup_share=0.227,
)
