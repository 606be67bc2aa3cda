"""Cite: a paper as reference managers read it: BibTeX, RIS, CSL-JSON.

Everything in it is text of others: what TeX would act upon is escaped, and no value can begin a line of its own.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Any

from services.domain.identifiers import paper_url, pdf_url
from services.domain.papers import PaperFacts
from services.domain.text import clean, latex_to_text, safe_url

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_SMALL = frozenset({"a", "an", "the", "on", "of", "in", "for", "to", "and", "with", "from", "by", "is", "are"})


_PARTICLES = frozenset(
    {"af", "al", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "la", "le", "ten", "ter", "van",
     "von", "zu", "zum", "zur"}
)  # fmt: skip


def bibtex(paper: PaperFacts, *, key: str | None = None) -> str:
    """One entry: `@article` where a journal is known, else `@misc`. `key` replaces `cite_key`."""
    known = _known(paper)
    fields: list[tuple[str, str]] = [("title", "{" + _text(paper.title) + "}")]
    if paper.authors:
        names = [_author(a.name) for a in paper.authors]
        if paper.authors_count and paper.authors_count > len(names):
            names.append("others")
        fields.append(("author", " and ".join(names)))
    day = _day(paper)
    if day is not None:
        fields += [("year", str(day.year)), ("month", day.strftime("%b").lower())]
    if paper.journal_ref:
        fields.append(("journal", _text(paper.journal_ref)))
    if "arxiv" in known:
        fields += [("eprint", _verbatim(known["arxiv"])), ("archivePrefix", "arXiv")]
        if paper.categories:
            fields.append(("primaryClass", _verbatim(paper.categories[0])))
    if "doi" in known:
        fields.append(("doi", _verbatim(known["doi"])))
    url = paper_url(paper.key)
    if url:
        fields.append(("url", _verbatim(url)))
    kind = "article" if paper.journal_ref else "misc"
    width = max(len(name) for name, _ in fields)
    body = ",\n".join(
        f"  {name:<{width}} = " + (value if name == "month" else "{" + value + "}") for name, value in fields
    )
    return f"@{kind}{{{key or cite_key(paper)},\n{body}\n}}\n"


def cite_key(paper: PaperFacts) -> str:
    """`rossi2026speculative`: family name, year, first telling word; letters and digits only."""
    family = _plain(paper.authors[0].name.split()[-1]) if paper.authors and paper.authors[0].name.split() else ""
    day = _day(paper)
    words = (_plain(word) for word in latex_to_text(paper.title[:500]).split())
    word = next((w for w in words if w and w not in _SMALL), "")
    return f"{family or 'anon'}{day.year if day else ''}{word}"[:60]


def ris(paper: PaperFacts, *, key: str | None = None) -> str:
    """One record: `JOUR` where a journal is known, else `UNPB`; lines end in CRLF, as the format has it."""
    known = _known(paper)
    lines = [
        ("TY", "JOUR" if paper.journal_ref else "UNPB"),
        ("ID", key or cite_key(paper)),
        ("TI", _plain_text(paper.title)),
    ]
    for author in paper.authors:
        family, given = split_name(_plain_text(author.name, 300))
        lines.append(("AU", f"{family}, {given}" if given else family))
    day = _day(paper)
    if day is not None:
        lines += [("PY", str(day.year)), ("DA", f"{day:%Y/%m/%d}/")]
    if paper.journal_ref:
        lines.append(("JO", _plain_text(paper.journal_ref)))
    if paper.abstract:
        lines.append(("AB", _plain_text(paper.abstract, 20_000)))
    if "doi" in known:
        lines.append(("DO", _plain_text(known["doi"])))
    if "arxiv" in known:
        lines.append(("M1", f"arXiv:{_plain_text(known['arxiv'])}"))
    lines += [("KW", _plain_text(category, 200)) for category in paper.categories]
    url = paper_url(paper.key)
    if url:
        lines.append(("UR", _plain_text(url)))
    return "".join(f"{tag}  - {value}\r\n" for tag, value in lines) + "ER  - \r\n"


def csl(paper: PaperFacts, *, key: str | None = None) -> dict[str, Any]:
    """One CSL-JSON item (citationstyles.org, 1.0.2): `article-journal` where a journal is known, else `article`."""
    known, day = _known(paper), _day(paper)
    item: dict[str, Any] = {
        "id": key or cite_key(paper),
        "type": "article-journal" if paper.journal_ref else "article",
        "title": _plain_text(paper.title),
    }
    if paper.authors:
        item["author"] = [_csl_name(_plain_text(author.name, 300)) for author in paper.authors]
    if day is not None:
        item["issued"] = {"date-parts": [[day.year, day.month, day.day]]}
    optional = {
        "container-title": _plain_text(paper.journal_ref or ""), "abstract": _plain_text(paper.abstract or "", 20_000),
        "DOI": known.get("doi"), "URL": paper_url(paper.key), "keyword": ", ".join(paper.categories),
        "number": f"arXiv:{known['arxiv']}" if "arxiv" in known else None,
        "publisher": "arXiv" if "arxiv" in known and not paper.journal_ref else None,
        "version": str(paper.version) if paper.version else None,
    }  # fmt: skip
    return item | {name: value for name, value in optional.items() if value}


def citation_tags(paper: PaperFacts) -> list[tuple[str, str]]:
    """What a page says of its paper in `<meta>` (Highwire's names, as Google Scholar and reference managers read)."""
    known, day = _known(paper), _day(paper)
    tags = [("citation_title", _plain_text(paper.title))]
    tags += [("citation_author", _plain_text(author.name, 300)) for author in paper.authors]
    tags += [
        ("citation_publication_date", f"{day:%Y/%m/%d}" if day else ""),
        ("citation_journal_title", _plain_text(paper.journal_ref or "")),
        ("citation_doi", _plain_text(known.get("doi", ""))), ("citation_arxiv_id", _plain_text(known.get("arxiv", ""))),
        ("citation_pdf_url", safe_url(pdf_url(paper.key) or "") or ""),
    ]  # fmt: skip
    return [(name, content) for name, content in tags if content]


def split_name(name: str) -> tuple[str, str]:
    """(family, given) of a name in reading order: `van Beethoven`, `Ludwig`. One word is all family."""
    before, comma, after = name.partition(",")
    if comma and before.strip() and after.strip():
        return before.strip(), after.strip()
    words = name.split()
    first = len(words) - 1
    while first > 1 and words[first - 1].lower() in _PARTICLES:
        first -= 1
    return " ".join(words[max(first, 0) :]), " ".join(words[: max(first, 0)])


def _csl_name(name: str) -> dict[str, str]:
    family, given = split_name(name)
    return {"family": family, "given": given} if given else {"literal": family}


def _known(paper: PaperFacts) -> dict[str, str]:
    return {i.scheme: i.value for i in reversed(paper.identifiers)}


def _day(paper: PaperFacts) -> date | None:
    return paper.published_at.date() if paper.published_at else paper.announced_on


def _plain_text(value: str, limit: int = 4000) -> str:
    """One line of legible text."""
    return clean(latex_to_text(value[:limit]), limit=limit)


def _author(name: str) -> str:
    text = _text(name)
    # A comma or the word "and" would be read as structure.
    return "{" + text + "}" if "," in text or re.search(r"\band\b", text, re.I) else text


def _text(value: str) -> str:
    return "".join(_SPECIAL.get(char, char) for char in clean(latex_to_text(value[:4000]), limit=4000))


def _verbatim(value: str) -> str:
    """Identifiers and addresses, which styles print as they are: only what would break the entry is changed."""
    return "".join(f"%{ord(c):02X}" if c in "{}\\" else c for c in value if c.isprintable() and c != " ")


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", folded)
