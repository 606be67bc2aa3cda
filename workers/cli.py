"""The `broadsheet` command: names and help of all commands. What they do is in `workers.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.commands import (
    bounces,
    database,
    deliveries,
    doctor,
    editions,
    export,
    feeds,
    feeds_add,
    feeds_opml,
    feeds_show,
    imports,
    opening,
    papers,
    papers_pairs,
    past,
    personal,
    plan,
    rates,
    rules,
    runs,
    secret_keys,
    service,
    subscriptions,
    tokens,
    users,
    zotero,
)
from workers.commands.faults import CONTENT, OPERATING, READERS, RUNNING, Commands, Listed
from workers.commands.options import epilog
from workers.commands.output import say

app = typer.Typer(
    name="broadsheet",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # help in colours would take ten times as long to come up
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="A self-hosted Daily Papers: new research papers and their code, deduplicated, delivered by email or Slack.",
    epilog=epilog(
        "broadsheet demo                 see it work, with no network and nothing set up",
        "broadsheet up                   the whole service in one process",
        "broadsheet subscriptions add --to you@example.org --confirmed",
    ),
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"broadsheet {version('broadsheet')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what goes well, too (to stderr).")] = False,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A self-hosted Daily Papers: new research papers and their code, deduplicated, delivered by email or Slack."""
    opening.asked.verbose = verbose


@app.command(rich_help_panel=RUNNING, epilog=epilog("broadsheet demo", "broadsheet demo --once --json"))
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit when all is delivered (0), or is not (1).")] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port of the web page; 0 takes a free one.")
    ] = 0,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Data folder.", show_default="BROADSHEET_HOME, or ~/.broadsheet/demo"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document (as with --once).")] = False,
) -> None:
    """See it work with no network: replayed upstreams, the real pipeline, digests in a folder, the web page up."""
    from workers.commands.demo import demo as run_demo

    raise typer.Exit(run_demo(once or as_json, port, home, as_json))


for command, name in (
    (service.up, "up"),
    (service.run, "run"),
    (service.worker, "worker"),
    (service.beat, "beat"),
    (service.web, "web"),
):
    app.command(name, rich_help_panel=RUNNING, epilog=service.EPILOGS[name])(command)

feeds.app.command("add", epilog=feeds_add.EPILOG)(feeds_add.add_feed)
feeds.app.command("show", epilog=feeds_show.EPILOG)(feeds_show.show_feed)
feeds.app.command("edit", epilog=feeds_add.EDIT_EPILOG)(feeds_add.edit_feed)
feeds.app.command("import-opml", epilog=feeds_opml.IMPORT_EPILOG)(feeds_opml.import_opml)
feeds.app.command("export-opml", epilog=feeds_opml.EXPORT_EPILOG)(feeds_opml.export_opml)
app.add_typer(feeds.app, name="feeds", cls=Listed, rich_help_panel=CONTENT)
papers.app.command("export", epilog=export.EPILOG)(export.export_papers)
papers.app.command("zotero", epilog=zotero.EPILOG)(zotero.send_papers)
papers.app.command("duplicates", epilog=papers_pairs.DUPLICATES_EPILOG)(papers_pairs.list_duplicates)
papers.app.command("merges", epilog=papers_pairs.MERGES_EPILOG)(papers_pairs.list_merges)
papers.app.command("unmerge", epilog=papers_pairs.UNMERGE_EPILOG)(papers_pairs.unmerge_papers)
papers.app.command("events", epilog=papers_pairs.EVENTS_EPILOG)(papers_pairs.list_events)
app.add_typer(papers.app, name="papers", cls=Listed, rich_help_panel=CONTENT)
app.command("import", rich_help_panel=CONTENT, epilog=imports.EPILOG)(imports.import_files)
app.command("backfill", rich_help_panel=CONTENT, epilog=past.BACKFILL_EPILOG)(past.backfill)
app.command("replay", rich_help_panel=CONTENT, epilog=past.REPLAY_EPILOG)(past.replay)

subscriptions.app.command("preview", epilog=rules.EPILOG)(rules.preview)
subscriptions.app.command("export", epilog=personal.EXPORT_EPILOG)(personal.export_person)
subscriptions.app.command("wipe", epilog=personal.WIPE_EPILOG)(personal.wipe_person)
app.add_typer(subscriptions.app, name="subscriptions", cls=Listed, rich_help_panel=READERS)
app.add_typer(editions.app, name="editions", cls=Listed, rich_help_panel=READERS)
deliveries.app.command("bounce", epilog=bounces.EPILOG.replace("bounces read", "deliveries bounce"))(bounces.bounce)
deliveries.app.command("rates", epilog=rates.EPILOGS["rates"])(rates.list_rates)
deliveries.app.command("slow", epilog=rates.EPILOGS["slow"])(rates.slow_down)
deliveries.app.command("restore", epilog=rates.EPILOGS["restore"])(rates.restore)
bounces.app.command("read", epilog=bounces.EPILOG)(bounces.bounce)
app.add_typer(deliveries.app, name="deliveries", cls=Listed, rich_help_panel=READERS)
app.add_typer(bounces.app, name="bounces", cls=Listed, rich_help_panel=READERS)

app.command("doctor", rich_help_panel=OPERATING, epilog=doctor.EPILOG)(doctor.doctor)
app.add_typer(runs.app, name="runs", cls=Listed, rich_help_panel=OPERATING)
app.add_typer(users.app, name="users", cls=Listed, rich_help_panel=OPERATING)
app.add_typer(tokens.app, name="tokens", cls=Listed, rich_help_panel=OPERATING)
app.add_typer(secret_keys.app, name="secrets", cls=Listed, rich_help_panel=OPERATING)
app.command("audit", rich_help_panel=OPERATING, epilog=tokens.AUDIT_EPILOG)(tokens.audit)
app.command("migrate", rich_help_panel=OPERATING, epilog=database.EPILOGS["migrate"])(database.migrate)
app.command("backup", rich_help_panel=OPERATING, epilog=database.EPILOGS["backup"])(database.backup)
app.command("restore", rich_help_panel=OPERATING, epilog=database.EPILOGS["restore"])(database.restore)
app.command("plan", rich_help_panel=OPERATING, epilog=plan.EPILOG)(plan.plan)
app.command("settings", rich_help_panel=OPERATING, epilog=doctor.SETTINGS_EPILOG)(doctor.settings)


def main() -> None:
    """The program's entry."""
    app(prog_name="broadsheet")
