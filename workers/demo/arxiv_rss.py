"""arXiv's daily announcement feeds, replayed: `/rss/{query}` and `/atom/{query}`.

A query is one or more categories or archives joined by `+`, in any case. The feed holds the announcement
of the replay's day only; on a weekend it is an empty channel that says why by `skipDays`.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from html import escape
from zoneinfo import ZoneInfo

from workers.demo.content import Content, DemoPaper
from workers.demo.exchange import Answer, Ask, digest, iso, text_answer

ARCHIVES = {
    "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE NI OH OS "
    "PF PL RO SC SD SE SI SY",
    "eess": "AS IV SP SY",
    "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA RT SG SP ST",
    "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an ed-ph flu-dyn "
    "gen-ph geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
    "q-bio": "BM CB GN MN NC OT PE QM SC TO",
    "stat": "AP CO ME ML OT TH",
}
_NEW_YORK = ZoneInfo("America/New_York")
_ORDER = ("new", "cross", "replace", "replace-cross")
_NAMESPACES = 'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/" '
_MAX_LISTED_VERSION = 5


class _UnknownQuery(Exception):
    """No such archive or subject class."""


def answer(ask: Ask, content: Content) -> Answer:
    """The answer to a request under `/arxiv/rss` or `/arxiv/atom`; the path is relative to `/arxiv`."""
    _, form, query = ask.path.split("/", 2)
    midnight = datetime.combine(content.today, time(), _NEW_YORK)
    try:
        names, listed = _listing(query, content)
        render = _rss if form == "rss" else _atom
        body, status = render(query, names, listed, midnight), 200
    except _UnknownQuery as error:
        body, status = _error_channel(query, str(error), midnight), 400
    # The digest stands without quotes, against the RFC, as on the real service.
    left = max(int((midnight + timedelta(days=1) - ask.now).total_seconds()), 0)
    kind = "application/atom+xml" if form == "atom" and status == 200 else "application/rss+xml"
    reply = text_answer(body, status, kind)
    return reply.with_headers(ETag=digest(reply.body), Cache_Control=f"max-age={left}")


def _listing(query: str, content: Content) -> tuple[list[str], list[tuple[DemoPaper, str]]]:
    """The canonical names asked for, and the papers listed, each once with its strongest announce type."""
    names = [_canonical(name) for name in query.split("+")]
    best: dict[str, str] = {}
    for category in {category for paper in content.arxiv for category in paper.categories}:
        if not any(category == name or category.startswith(f"{name}.") for name in names):
            continue
        for arxiv_id, kind in content.listed_in_rss(category).items():
            known = best.get(arxiv_id)
            if known is None or _ORDER.index(kind) < _ORDER.index(known):
                best[arxiv_id] = kind
    listed = [(content.papers_by_id[arxiv_id], kind) for arxiv_id, kind in best.items()]
    listed = [row for row in listed if row[0].version <= _MAX_LISTED_VERSION]
    listed.sort(key=lambda row: row[0].arxiv_id, reverse=True)
    listed.sort(key=lambda row: _ORDER.index(row[1]))
    return names, listed


def _canonical(name: str) -> str:
    archive, dot, subject = name.partition(".")
    archive = archive.lower()
    if archive not in ARCHIVES:
        raise _UnknownQuery(f"Bad archive '{archive}'. Valid archives are: {', '.join(ARCHIVES)}.")
    if not dot:
        return archive
    for known in ARCHIVES[archive].split():
        if known.lower() == subject.lower():
            return f"{archive}.{known}"
    valid = ", ".join(f"{archive}.{known}" for known in ARCHIVES[archive].split())
    raise _UnknownQuery(
        f"Bad subject class '{subject}'. Valid subject classes for the archive '{archive}' are: {valid}."
    )


def _channel(query: str, title: str, description: str, midnight: datetime, inner: str) -> str:
    address = escape(f"https://rss.arxiv.org/rss/{query}")
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f'<rss {_NAMESPACES}xmlns:atom="http://www.w3.org/2005/Atom" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" version="2.0">\n'
        f"  <channel>\n    <title>{escape(title)}</title>\n    <link>{address}</link>\n"
        f"    <description>{escape(description)}</description>\n"
        f'    <atom:link href="{address}" rel="self" type="application/rss+xml"/>\n'
        "    <docs>http://www.rssboard.org/rss-specification</docs>\n    <language>en-us</language>\n"
        # Rendered once a day and cached until the next: so the digest stays, too.
        f"    <lastBuildDate>{format_datetime(midnight.astimezone(UTC))}</lastBuildDate>\n"
        "    <managingEditor>rss-help@arxiv.org</managingEditor>\n"
        f"    <pubDate>{format_datetime(midnight)}</pubDate>\n{inner}  </channel>\n</rss>\n"
    )


def _rss(query: str, names: list[str], listed: list[tuple[DemoPaper, str]], midnight: datetime) -> str:
    label = ", ".join(names)
    skip = "    <skipDays>\n      <day>Sunday</day>\n      <day>Saturday</day>\n    </skipDays>\n"
    items = "".join(_item(paper, kind, midnight) for paper, kind in listed)
    title = f"{label} updates on arXiv.org"
    description = f"{label} updates on the arXiv.org e-print archive."
    return _channel(query, title, description, midnight, skip + items)


def _error_channel(query: str, reason: str, midnight: datetime) -> str:
    return _channel(query, f"Feed error for query: https://rss.arxiv.org/rss/{query}", reason, midnight, "")


def _item(paper: DemoPaper, kind: str, midnight: datetime) -> str:
    lines = [
        f"<title>{escape(paper.title)}</title>",
        f"<link>https://arxiv.org/abs/{paper.arxiv_id}</link>",
        f"<description>{escape(_description(paper, kind))}</description>",
        f'<guid isPermaLink="false">oai:arXiv.org:{paper.arxiv_id}v{paper.version}</guid>',
        *(f"<category>{category}</category>" for category in paper.categories),
        f"<pubDate>{format_datetime(midnight)}</pubDate>",
        *_extension(paper, kind),
    ]
    return "    <item>\n" + "".join(f"      {line}\n" for line in lines) + "    </item>\n"


def _atom(query: str, names: list[str], listed: list[tuple[DemoPaper, str]], midnight: datetime) -> str:
    address, label = escape(f"https://rss.arxiv.org/atom/{query}"), ", ".join(names)
    entries = "".join(_atom_entry(paper, kind, midnight) for paper, kind in listed)
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f'<feed {_NAMESPACES}xmlns="http://www.w3.org/2005/Atom" xml:lang="en-us">\n'
        f"  <id>{address}</id>\n  <title>{label} updates on arXiv.org</title>\n"
        f"  <updated>{iso(midnight)}</updated>\n"
        f'  <link href="{address}" rel="self" type="application/atom+xml"/>\n'
        f"  <subtitle>{label} updates on the arXiv.org e-print archive.</subtitle>\n{entries}</feed>\n"
    )


def _atom_entry(paper: DemoPaper, kind: str, midnight: datetime) -> str:
    lines = [
        f"<id>oai:arXiv.org:{paper.arxiv_id}v{paper.version}</id>",
        f"<title>{escape(paper.title)}</title>",
        f"<updated>{iso(midnight)}</updated>",
        f'<link href="https://arxiv.org/abs/{paper.arxiv_id}" rel="alternate" type="text/html"/>',
        f"<summary>{escape(_description(paper, kind))}</summary>",
        *(f'<category term="{category}"/>' for category in paper.categories),
        f"<published>{midnight.isoformat()}</published>",
        *_extension(paper, kind),
    ]
    return "  <entry>\n" + "".join(f"    {line}\n" for line in lines) + "  </entry>\n"


def _description(paper: DemoPaper, kind: str) -> str:
    # The blank before the line break is theirs.
    return f"arXiv:{paper.arxiv_id}v{paper.version} Announce Type: {kind} \nAbstract: {paper.abstract}"


def _extension(paper: DemoPaper, kind: str) -> list[str]:
    lines = [
        f"<arxiv:announce_type>{kind}</arxiv:announce_type>",
        f"<dc:rights>{escape(paper.license)}</dc:rights>",
    ]
    if paper.doi:
        lines.append(f"<arxiv:DOI>{escape(paper.doi)}</arxiv:DOI>")
    if paper.journal_ref:
        lines.append(f"<arxiv:journal_reference>{escape(paper.journal_ref)}</arxiv:journal_reference>")
    creators = list(paper.authors)
    if paper.organization:
        creators[0] += f" ({paper.organization})"
    lines.append(f"<dc:creator>{escape(', '.join(creators))}</dc:creator>")
    return lines
