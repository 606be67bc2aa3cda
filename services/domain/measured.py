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
    poll_s=0.01296,
    database_poll_s=0.004167,
    commits_a_poll=2.033,
    poll_bytes=819.2,
    paper_s=0.0006767,
    database_paper_s=0.00017,
    paper_bytes=9719,
    document_bytes=398.1,
    edition_s=0.02503,
    candidate_s=1.239e-05,
    query_s=0.001881,
    mail_s=0.02744,
    database_mail_s=0.009833,
    commits_a_mail=4.033,
    sync_s=0.007054,
    mail_wire_bytes=5.907e04,
    delivery_bytes=1.479e04,
    message_bytes=7285,
    job_bytes=2278,
    reader_bytes=2560,
    worker_mb=215.5,
    requests_per_fifty=1,
    backup_share=0.1455,
)
