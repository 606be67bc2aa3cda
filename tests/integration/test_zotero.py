"""Papers sent to a Zotero library: once each, however often; what its owner made of them stays."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.identifiers import Identifier
from services.domain.papers import AuthorData, PaperFacts
from services.domain.zotero import ALPHABET, collection_of, item_of, key_of, library_of
from services.upstreams.zotero import parse
from tests.integration.command import SAMPLES, Broadsheet

KEY = "a key that may write"


class Library:
    """A library on loopback, as Zotero keeps one: an item of version 0 under a key it has is refused with 412."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, int]] = []
        library = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                library.requests.append((self.path, len(sent)))
                allowed = self.headers["Zotero-API-Key"] == KEY and self.headers["Zotero-API-Version"] == "3"
                body = json.dumps(library.take(sent)).encode() if allowed else b"Forbidden"
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def take(self, sent: list[dict[str, Any]]) -> dict[str, Any]:
        """The outcome of each item."""
        said: dict[str, Any] = {"successful": {}, "success": {}, "unchanged": {}, "failed": {}}
        for place, item in enumerate(sent):
            if item["key"] in self.items:
                said["failed"][str(place)] = {"key": item["key"], "code": 412, "message": "Item has been modified"}
            elif not item["title"]:
                said["failed"][str(place)] = {"key": item["key"], "code": 400, "message": "it has no title"}
            else:
                self.items[item["key"]] = item
                said["successful"][str(place)] = {"key": item["key"], "version": 7, "data": item}
        return said

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Library:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def library(broadsheet: Broadsheet) -> Iterator[Library]:
    with Library() as one:
        broadsheet.settings |= {
            "ZOTERO_URL": one.url, "ZOTERO_KEY": KEY, "ZOTERO_LIBRARY": "users/123", "GATE_SCALE": "0",
            "ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        }  # fmt: skip
        broadsheet("import", SAMPLES / "hf_daily.json", code=0)
        yield one


def test_papers_arrive_once_and_stay_as_their_owner_left_them(library: Library, broadsheet: Broadsheet) -> None:
    sent = broadsheet.json("papers", "zotero", "--query", "*", "--collection", "abcd2345")
    assert (sent["added"], sent["known"], sent["refused"]) == (len(library.items), 0, [])
    assert library.requests == [("/users/123/items", len(library.items))]
    (jar,) = [item for item in library.items.values() if "Weather in a Jar" in item["title"]]
    assert (jar["itemType"], jar["collections"]) == ("preprint", ["ABCD2345"])
    jar["title"] = "Weather in a jar (read this)"
    again = broadsheet.json("papers", "zotero", "--query", "*")
    assert (again["added"], again["known"]) == (0, len(library.items))
    assert jar["title"] == "Weather in a jar (read this)"


def test_what_a_reader_saved_is_sent(library: Library, broadsheet: Broadsheet) -> None:
    broadsheet("subscriptions", "add", "--to", "ada@example.org", "--confirmed", code=0)
    assert broadsheet.json("papers", "zotero", "--saved-by", "1")["added"] == 0
    assert library.requests == []
    assert broadsheet("papers", "zotero", "--saved-by", "9", code=1).err


def test_what_is_not_taken_is_named(library: Library, broadsheet: Broadsheet) -> None:
    library.take = lambda sent: {  # type: ignore[method-assign]
        "successful": {}, "failed": {"0": {"code": 400, "message": "'x' is no field"}}
    }  # fmt: skip
    said = broadsheet.json("papers", "zotero", "--query", "*", code=1)
    assert [one["reason"] for one in said["refused"]] == ["400: 'x' is no field"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ZOTERO_KEY": "another"}, "does not let this key write"),
        ({"ZOTERO_KEY": ""}, "no Zotero library is set up"),
        ({"ZOTERO_LIBRARY": "ada"}, "users/NUMBER"),
    ],
)
def test_a_library_that_is_not_rightly_set_up_is_said(
    library: Library, broadsheet: Broadsheet, changes: dict[str, str], says: str
) -> None:
    broadsheet.settings |= changes
    said = broadsheet("papers", "zotero", "--query", "*", code=1)
    assert says in said.err
    assert KEY not in said.err
    assert library.items == {}


def test_it_wants_to_be_told_which_papers(broadsheet: Broadsheet) -> None:
    assert "say which papers" in broadsheet("papers", "zotero", code=2).err
    assert "say which papers" in broadsheet("papers", "zotero", "--query", "x", "--saved-by", "1", code=2).err


def test_an_item_has_what_zotero_keeps_of_its_kind() -> None:
    paper = PaperFacts(
        id=1, key="arxiv:2611.90001", title="On $x^2$ & more", abstract="We count.", categories=("cs.CL",),
        authors=(AuthorData(name="Ludwig van Beethoven"), AuthorData(name="Consortium")),
        published_at=datetime(2026, 11, 3, tzinfo=UTC), first_seen_at=datetime(2026, 11, 24, tzinfo=UTC),
        identifiers=(Identifier("arxiv", "2611.90001"), Identifier("doi", "10.5/x")),
    )  # fmt: skip
    item = item_of(paper)
    assert re.fullmatch(f"[{ALPHABET}]{{8}}", item["key"])
    assert item["key"] == key_of(paper)
    assert item["creators"] == [
        {"creatorType": "author", "firstName": "Ludwig", "lastName": "van Beethoven"},
        {"creatorType": "author", "name": "Consortium"},
    ]
    assert (item["date"], item["DOI"], item["archiveID"], item["repository"]) == (
        "2026-11-03", "10.5/x", "arXiv:2611.90001", "arXiv",
    )  # fmt: skip
    assert item["tags"] == [{"tag": "cs.CL", "type": 1}]


@pytest.mark.parametrize("text", ["ada", "users/", "users/x", "groups/1/items", "users/1?x", ""])
def test_a_library_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        library_of(text)


def test_names_are_read_as_people_write_them() -> None:
    assert (library_of(" /Groups/12/ "), collection_of(" abcd2345 "), collection_of("")) == (
        "groups/12", "ABCD2345", "",
    )  # fmt: skip
    with pytest.raises(InvalidInput):
        collection_of("my papers")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"successful": 3}', b'{"successful": {}, "failed": {"a": {}}}'])
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedDocument):
        parse(body)
