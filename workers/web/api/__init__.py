"""API: the archive, the ledgers and all an operator does, as JSON under /api/v1. `access` says who may what."""

from __future__ import annotations

from workers.web.api.feeds import router as feeds
from workers.web.api.papers import router as papers
from workers.web.api.people import router as people
from workers.web.api.rates import router as rates
from workers.web.api.readers import router as readers
from workers.web.api.runs import router as runs
from workers.web.api.service import router as service

ROUTERS = (papers, feeds, runs, rates, readers, service, people)

__all__ = ["ROUTERS"]
