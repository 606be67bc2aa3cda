"""`broadsheet import` and `broadsheet papers`: files in, papers out, in the shapes that scripts rely on."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.command import SAMPLES, Broadsheet

IMPORT_KEYS = ["file", "kind", "entries", "new", "changed", "known", "rejected", "error"]
PAPER_KEYS = {
    "key", "title", "abstract", "authors", "authors_count", "organization", "published_at", "comments_count", "upvotes",
    "categories", "identifiers", "links", "repos", "feeds",
}  # fmt: skip


def records(*titles: str) -> str:
    """JSON Lines of as many papers."""
    lines = [
        {"id": f"2611.{90001 + n:05d}", "title": title, "abstract": f"About {title}."} for n, title in enumerate(titles)
    ]
    return "\n".join(json.dumps(line) for line in lines) + "\n"


def test_the_report_has_the_promised_shape_and_accounts_for_every_entry(broadsheet: Broadsheet) -> None:
    (report,) = broadsheet.json("import", SAMPLES / "records.jsonl", code=1)
    assert list(report) == IMPORT_KEYS
    assert report["file"] == str(SAMPLES / "records.jsonl")
    assert report["kind"] == "records"
    assert report["entries"] == report["new"] + report["changed"] + report["known"] + len(report["rejected"])
    assert all(set(r) == {"reason", "entry"} and r["reason"] for r in report["rejected"])
    assert report["error"] is None


def test_importing_twice_changes_nothing(broadsheet: Broadsheet) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    before = broadsheet.json("papers", "list")
    (again,) = broadsheet.json("import", SAMPLES / "hf_daily.json")
    assert (again["new"], again["changed"], again["known"]) == (0, 0, again["entries"])
    assert broadsheet.json("papers", "list") == before


def test_a_refused_file_never_stops_the_next(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"[]" * 1000)[:-8])
    (tmp_path / "empty.txt").write_text(" \n")
    files = [
        tmp_path / "picture.png", tmp_path / "nowhere.xml", tmp_path / "cut.json.gz", tmp_path / "empty.txt", tmp_path,
        SAMPLES / "hf_daily.json",
    ]  # fmt: skip
    reports = broadsheet.json("import", *files, code=1)
    assert [r["file"] for r in reports] == [str(f) for f in files]
    assert [bool(r["error"]) for r in reports] == [True] * 5 + [False]
    assert reports[-1]["new"] == 2
    said = broadsheet("import", *files, code=1)
    assert said.err.count("refused: ") == 5
    for file in files[:5]:
        assert str(file) in said.err
    assert "6 files" in said.out


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        ("hf_daily.json", "hf_papers"), ("arxiv_api_page.xml", "arxiv_api"), ("arxiv_announcement.rss", "arxiv_rss"),
        ("oai_arxiv.xml", "arxiv_oai"), ("blog.atom", "rss"), ("blog.json", "rss"), ("preprints.rdf", "rss"),
        ("records.jsonl", "records"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["plain", "gz", "xz"])
def test_the_kind_is_found_out_plain_and_compressed(
    broadsheet: Broadsheet, tmp_path: Path, sample: str, kind: str, form: str
) -> None:
    body = (SAMPLES / sample).read_bytes()
    path = tmp_path / (sample if form == "plain" else f"{sample}.{form}")
    path.write_bytes({"plain": body, "gz": gzip.compress(body), "xz": lzma.compress(body)}[form])
    (report,) = broadsheet("import", path, "--json").data
    assert report["kind"] == kind
    assert report["error"] is None
    assert report["new"] >= 1


def test_standard_input_and_patterns_the_shell_left_alone(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(records("Lanterns for tidal inference"))
    (tmp_path / "a.jsonl").write_text(records("Lanterns for tidal inference", "Kelp forests of experts"))
    reports = broadsheet.json("import", tmp_path / "*.jsonl")
    assert [Path(r["file"]).name for r in reports] == ["a.jsonl", "b.jsonl"]
    assert [(r["new"], r["known"]) for r in reports] == [(2, 0), (0, 1)]
    said = broadsheet(
        "import", "-", "--kind", "records", "--json", stdin=records("a", "b", "Salt marsh attention maps")
    )
    (report,) = said.data
    assert report["file"] == "-"
    assert report["new"] == 1
    (nothing,) = broadsheet.json("import", tmp_path / "*.nothing", code=1)
    assert "no such file" in nothing["error"]


def test_as_of_and_feed_override_what_a_file_does_not_say(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(records("Lanterns for tidal inference"))
    broadsheet("import", tmp_path / "r.jsonl", "--as-of", "2026-02-03", "--feed", "my-files", code=0)
    (paper,) = broadsheet.json("papers", "list", "--feed", "my-files", "--since", "2026-02-03", "--until", "2026-02-03")
    assert paper["feeds"] == ["my-files"]
    assert paper["announced_on"] == "2026-02-03"
    assert broadsheet.json("papers", "list", "--since", "2026-02-04") == []


def test_an_import_leaves_the_polled_feed_of_that_name_polled(broadsheet: Broadsheet, quiet_feeds: Path) -> None:
    quiet_feeds.write_text('[[feed]]\nname = "daily-papers"\nkind = "hf_papers"\ntitle = "Daily Papers"\n')
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    (feed,) = broadsheet.json("feeds", "list")
    assert (feed["name"], feed["paused"], feed["latest"]["stored"]) == ("daily-papers", False, 2)


def test_papers_have_the_promised_shape(broadsheet: Broadsheet) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    papers = broadsheet.json("papers", "list", "--sort", "upvotes")
    assert [set(p) >= PAPER_KEYS for p in papers] == [True, True]
    best = papers[0]
    assert best["key"] == "arxiv:2611.04001"
    assert best["authors"] == ["Nora Lind", "Tomás Reyes", "Ada Okafor"]
    assert best["authors_count"] == 3
    assert best["identifiers"] == ["arxiv:2611.04001"]
    promised = {"url": "https://github.com/lind/jar", "kind": "code", "slug": "lind/jar", "evidence": "abstract"}
    assert any(promised.items() <= link.items() for link in best["links"])
    assert {r["slug"] for r in best["repos"]} == {"lind/jar"}
    assert set(best["repos"][0]) >= {"slug", "stars", "license", "language", "pushed_at", "archived"}
    assert best["feeds"] == ["daily-papers"]
    assert broadsheet.json("papers", "show", "2611.04001") == best
    assert broadsheet.json("papers", "show", "https://arxiv.org/abs/2611.04001v1") == best


def test_json_lists_all_papers_and_people_see_twenty(broadsheet: Broadsheet, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(records(*(f"Observation {n} on tidal lanterns" for n in range(30))))
    broadsheet("import", tmp_path / "r.jsonl", code=0)
    assert len(broadsheet.json("papers", "list")) == 30
    assert len(broadsheet.json("papers", "list", "--limit", "7")) == 7
    said = broadsheet("papers", "list", code=0)
    assert said.out.count("Observation ") == 20
    assert "--limit" in said.err
    assert broadsheet("papers", "list", "-n", "30").out.count("Observation ") == 30


def test_search_and_list_speak_the_query_language(broadsheet: Broadsheet) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", SAMPLES / "records.jsonl")
    keys = [p["key"] for p in broadsheet.json("papers", "search", "weather", "-survey")]
    assert keys == ["arxiv:2611.04001"]
    assert [p["key"] for p in broadsheet.json("papers", "list", "--query", "has:code title:weather")] == keys
    assert "there is no option --jsn" in broadsheet("papers", "search", "weather", "--jsn", code=2).err
    assert "Nothing found for 'zeppelin'" in broadsheet("papers", "search", "zeppelin", code=0).out


def test_a_query_that_cannot_be_read_prints_no_half_document(broadsheet: Broadsheet) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    said = broadsheet("papers", "list", "--query", "title:(a", "--json", code=1)
    assert said.out == ""
    assert "^" in said.err


def test_hostile_titles_are_shown_as_text(broadsheet: Broadsheet, tmp_path: Path) -> None:
    title = "[bold red]Loud[/] lanterns \x1b[31mof :smile: the tide"
    (tmp_path / "r.jsonl").write_text(records(title))
    broadsheet("import", tmp_path / "r.jsonl", code=0)
    (paper,) = broadsheet.json("papers", "list")
    for said in (broadsheet("papers", "list"), broadsheet("papers", "show", paper["key"])):
        assert "[bold red]Loud[/]" in said.out
        assert ":smile:" in said.out
        assert "\x1b" not in said.out


def test_what_a_paper_only_used_is_told_from_its_own(broadsheet: Broadsheet, tmp_path: Path) -> None:
    text = "We build on X (https://github.com/them/x). Code: https://github.com/us/ours"
    record = {"id": "2611.90001", "title": "Lanterns over tidal harbours", "abstract": text}
    (tmp_path / "r.jsonl").write_text(json.dumps(record) + "\n")
    broadsheet("import", tmp_path / "r.jsonl", code=0)
    (paper,) = broadsheet.json("papers", "list")
    assert {link["slug"]: link["standing"] for link in paper["links"]} == {"us/ours": "official", "them/x": "unrelated"}
    assert [repo["slug"] for repo in paper["repos"]] == ["us/ours"]
    said = broadsheet("papers", "show", paper["key"]).out
    assert "Used   https://github.com/them/x   named in passing" in said
    assert "official, link from the authors’ abstract" in said


def test_papers_are_printed_where_the_terminal_knows_no_unicode(broadsheet: Broadsheet, tmp_path: Path) -> None:
    title = "Große Modelle für die Küste 海"
    (tmp_path / "r.jsonl").write_text(records(title))
    broadsheet("import", tmp_path / "r.jsonl", code=0)
    environment = dict(os.environ) | dict(broadsheet.environment()) | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "workers", "papers", "list"]
    shown = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"Gro?e Modelle" in shown.stdout
    document = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=True)
    assert json.loads(document.stdout)[0]["title"] == title


@pytest.mark.parametrize(("width", "with_keys"), [(40, False), (120, True)])
def test_tables_are_as_narrow_as_the_terminal(broadsheet: Broadsheet, width: int, with_keys: bool) -> None:
    broadsheet("import", SAMPLES / "hf_daily.json", code=0)
    seen = on_a_terminal(broadsheet, width, "papers", "list")
    assert max(len(line) for line in seen.splitlines()) <= width
    assert ("arxiv:2611.04001" in seen) == with_keys


def on_a_terminal(broadsheet: Broadsheet, width: int, *args: str) -> str:
    """What a command prints on a terminal of that width, colours left out."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "-F", os.ttyname(follower), "cols", str(width), "rows", "40"], check=True)
    environment = {**os.environ, **broadsheet.environment(), "TERM": "xterm"}
    del environment["COLUMNS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", *args], stdout=follower, stderr=follower, stdin=follower, env=environment
    )
    os.close(follower)
    seen = b""
    with suppress(OSError):  # how a terminal says that its program has ended
        while chunk := os.read(leader, 65536):
            seen += chunk
    os.close(leader)
    assert process.wait() == 0, seen
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode().replace("\r", ""))
