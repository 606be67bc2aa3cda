"""What the replay announces: papers, repositories and posts of our own, dated relative to a day.

The texts are in `data/*.toml`; this module gives them dates, arXiv ids and authors. The same day always
gives the same content.
"""

from __future__ import annotations

import tomllib
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
DAYS = 4
DEFAULT_LICENSE = "http://arxiv.org/licenses/nonexclusive-distrib/1.0/"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPaper:
    """A paper with everything any of the upstreams says of it."""

    arxiv_id: str
    title: str
    abstract: str
    authors: tuple[str, ...]
    categories: tuple[str, ...]
    """Primary first."""
    announced_on: date
    published_at: datetime
    """First version submitted: on the weekday before its announcement."""
    version: int
    revised_on: date | None
    """The day on which the latest version was announced, when there is a second one."""
    updated_at: datetime
    on_arxiv: bool
    """Whether the arXiv interfaces hold it."""
    hf_days: tuple[date, ...]
    """The days on which Daily Papers features it: none, one or two."""
    organization: str | None
    organization_handle: str | None
    upvotes: int
    comments: int
    github_repo: str | None
    """As typed by a person: may end in a slash, in `.git`, in a folder."""
    project_page: str | None
    ai_summary: str | None
    ai_keywords: tuple[str, ...]
    comment: str | None
    journal_ref: str | None
    doi: str | None
    license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRepo:
    """A repository as its code host knows it; `former` are slugs that redirect to `slug`."""

    id: int
    slug: str
    former: tuple[str, ...]
    description: str
    homepage: str | None
    stars: int
    forks: int
    open_issues: int
    license: str | None
    language: str
    topics: tuple[str, ...]
    created_at: datetime
    pushed_at: datetime
    archived: bool
    releases: tuple[tuple[str, datetime], ...] = ()
    """Tags and when they were published, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHosted:
    """A repository on a host other than GitHub; on the hub a model, data set or space."""

    host: str
    """gitlab, codeberg, hub."""
    kind: str
    number: int
    slug: str
    former: tuple[str, ...]
    description: str | None
    stars: int
    forks: int
    downloads: int | None
    gated: str | None
    license: str | None
    language: str | None
    topics: tuple[str, ...]
    created_at: datetime
    pushed_at: datetime
    releases: tuple[tuple[str, datetime], ...] = ()
    """Tags with when they were published, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPost:
    """A post of the blog. `link` leads to a paper when `arxiv_id` is set, else it is the post's own page."""

    slug: str
    title: str
    html: str
    permalink: str
    link: str
    arxiv_id: str | None
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBlog:
    """The blog and its posts, newest first."""

    title: str
    home: str
    description: str
    author: str
    posts: tuple[DemoPost, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything the replay can announce."""

    today: date
    days: tuple[date, ...]
    """The weekdays that carry papers, oldest first; the last is the latest weekday not after `today`."""
    papers: tuple[DemoPaper, ...]
    repos: tuple[DemoRepo, ...]
    hosted: tuple[DemoHosted, ...]
    blog: DemoBlog

    @cached_property
    def papers_by_id(self) -> dict[str, DemoPaper]:
        """Papers by arXiv id without version."""
        return {paper.arxiv_id: paper for paper in self.papers}

    @cached_property
    def arxiv(self) -> tuple[DemoPaper, ...]:
        """The papers that arXiv's interfaces hold."""
        return tuple(paper for paper in self.papers if paper.on_arxiv)

    @cached_property
    def repos_by_slug(self) -> dict[str, DemoRepo]:
        """Repositories by present and former slug, in lower case: GitHub ignores case."""
        return {slug.lower(): repo for repo in self.repos for slug in (repo.slug, *repo.former)}

    def featured_on(self, day: date) -> list[DemoPaper]:
        """What Daily Papers lists on a day, most upvotes first."""
        return sorted((paper for paper in self.papers if day in paper.hf_days), key=lambda p: (-p.upvotes, p.arxiv_id))

    def listed_in_rss(self, category: str) -> dict[str, str]:
        """The arXiv ids in a category's announcement of `today`, each with its announce type.

        A weekend has no announcement.
        """
        listed = {}
        for paper in self.arxiv:
            if category not in paper.categories:
                continue
            cross = category != paper.categories[0]
            if paper.announced_on == self.today:
                listed[paper.arxiv_id] = "cross" if cross else "new"
            elif paper.revised_on == self.today:
                listed[paper.arxiv_id] = "replace-cross" if cross else "replace"
        return listed

    def announced(self) -> dict[str, set[str]]:
        """What each feed of the demonstration announces: arXiv ids, and addresses of posts without one.

        `arxiv-oai` and `northlake-json` are not in the catalogue; the replay serves them too.
        """
        posts = {post.arxiv_id or post.permalink for post in self.blog.posts}
        return {
            "daily-papers": {paper.arxiv_id for paper in self.papers if paper.hf_days},
            "arxiv-cs-cl": {paper.arxiv_id for paper in self.arxiv if "cs.CL" in paper.categories},
            "arxiv-cs-lg-rss": set(self.listed_in_rss("cs.LG")),
            "arxiv-oai": {paper.arxiv_id for paper in self.arxiv},
            "northlake-blog": posts,
            "northlake-json": set(posts),
        }


def load_content(today: date) -> Content:
    """The content whose newest papers are of the latest weekday on or before `today`."""
    days = _weekdays_until(today)
    people = _read("people.toml")
    handles = {org["name"]: org["hf"] for org in people["organization"]}
    papers: list[DemoPaper] = []
    for number in range(1, DAYS + 1):
        for row in _read(f"day{number}.toml")["paper"]:
            papers.append(_make_paper(row, number, len(papers), days, people["names"], handles))
    repos = tuple(_make_repo(row, today) for row in _read("repos.toml")["repo"])
    hosted = tuple(_make_hosted(row, today) for row in _read("hosted.toml")["hosted"])
    blog = _make_blog(_read("posts.toml"), days, {paper.title: paper.arxiv_id for paper in papers})
    return Content(today=today, days=days, papers=tuple(papers), repos=repos, hosted=hosted, blog=blog)


@cache
def _read(name: str) -> dict[str, Any]:
    with (DATA / name).open("rb") as file:
        return tomllib.load(file)


def _weekdays_until(today: date) -> tuple[date, ...]:
    days: list[date] = []
    day = today
    while len(days) < DAYS:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return tuple(reversed(days))


def _weekday_before(day: date) -> date:
    day -= timedelta(days=1)
    while day.weekday() >= 5:
        day -= timedelta(days=1)
    return day


def _make_paper(
    row: dict[str, Any],
    number: int,
    position: int,
    days: tuple[date, ...],
    names: list[str],
    handles: dict[str, str],
) -> DemoPaper:
    day = days[number - 1]
    submitted_at = _submitted_before(day, position)
    revised_on = days[row["revised"] - 1] if "revised" in row else None
    sources = row["in"].split()
    hf_days = (day,) if "hf" in sources else ()
    if "again" in row:
        hf_days += (days[row["again"] - 1],)
    organization = row.get("org")
    return DemoPaper(
        arxiv_id=_arxiv_id(day, position),
        title=row["title"],
        abstract=" ".join(row["abstract"].split()),
        authors=_authors(position, names),
        categories=tuple(row["cats"].split()),
        announced_on=day,
        published_at=submitted_at,
        version=row.get("version", 1),
        revised_on=revised_on,
        updated_at=_submitted_before(revised_on, position + 5) if revised_on else submitted_at,
        on_arxiv="arxiv" in sources,
        hf_days=hf_days,
        organization=organization,
        organization_handle=handles[organization] if organization else None,
        upvotes=row.get("upvotes", 0),
        comments=row.get("comments", 0),
        github_repo=row.get("repo"),
        project_page=row.get("page"),
        ai_summary=row.get("tldr"),
        ai_keywords=tuple(row.get("keywords", ())),
        comment=row.get("comment"),
        journal_ref=row.get("journal_ref"),
        doi=row.get("doi"),
        license=row.get("license", DEFAULT_LICENSE),
    )


def _arxiv_id(day: date, position: int) -> str:
    # arXiv gives out some 30,000 numbers a month; from 70,000 on no id can be a real paper's.
    return f"{day:%y%m}.{70_000 + day.day * 900 + position * 7 + 3:05d}"


def _submitted_before(day: date, position: int) -> datetime:
    # Submissions close at 14:00 in New York: between 02:00 and 17:00 UTC is always before that.
    moment = timedelta(hours=2, minutes=(position * 53) % 900, seconds=(position * 17) % 60)
    return datetime.combine(_weekday_before(day), time(), UTC) + moment


def _authors(position: int, names: list[str]) -> tuple[str, ...]:
    count = 2 + (position * 7) % 6 if position != 2 else 34
    # The number of names is prime, so a stride below it never meets a name twice.
    return tuple(names[(position * 5 + step * 11) % len(names)] for step in range(count))


def _make_repo(row: dict[str, Any], today: date) -> DemoRepo:
    stamp = zlib.crc32(row["slug"].encode())
    midnight = datetime.combine(today, time(), UTC)
    return DemoRepo(
        id=700_000_000 + stamp % 90_000_000,
        slug=row["slug"],
        former=tuple(row.get("was", ())),
        description=row["description"],
        homepage=row.get("homepage"),
        stars=row["stars"],
        forks=row["forks"],
        open_issues=stamp % 40,
        license=row.get("license"),
        language=row["language"],
        topics=tuple(row["topics"]),
        created_at=midnight - timedelta(days=row["age"], seconds=stamp % 80_000),
        pushed_at=midnight - timedelta(days=row["pushed"], seconds=stamp % 20_000),
        archived=row.get("archived", False),
        releases=tuple((tag, midnight - timedelta(days=days)) for tag, days in row.get("releases", {}).items()),
    )


def _make_hosted(row: dict[str, Any], today: date) -> DemoHosted:
    kind = row.get("kind", "code")
    stamp = zlib.crc32(f"{row['host']} {kind} {row['slug']}".encode())
    midnight = datetime.combine(today, time(), UTC)
    return DemoHosted(
        host=row["host"],
        kind=kind,
        number=10_000_000 + stamp % 70_000_000,
        slug=row["slug"],
        former=tuple(row.get("was", ())),
        description=row.get("description"),
        stars=row["stars"],
        forks=row.get("forks", 0),
        downloads=row.get("downloads"),
        gated=row.get("gated"),
        license=row.get("license"),
        language=row.get("language"),
        topics=tuple(row["topics"]),
        created_at=midnight - timedelta(days=row["age"], seconds=stamp % 80_000),
        pushed_at=midnight - timedelta(days=row["pushed"], seconds=stamp % 20_000),
        releases=tuple((tag, midnight - timedelta(days=days)) for tag, days in row.get("releases", {}).items()),
    )


def _make_blog(data: dict[str, Any], days: tuple[date, ...], ids: dict[str, str]) -> DemoBlog:
    posts = []
    for position, row in enumerate(data["post"]):
        permalink = f"{data['home']}/{row['slug']}"
        arxiv_id = ids[row["paper"]] if "paper" in row else None
        # Soon after the announcement: at no hour of the day is a post from the future.
        minutes = timedelta(minutes=12 - 2 * position)
        posts.append(
            DemoPost(
                slug=row["slug"],
                title=row["title"],
                html=" ".join(row["html"].split()),
                permalink=permalink,
                link=row["form"].format(id=arxiv_id) if arxiv_id else permalink,
                arxiv_id=arxiv_id,
                published_at=datetime.combine(days[row["day"] - 1], time(), UTC) + minutes,
            )
        )
    return DemoBlog(
        title=data["title"],
        home=data["home"],
        description=data["description"],
        author=data["author"],
        posts=tuple(posts),
    )
