"""Papers: one page of entries in, one row a paper out.

`store_page` is the heart of the archive. It works in batches (a handful of statements a page, whatever its
size): who is who is decided in `storage.identity` and `storage.title_entries`, what is written in
`storage.paper_rows`; reading papers back is in `storage.archive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import func
from sqlmodel import Session, select

from services.domain.papers import PaperData
from services.storage import title_entries
from services.storage.engine import is_sqlite
from services.storage.identity import group, named
from services.storage.paper_rows import Stored, Telling, store_groups
from services.storage.repointing import fold
from services.storage.tables import Feed

__all__ = ["STORE_LOCK", "Stored", "store_page"]

STORE_LOCK = 0x7061706572  # "paper": one number for all processes that store


def store_page(
    session: Session,
    entries: Sequence[PaperData],
    *,
    feed: Feed | None,
    source: str,
    day: date,
    now: datetime,
    read_on: date | None = None,
) -> Stored:
    """Store a page's entries as papers, identifiers, statements, sightings and links.

    Without `feed` nobody listed them: they are answers about papers we hold, and leave no sighting.
    `source` names who speaks (see `domain.merging`), `day` is used where an entry states none, `read_on` is the
    day the source itself was asked (`None` for recordings). Storing the same page again changes nothing, and the
    order in which pages are stored makes no difference to what is held of papers, identifiers and links.
    """
    result = Stored()
    if not entries:
        return result
    if not is_sqlite(session):
        # One page at a time, as on SQLite: two that bring the same new papers would wait for each other for ever.
        session.execute(select(func.pg_advisory_xact_lock(STORE_LOCK)))
    telling = Telling(source=source, feed_id=(feed.id or 0) if feed else 0, day=day, read_on=read_on, now=now)
    strong, weak = title_entries.sort_out(session, [named(entry) for entry in entries])
    groups = group(session, strong)
    for one in groups:
        if len(one.paper_ids) > 1:
            names = ", ".join(sorted({str(i) for e in one.entries for i in e.identifiers}))
            fold(session, one, why=f"one entry names both: {names}", now=now)
            result.merged += 1
    title_entries.adopt(session, groups)
    store_groups(session, groups, telling, result)
    title_entries.store(session, weak, telling, result, touched=list(result.paper_ids))
    result.paper_ids = list(dict.fromkeys(result.paper_ids))
    return result
