"""Audited: which commands are acts, and how each is written down. A test holds this to the commands there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.runtime import Runtime

ACTS = {
    "backfill": ("feed.backfill", "feed"),
    "replay": ("feed.replay", "feed"),
    "import": ("paper.import", "files"),
    "bounces read": ("bounce.read", "files"),
    "deliveries bounce": ("bounce.read", "files"),
    "deliveries resend": ("edition.resend", "edition"),
    "editions send": ("edition.send", "subscription"),
    "feeds fetch": ("feed.fetch", "name"),
    "feeds import-opml": ("feed.import_opml", "file"),
    "papers zotero": ("paper.zotero", "query"),
    "subscriptions add": ("subscription.add", "to"),
}
"""Command → (act, the parameter that is its subject)."""

BY_THEMSELVES = frozenset(
    {
        "bounces lift",
        "bounces suppress",
        "deliveries restore",
        "deliveries slow",
        "feeds accept",
        "feeds add",
        "feeds edit",
        "feeds mute",
        "feeds pause",
        "feeds remove",
        "feeds resume",
        "feeds unmute",
        "papers duplicates",
        "papers unmerge",
        "runs bundle",
        "runs pause",
        "runs redrive",
        "runs resume",
        "runs retry",
        "secrets rotate",
        "subscriptions confirm",
        "subscriptions export",
        "subscriptions pause",
        "subscriptions remove",
        "subscriptions resume",
        "subscriptions wipe",
        "tokens add",
        "tokens revoke",
        "users add",
        "users disable",
        "users enable",
        "users password",
        "users role",
    }
)
"""Acts whose functions write their line in the audit, with what was before and after."""

NO_ACTS = frozenset(
    {
        "audit",
        "backup",
        "beat",
        "bounces list",
        "bounces show",
        "deliveries list",
        "deliveries rates",
        "demo",
        "doctor",
        "editions list",
        "editions preview",
        "feeds export-opml",
        "feeds list",
        "feeds show",
        "migrate",
        "papers events",
        "papers explain",
        "papers export",
        "papers list",
        "papers merges",
        "papers search",
        "papers show",
        "plan",
        "restore",
        "run",
        "runs list",
        "runs show",
        "settings",
        "subscriptions list",
        "subscriptions preview",
        "subscriptions show",
        "tokens list",
        "up",
        "users list",
        "web",
        "worker",
    }
)
"""Commands that look, or run the service. `restore` puts another database in the place of the one with the audit."""


@contextmanager
def audited(rt: Runtime) -> Iterator[None]:
    """Write the command that is running into the audit, if it is an act; how it ended, too."""
    from workers.commands.opening import asked

    path, given = asked.command, asked.given
    known = ACTS.get(path)
    if known is None or given.get("dry_run"):
        yield
        return
    from services.domain.errors import BroadsheetError
    from services.pipeline import acts
    from workers.commands.opening import me

    act, subject = known
    of = given.get(subject)
    about = " ".join(map(str, of)) if isinstance(of, (list, tuple)) else str(of if of is not None else "")
    said = {
        name: value
        for name, value in given.items()
        if value not in (None, False, "", ()) and name not in {subject, "as_json", "yes"}
    }
    try:
        yield
    except BroadsheetError as error:
        acts.note(rt, me(), act, about, outcome="failed", detail=str(error), after=said)
        raise
    acts.note(rt, me(), act, about, after=said)
