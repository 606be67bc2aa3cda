"""OAI-PMH: tokens, sets and days on the way out; four metadata formats, errors and deletions on the way in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, UpstreamUrls
from services.upstreams import arxiv_oai

SAMPLES = Path(__file__).parents[2] / "upstreams"
ABOUT = DocumentInfo(feed="harvest", kind="arxiv_oai", fetched_at=datetime(2026, 11, 24, tzinfo=UTC))
BASE = "https://oaipmh.arxiv.org/oai?verb=ListRecords"


def read(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def answer(content: str) -> bytes:
    return f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><request/>{content}</OAI-PMH>'.encode()


@pytest.mark.parametrize(
    ("params", "batch", "cursor", "rest"),
    [
        ({}, "", None, "&metadataPrefix=arXiv"),
        ({"set": "cs:cs:LG"}, "", None, "&metadataPrefix=arXiv&set=cs:cs:LG"),
        ({"set": "cs.LG"}, "", None, "&metadataPrefix=arXiv&set=cs:cs:LG"),
        ({"set": "astro-ph.CO"}, "", None, "&metadataPrefix=arXiv&set=physics:astro-ph:CO"),
        ({"set": "hep-th"}, "", None, "&metadataPrefix=arXiv&set=physics:hep-th"),
        ({"set": "math"}, "", None, "&metadataPrefix=arXiv&set=math"),
        ({"prefix": "arXivRaw"}, "2026-11-23", None, "&metadataPrefix=arXivRaw&from=2026-11-23&until=2026-11-24"),
        ({}, "2026-11-20/2026-11-23", None, "&metadataPrefix=arXiv&from=2026-11-20&until=2026-11-23"),
        (
            {"set": "cs"},
            "2026-11-23",
            "verb%3DListRecords%26skip%3D2",
            "&resumptionToken=verb%253DListRecords%2526skip%253D2",
        ),
    ],
)
def test_a_page_is_asked_for_in_the_protocols_terms(
    params: dict[str, str], batch: str, cursor: str | None, rest: str
) -> None:
    feed = FeedInfo(name="harvest", kind="arxiv_oai", params=params)
    asked = arxiv_oai.request(feed, UpstreamUrls(), batch=batch, cursor=cursor)
    assert asked.url == BASE + rest
    assert (asked.gate, asked.interval_s) == ("arxiv.org", 3.0)


@pytest.mark.parametrize(
    ("params", "batch"),
    [({"prefix": "marc"}, ""), ({"set": "cs&verb=Identify"}, ""), ({}, "2026-11"), ({}, "2026-11-24/2026-11-20")],
)
def test_what_the_protocol_does_not_have_is_refused(params: dict[str, str], batch: str) -> None:
    with pytest.raises(InvalidInput, match="feed 'harvest'"):
        arxiv_oai.request(FeedInfo(name="harvest", kind="arxiv_oai", params=params), UpstreamUrls(), batch=batch)


def test_the_arxiv_format_becomes_a_paper() -> None:
    parsed = arxiv_oai.parse(read("oai_arxiv.xml"), ABOUT)
    (paper,) = parsed.papers
    assert [str(one) for one in paper.identifiers] == ["arxiv:2611.07001", "doi:10.1234/harvest"]
    assert [(one.name, one.affiliation) for one in paper.authors] == [
        ("Eva M. Grön", None),
        ("Al Jones Jr.", "Jar Lab"),
        ("JAR Collaboration", None),
    ]
    assert paper.categories == ("cs.CL", "cs.DL")
    assert paper.published_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert paper.updated_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert (paper.comment, paper.journal_ref, paper.abstract) == ("9 pages", "Jar Rev. 2", "We harvest.")
    assert paper.license == "http://creativecommons.org/licenses/by/4.0/"
    assert (paper.announced_on, paper.withdrawn, paper.version) == (None, False, None)
    assert parsed.next_cursor == "verb%3DListRecords%26metadataPrefix%3DarXiv%26skip%3D2"


def test_deleted_and_unreadable_records_are_rejected_by_name() -> None:
    parsed = arxiv_oai.parse(read("oai_arxiv.xml"), ABOUT)
    assert [(one.reason, one.entry, one.position) for one in parsed.rejected] == [
        ("deleted by the source", "oai:arXiv.org:2611.07002", 2),
        ("metadata in the unknown format <marc>", "oai:arXiv.org:2611.07003", 3),
    ]


def test_the_raw_format_tells_versions_and_a_withdrawal() -> None:
    (paper,) = arxiv_oai.parse(read("oai_raw.xml"), ABOUT).papers
    assert (paper.version, paper.withdrawn) == (2, True)
    assert paper.published_at == datetime(2009, 11, 1, 17, 31, 28, tzinfo=UTC)
    assert paper.updated_at == datetime(2011, 2, 2, 8, tzinfo=UTC)
    assert [(one.name, one.affiliation) for one in paper.authors] == [
        ("Per Holm", None),
        ("B. Göran Lind", "Bergen (Norway)"),
        ("C. Cruz, Jr.", None),
    ]


def test_a_withdrawn_version_followed_by_another_is_no_withdrawal() -> None:
    body = read("oai_raw.xml").replace(
        b"<title>", b'<version version="v3"><date>Thu, 03 Feb 2011 08:00:00 GMT</date></version><title>', 1
    )
    (paper,) = arxiv_oai.parse(body, ABOUT).papers
    assert (paper.version, paper.withdrawn) == (3, False)


def test_dublin_core_of_arxiv_gives_identifiers_dates_and_categories() -> None:
    parsed = arxiv_oai.parse(read("oai_dc.xml"), ABOUT)
    paper = parsed.papers[0]
    assert [str(one) for one in paper.identifiers] == ["arxiv:cs/0001024", "doi:10.1234/1.24"]
    assert [one.name for one in paper.authors] == ["P. B. Holm", "Jar Group"]
    assert (paper.abstract, paper.comment) == ("We draw.", "4 pages")
    assert paper.journal_ref == "Jar Proceedings, Volume 3 (2001)"
    assert paper.categories == ("cs.CV", "math-ph")
    assert paper.published_at == datetime(2000, 1, 25, tzinfo=UTC)
    assert paper.updated_at == datetime(2001, 6, 1, tzinfo=UTC)
    assert parsed.next_cursor is None


def test_dublin_core_of_another_server_is_known_by_its_page() -> None:
    paper = arxiv_oai.parse(read("oai_dc.xml"), ABOUT).papers[1]
    assert [str(one) for one in paper.identifiers] == ["url:https://repo.example.org/items/77"]
    assert (paper.abstract, paper.comment, paper.withdrawn) == ("About jars.", None, None)


def test_no_records_match_is_a_quiet_day() -> None:
    parsed = arxiv_oai.parse(answer("<error code='noRecordsMatch'>none</error>"), ABOUT)
    assert parsed.quiet
    assert parsed.seen == 0
    assert parsed.next_cursor is None


@pytest.mark.parametrize("code", ["badArgument", "badResumptionToken", "idDoesNotExist", "cannotDisseminateFormat"])
def test_other_errors_are_refused_with_code_and_words(code: str) -> None:
    with pytest.raises(MalformedDocument, match=f"{code}: Set does not exist"):
        arxiv_oai.parse(answer(f"<error code='{code}'>Set does not exist</error>"), ABOUT)


@pytest.mark.parametrize("verb", ["Identify", "ListSets", "ListMetadataFormats", "ListIdentifiers"])
def test_answers_without_records_are_refused_by_their_verb(verb: str) -> None:
    with pytest.raises(MalformedDocument, match=rf"holds no records \({verb}\)"):
        arxiv_oai.parse(answer(f"<{verb}><x/></{verb}>"), ABOUT)


@pytest.mark.parametrize("body", [b"", b"<feed/>", b"no xml", read("oai_arxiv.xml")[:900], answer("")])
def test_another_document_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument, match="expected an OAI-PMH answer"):
        arxiv_oai.parse(body, ABOUT)


@pytest.mark.parametrize(
    ("authors", "names"),
    [
        ("<author><keyname>Ray</keyname><forenames>Al</forenames></author>", ["Al Ray"]),
        ("<author><keyname>Ray</keyname></author>", ["Ray"]),
        ("<author><keyname>Ray</keyname><forenames/></author>", ["Ray"]),
        ("<author><forenames>Al</forenames><keyname>Ray</keyname></author>", ["Al Ray"]),
        ("<author><keyname>Ray</keyname><forenames>Al</forenames><suffix>Jr</suffix></author>", ["Al Ray Jr"]),
        (
            "<author><keyname>Ray</keyname></author>"
            "<author><keyname>Lee</keyname><forenames>Bo</forenames><forenames>Cy</forenames></author>",
            ["Ray", "Bo Lee"],
        ),
        ("<author><keyname>  Ray </keyname>\n<forenames>Al</forenames></author>", ["Al Ray"]),
    ],
)
def test_authors_are_read_in_whatever_order_their_names_stand(authors: str, names: list[str]) -> None:
    record = (
        '<metadata><arXiv xmlns="http://arxiv.org/OAI/arXiv/"><id>2601.01234</id>'
        f"<authors>{authors}</authors><title>Tides</title></arXiv></metadata>"
    )
    (paper,) = arxiv_oai.parse(answer(f"<ListRecords><record>{record}</record></ListRecords>"), ABOUT).papers
    assert [author.name for author in paper.authors] == names
