"""arXiv's OAI-PMH interface, replayed: Identify, ListSets, ListRecords and GetRecord in the `arXiv` format.

Protocol errors are HTTP 200, resumption tokens are a query that is encoded once more, as on the real service.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from html import escape
from urllib.parse import parse_qs, quote, unquote, urlencode

from workers.demo.content import Content, DemoPaper
from workers.demo.exchange import Answer, Ask, iso, text_answer

PAGE = 15
"""Records a page; the real service sends 2,500."""
BASE = "https://oaipmh.arxiv.org/oai"
EARLIEST = date(2005, 9, 16)
_GROUPED = {"physics": "physics:physics"}
_OPEN = (
    '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ '
    'http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">'
)
_FORMAT = (
    '<arXiv xmlns="http://arxiv.org/OAI/arXiv/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://arxiv.org/OAI/arXiv/ https://oaipmh.arxiv.org/OAI/arXiv.xsd">'
)


class _ProtocolError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def answer(ask: Ask, content: Content) -> Answer:
    """The answer to a request for `/arxiv/oai`."""
    try:
        body = _answer_verb(ask, content)
    except _ProtocolError as error:
        body = f"<error code='{error.code}'>{escape(str(error))}</error>"
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{_OPEN}\n<responseDate>{iso(ask.now)}</responseDate>\n'
        f'<request verb="{escape(ask.param("verb"))}">{BASE}</request>\n{body}\n</OAI-PMH>\n'
    )
    return text_answer(document, 200, "text/xml")


def _answer_verb(ask: Ask, content: Content) -> str:
    if any(len(values) > 1 for values in ask.query.values()):
        raise _ProtocolError("badArgument", "a repeated argument")
    match ask.param("verb"):
        case "Identify":
            return _identify()
        case "ListSets":
            return _list_sets(content)
        case "ListRecords":
            return _list_records(ask, content)
        case "GetRecord":
            return _get_record(ask, content)
    raise _ProtocolError("badVerb", "Invalid verb provided")


def _identify() -> str:
    return (
        f"<Identify><repositoryName>arXiv</repositoryName><baseURL>{BASE}</baseURL>"
        "<protocolVersion>2.0</protocolVersion><adminEmail>help@arxiv.org</adminEmail>"
        f"<earliestDatestamp>{EARLIEST}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DD</granularity></Identify>"
    )


def _list_sets(content: Content) -> str:
    names = sorted({name for paper in content.arxiv for spec in _sets(paper) for name in _with_parents(spec)})
    rows = "".join(f"<set><setSpec>{name}</setSpec><setName>{name}</setName></set>" for name in names)
    return f"<ListSets>{rows}</ListSets>"


def _list_records(ask: Ask, content: Content) -> str:
    token = ask.param("resumptionToken")
    arguments = _from_token(token) if token else {name: ask.param(name) for name in ask.query}
    if arguments.get("metadataPrefix") != "arXiv":
        known = arguments.get("metadataPrefix")
        code = "cannotDisseminateFormat" if known else "badArgument"
        raise _ProtocolError(code, "Did not recognise the requested format")
    skip = int(arguments.get("skip", "0"))
    found = _select(arguments, content, ask.now.date())
    page = found[skip : skip + PAGE]
    if not page:
        raise _ProtocolError("noRecordsMatch", "No records match the request")
    closing = ""
    if skip + PAGE < len(found):
        names = ("metadataPrefix", "from", "until", "set")
        kept = {name: arguments[name] for name in names if name in arguments}
        query = urlencode({"verb": "ListRecords", **kept, "skip": str(skip + PAGE)})
        expires = f"{ask.now.date() + timedelta(days=1)}T00:00:00Z"
        following = quote(query, safe="")
        closing = f"<resumptionToken expirationDate='{expires}'>{following}</resumptionToken>"
    elif skip:
        closing = "<resumptionToken/>"
    return f"<ListRecords>{''.join(_record(paper) for paper in page)}{closing}</ListRecords>"


def _from_token(token: str) -> dict[str, str]:
    # What arrives must still be encoded: the element's text is to be encoded once more by the client.
    arguments = {name: values[0] for name, values in parse_qs(unquote(token)).items()}
    ours = "%" in token and arguments.pop("verb", "") == "ListRecords"
    if not ours or not arguments.get("skip", "").isdigit():
        raise _ProtocolError("badResumptionToken", "The value of the resumptionToken argument is invalid")
    return arguments


def _select(arguments: dict[str, str], content: Content, today: date) -> list[DemoPaper]:
    since = _day(arguments.get("from"), EARLIEST)
    until = _day(arguments.get("until"), date.max)
    wanted = arguments.get("set")
    if since < EARLIEST:
        raise _ProtocolError("badArgument", "start date too early")
    if until < since:
        raise _ProtocolError("badArgument", "until date must be greater than or equal to from date")
    if "until" in arguments and until > max(today, content.today) + timedelta(days=1):
        raise _ProtocolError("badArgument", "until date too late")
    known = {name for paper in content.arxiv for spec in _sets(paper) for name in _with_parents(spec)}
    if wanted and wanted not in known:
        raise _ProtocolError("badArgument", "Set does not exist")
    rows = [
        paper
        for paper in content.arxiv
        if since <= _datestamp(paper) <= until
        and (not wanted or any(wanted in _with_parents(spec) for spec in _sets(paper)))
    ]
    return sorted(rows, key=lambda paper: (_datestamp(paper), paper.arxiv_id))


def _day(text: str | None, default: date) -> date:
    if text is None:
        return default
    try:
        # Only YYYY-MM-DD: `fromisoformat` alone would take 20261124 as well.
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise _ProtocolError("badArgument", "dates are YYYY-MM-DD") from None


def _get_record(ask: Ask, content: Content) -> str:
    if ask.param("metadataPrefix") != "arXiv":
        raise _ProtocolError("cannotDisseminateFormat", "Did not recognise the requested format")
    paper = content.papers_by_id.get(ask.param("identifier").removeprefix("oai:arXiv.org:"))
    if paper is None or not paper.on_arxiv:
        raise _ProtocolError("idDoesNotExist", "Nothing found for this id")
    return f"<GetRecord>{_record(paper)}</GetRecord>"


def _datestamp(paper: DemoPaper) -> date:
    return paper.revised_on or paper.announced_on


def _sets(paper: DemoPaper) -> list[str]:
    specs = []
    for category in paper.categories:
        archive, _, subject = category.partition(".")
        specs.append(f"{_GROUPED.get(archive, f'{archive}:{archive}')}:{subject}")
    return specs


def _with_parents(spec: str) -> list[str]:
    parts = spec.split(":")
    return [":".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _record(paper: DemoPaper) -> str:
    sets = "".join(f"<setSpec>{spec}</setSpec>" for spec in _sets(paper))
    authors = "".join(_author(name) for name in paper.authors)
    optional = {
        "updated": f"{paper.updated_at:%Y-%m-%d}" if paper.version > 1 else None,
        "comments": paper.comment,
        "journal-ref": paper.journal_ref,
        "doi": paper.doi,
    }
    extra = {name: f"<{name}>{escape(value)}</{name}>" if value else "" for name, value in optional.items()}
    return (
        f"<record><header><identifier>oai:arXiv.org:{paper.arxiv_id}</identifier>"
        f"<datestamp>{_datestamp(paper)}</datestamp>{sets}</header>\n<metadata>{_FORMAT}<id>{paper.arxiv_id}</id>"
        f"<created>{paper.published_at:%Y-%m-%d}</created>{extra['updated']}<authors>{authors}</authors>"
        f"<title>{escape(paper.title)}</title><categories>{' '.join(paper.categories)}</categories>"
        f"{extra['comments']}{extra['journal-ref']}{extra['doi']}<license>{escape(paper.license)}</license>"
        f"<abstract>  {escape(paper.abstract)}</abstract></arXiv></metadata></record>\n"
    )


def _author(name: str) -> str:
    forenames, _, keyname = name.rpartition(" ")
    return f"<author><keyname>{escape(keyname)}</keyname><forenames>{escape(forenames)}</forenames></author>"
