"""Pages as the upstreams send them, made from records: drawn from a seeded generator of ours, or from saved ones.

Shapes and proportions are those of the real services (a third of the papers with a comment, an eighth with a
link to code, names with accents, line breaks inside texts, formulas, subject classes beside categories), and of as
many words: 40,000 drawn titles have 36,000 different ones, 40,000 real titles 30,000, and as many begin alike.
"""

from __future__ import annotations

import json
import lzma
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

DAY = date(2026, 11, 24)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one paper, before it is put into some service's form."""

    id: str
    version: int
    title: str
    abstract: str
    authors: tuple[str, ...]
    categories: tuple[str, ...]
    comment: str | None
    doi: str | None
    journal: str | None
    published: datetime
    updated: datetime


# -- drawn ------------------------------------------------------------------------------------------------------

_WORDS_TEXT = (
    "lantern tide anchor harbour signal network model layer depth surface kernel sparse dense gradient sample "
    "bound estimate latent graph token stream memory adaptive robust scalable neural causal temporal spatial "
    "discrete smooth convex random policy reward agent planner retrieval corpus language vision speech protein "
    "orbit galaxy spectrum lattice tensor matrix manifold symmetry invariant operator measure entropy noise "
    "channel code proof theorem lemma algorithm complexity polynomial optimal approximate efficient training "
    "inference benchmark evaluation dataset annotation alignment preference distillation quantization pruning "
    "attention transformer diffusion flow sampler encoder decoder embedding cluster outlier privacy federated "
    "secure protocol quantum circuit qubit error correction simulation fluid climate ocean weather forecast "
    "traffic mobility robot grasp control feedback stability safety trust fairness explanation interpretation "
    "feature attribution probe evidence survey "
)
_WORDS = _WORDS_TEXT.split()
_LITTLE_TEXT = "we the a of in for to with and on by that is are which from as this our can show under over "
_LITTLE = _LITTLE_TEXT.split()
_GIVEN = "Ada Bram Chloé Dina Emil Farid Gwen Hiro Inés Jonas Kemi Lars Mónica Nadia Otto Priya Quinn Rosa Søren Tariq"
_FAMILY = (
    "Quill Osei Lind Duarte Chen Okafor Sato Reyes Grön Novák Müller Haddad Silva Kaya Ivanov Brandt Moreau Rossi "
    "Tanaka Zhou"
)
_PRIMARY = ("cs.CL", "cs.LG", "cs.CV", "cs.AI", "stat.ML", "math.OC", "quant-ph", "hep-th", "cs.RO", "eess.AS")
_ASIDE = ("68T50", "I.2.7", "62H30, 68T45")
_SYLLABLES_TEXT = "ba cor den fi gra hel im jo kal lum mor nex o pra qui ros sta tor ul ver wyn xen yl zer"
_SYLLABLES = _SYLLABLES_TEXT.split()
_LEXICON, _BEGINNINGS = 200_000, 200_000
"""Words made of syllables: names, methods, terms of a trade. And ways to begin a title, as "Graph neural networks"."""
_FORMULAS = ("$x^2$", "$O(n \\log n)$", "$\\alpha$-stable", "$\\mathcal{L}_1$", "$p<0.05$")


def records(count: int, *, seed: int = 1, start: int = 0) -> list[Record]:
    """`count` records; the same for the same seed and start, and of other ids for another start."""
    draw = random.Random(f"{seed} {start}")
    given, family = _GIVEN.split(), _FAMILY.split()
    return [_record(draw, given, family, start + number) for number in range(count)]


def _record(draw: random.Random, given: list[str], family: list[str], number: int) -> Record:
    month = 1 + number // 90_000 % 12
    year = 15 + number // 1_080_000
    # As on arXiv, the next number is a little later: 90,000 in the 28 days that every month has.
    published = datetime(2000 + year, month, 1, tzinfo=UTC) + timedelta(days=28) * (number % 90_000) / 90_000
    version = 1 if draw.random() < 0.7 else draw.randrange(2, 6)
    people = tuple(
        f"{draw.choice(given)} {draw.choice('ABCDEFGHJKLM')}. {draw.choice(family)}"
        if draw.random() < 0.3
        else f"{draw.choice(given)} {draw.choice(family)}"
        for _ in range(min(1 + int(draw.expovariate(1 / 4)), 60))
    )
    primary = draw.choice(_PRIMARY)
    others = [one for one in draw.sample(_PRIMARY, draw.randrange(3)) if one != primary]
    aside = [draw.choice(_ASIDE)] if draw.random() < 0.1 else []
    slug = f"{draw.choice(family).lower()}-lab/{draw.choice(_WORDS)}-{number}".replace("ü", "u").replace("ö", "o")
    code = f"https://github.com/{slug}".encode("ascii", "ignore").decode()
    comment = None
    chance = draw.random()
    if chance < 0.08:
        comment = f"{draw.randrange(4, 40)} pages, code at {code}"
    elif chance < 0.33:
        comment = f"{draw.randrange(4, 40)} pages, {draw.randrange(1, 12)} figures, accepted to a workshop on tides"
    return Record(
        id=f"{year:02d}{month:02d}.{number % 90_000 + 10_000:05d}",
        version=version,
        title=_title(draw),
        abstract=_abstract(draw, f"Code is available at {code}." if draw.random() < 0.07 else ""),
        authors=people,
        categories=(primary, *others, *aside),
        comment=comment,
        doi=f"10.1234/TIDE.{number}" if draw.random() < 0.12 else None,
        journal=f"Journal of Tides {number % 40} (2026) 1-12" if draw.random() < 0.12 else None,
        published=published,
        updated=published if version == 1 else published + timedelta(days=draw.randrange(1, 300)),
    )


def _rank(draw: random.Random, most: int, flat: int) -> int:
    """A place in the order of frequency, below `most`: the n-th comes in a share of about 1/(n + flat)."""
    return int(flat * ((1 + most / flat) ** draw.random() - 1))


def _spelled(number: int) -> str:
    word, left = "", number + len(_SYLLABLES) ** 2
    while left:
        left, digit = divmod(left, len(_SYLLABLES))
        word += _SYLLABLES[digit]
    return word


def _rare(draw: random.Random) -> str:
    return _spelled(_rank(draw, _LEXICON, 1))


def _title(draw: random.Random) -> str:
    words = [
        _rare(draw) if draw.random() < 0.2 else draw.choice(_WORDS).capitalize() for _ in range(draw.randrange(5, 11))
    ]
    if draw.random() < 0.004:
        words = ["Large", "Language", "Models", *words]
    elif draw.random() < 0.3:
        begins = _rank(draw, _BEGINNINGS, 40)
        words = [_spelled(begins).capitalize(), _WORDS[begins % len(_WORDS)].capitalize(), *words]
    else:
        words = [_spelled(_rank(draw, _LEXICON, 300)).capitalize(), *words]
    if draw.random() < 0.08:
        words.insert(2, draw.choice(_FORMULAS))
    return " ".join(words[:5]) + ("\n  " if len(words) > 9 else " ") + " ".join(words[5:])


def _abstract(draw: random.Random, last: str) -> str:
    sentences: list[str] = []
    for _ in range(draw.randrange(6, 12)):
        words = [draw.choice(_LITTLE) if draw.random() < 0.4 else draw.choice(_WORDS) for _ in range(20)]
        words[draw.randrange(20)] = _rare(draw)
        if draw.random() < 0.06:
            words[7] = draw.choice(_FORMULAS)
        sentences.append(" ".join(words).capitalize() + ".")
    text = " ".join([*sentences, last]).strip()
    if draw.random() < 0.5:  # older ones come with the line breaks of the submission form
        words = text.split(" ")
        text = "\n".join(" ".join(words[at : at + 12]) for at in range(0, len(words), 12))
    return text


# -- saved ------------------------------------------------------------------------------------------------------


def corpora() -> Path | None:
    """The folder of recorded answers: BROADSHEET_CORPORA, or the one beside the project; `None` without one."""
    named = os.environ.get("BROADSHEET_CORPORA")
    folder = Path(named) if named else ROOT.parent / "shared" / "corpora"
    return folder if folder.is_dir() else None


@lru_cache(maxsize=1)
def saved_records() -> tuple[Record, ...]:
    """Records of real papers, where the recorded answers lie beside the project; else none."""
    folder = corpora()
    files = sorted((folder / "bulk").glob("*.jsonl.xz")) if folder else []
    if not files:
        return ()
    with lzma.open(files[0], "rt", encoding="utf-8") as lines:
        return tuple(_saved(json.loads(line)) for line in lines)


def _saved(row: dict[str, object]) -> Record:
    seen = datetime.fromisoformat(str(row["first_seen"])).replace(tzinfo=UTC)
    authors, categories = row["authors"], row["categories"]
    assert isinstance(authors, list)
    assert isinstance(categories, list)
    return Record(
        id=str(row["id"]), version=1, title=str(row["title"]), abstract=str(row["summary"]),
        authors=tuple(map(str, authors)), categories=tuple(map(str, categories)),
        comment=str(row["comment"]) if row["comment"] else None, doi=None, journal=None, published=seen, updated=seen,
    )  # fmt: skip


# -- in the form of each service --------------------------------------------------------------------------------


def atom_page(papers: Sequence[Record], *, start: int = 0, total: int | None = None) -> bytes:
    """A page of the arXiv API."""
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom"'
        ' xmlns="http://www.w3.org/2005/Atom">\n  <id>https://arxiv.org/api/tides</id>\n'
        "  <title>arXiv Query: search_query=all:tides</title>\n  <updated>2026-11-24T10:00:00Z</updated>\n"
        f"  <opensearch:itemsPerPage>{len(papers)}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{len(papers) if total is None else total}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{start}</opensearch:startIndex>\n" + "".join(map(_atom_entry, papers)) + "</feed>\n"
    ).encode()


def _atom_entry(one: Record) -> str:
    name = f"{one.id}v{one.version}"
    categories = "".join(
        f'    <category term="{escape(c)}" scheme="http://arxiv.org/schemas/atom"/>\n' for c in one.categories
    )
    people = "".join(f"    <author>\n      <name>{escape(author)}</name>\n    </author>\n" for author in one.authors)
    doi = (
        f"    <arxiv:doi>{one.doi}</arxiv:doi>\n"
        f'    <link rel="related" href="https://doi.org/{one.doi}" title="doi"/>\n'
        if one.doi
        else ""
    )
    journal = f"    <arxiv:journal_ref>{escape(one.journal)}</arxiv:journal_ref>\n" if one.journal else ""
    comment = f"    <arxiv:comment>{escape(one.comment)}</arxiv:comment>\n" if one.comment else ""
    return (
        f"  <entry>\n    <id>http://arxiv.org/abs/{name}</id>\n    <title>{escape(one.title)}</title>\n"
        f"    <updated>{one.updated:%Y-%m-%dT%H:%M:%SZ}</updated>\n"
        f'    <link href="https://arxiv.org/abs/{name}" rel="alternate" type="text/html"/>\n'
        f'    <link href="https://arxiv.org/pdf/{name}" rel="related" type="application/pdf" title="pdf"/>\n'
        f"    <summary>{escape(one.abstract)}</summary>\n{categories}"
        f"    <published>{one.published:%Y-%m-%dT%H:%M:%SZ}</published>\n{comment}"
        f'    <arxiv:primary_category term="{escape(one.categories[0])}"/>\n{journal}{people}{doi}  </entry>\n'
    )


def rss_page(papers: Sequence[Record]) -> bytes:
    """An announcement of arXiv's RSS."""
    day = format_datetime(datetime(2026, 11, 24, 0, 0, tzinfo=UTC))
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<rss xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:atom="http://www.w3.org/2005/Atom" version="2.0">\n  <channel>\n'
        "    <title>cs updates on arXiv.org</title>\n    <link>https://rss.arxiv.org/rss/cs</link>\n"
        f"    <description>cs updates on the arXiv.org e-print archive.</description>\n    <pubDate>{day}</pubDate>\n"
        + "".join(_rss_item(one, day) for one in papers)
        + "  </channel>\n</rss>\n"
    ).encode()


def _rss_item(one: Record, day: str) -> str:
    kind = "new" if one.version == 1 else "replace"
    categories = "".join(f"      <category>{escape(c)}</category>\n" for c in one.categories)
    return (
        f"    <item>\n      <title>{escape(one.title)}</title>\n      <link>https://arxiv.org/abs/{one.id}</link>\n"
        f"      <description>arXiv:{one.id}v{one.version} Announce Type: {kind} \n"
        f"Abstract: {escape(one.abstract)}</description>\n"
        f'      <guid isPermaLink="false">oai:arXiv.org:{one.id}v{one.version}</guid>\n{categories}'
        f"      <pubDate>{day}</pubDate>\n      <arxiv:announce_type>{kind}</arxiv:announce_type>\n"
        "      <dc:rights>http://creativecommons.org/licenses/by/4.0/</dc:rights>\n"
        f"      <dc:creator>{escape(', '.join(one.authors))}</dc:creator>\n    </item>\n"
    )


def oai_page(papers: Sequence[Record]) -> bytes:
    """A ListRecords page in arXiv's own format."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">\n'
        "  <responseDate>2026-11-24T15:31:58Z</responseDate>\n"
        '  <request verb="ListRecords" metadataPrefix="arXiv">https://oaipmh.arxiv.org/oai</request>\n  <ListRecords>\n'
        + "".join(map(_oai_record, papers))
        + "  </ListRecords>\n</OAI-PMH>\n"
    ).encode()


def _oai_record(one: Record) -> str:
    people = "".join(
        f"<author><keyname>{escape(family)}</keyname><forenames>{escape(given)}</forenames></author>"
        for given, _, family in (author.rpartition(" ") for author in one.authors)
    )
    updated = f"<updated>{one.updated:%Y-%m-%d}</updated>" if one.version > 1 else ""
    categories = " ".join(name for name in one.categories if name[0].islower())
    extras = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in (("comments", one.comment), ("journal-ref", one.journal), ("doi", one.doi))
        if value
    )
    return (
        f"    <record>\n      <header><identifier>oai:arXiv.org:{one.id}</identifier>"
        f"<datestamp>{DAY}</datestamp><setSpec>cs:cs:CL</setSpec></header>\n      <metadata>\n"
        f'        <arXiv xmlns="http://arxiv.org/OAI/arXiv/"><id>{one.id}</id>'
        f"<created>{one.published:%Y-%m-%d}</created>{updated}<authors>{people}</authors>"
        f"<title>{escape(one.title)}</title><categories>{categories}</categories>"
        f"{extras}<license>http://creativecommons.org/licenses/by/4.0/</license>"
        f"<abstract>  {escape(one.abstract)}\n</abstract></arXiv>\n      </metadata>\n    </record>\n"
    )


def hf_page(papers: Sequence[Record]) -> bytes:
    """A page of the Daily Papers API."""
    return json.dumps([_hf_item(number, one) for number, one in enumerate(papers)], ensure_ascii=False).encode()


def _hf_item(number: int, one: Record) -> dict[str, object]:
    paper: dict[str, object] = {
        "id": one.id,
        "authors": [
            {
                "_id": f"{number:012x}{place:012x}", "name": author, "hidden": False, "status": "claimed_verified",
                **({"user": {"_id": f"{place:024x}", "user": f"user{place}", "type": "user"}} if place == 0 else {}),
            }
            for place, author in enumerate(one.authors)
        ],
        "publishedAt": f"{one.published:%Y-%m-%dT%H:%M:%S}.000Z",
        "submittedOnDailyAt": f"{DAY}T00:00:00.000Z",
        "title": one.title, "summary": one.abstract, "upvotes": number % 90, "discussionId": f"{number:024x}",
        "ai_summary": one.abstract[:140], "ai_keywords": list(dict.fromkeys(one.abstract.split()[2:9])),
    }  # fmt: skip
    if number % 2:
        paper |= {"githubRepo": f"https://github.com/tide-lab/paper-{number}", "githubStars": number}
    if number % 3 == 0:
        paper["projectPage"] = f"https://paper-{number}.example.org/"
    if number % 4 == 0:
        paper["organization"] = {"_id": f"{number:024x}", "name": "tidelab", "fullname": "Tide Lab"}
    return {
        "paper": paper, "publishedAt": paper["publishedAt"], "title": one.title, "numComments": number % 7,
        "thumbnail": f"https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/{one.id}.png",
        "isAuthorParticipating": False,
    }  # fmt: skip
