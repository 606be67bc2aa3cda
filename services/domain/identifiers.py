"""Identifiers: names by which the same paper is known.

Schemes, strongest first: `arxiv` (base id, the version apart), `doi` (lower case; arXiv's own DOIs fold
into `arxiv`), `openreview` (forum id), `pmid`, `pmcid`, `s2` (Semantic Scholar's corpus id), `url` (canonical),
`title` (fingerprint).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, quote, unquote

import msgspec

from services.domain.errors import InvalidInput
from services.domain.text import clean, strip_invisible
from services.domain.titles import title_fingerprint
from services.domain.urls import canonical_url, split_url

__all__ = [
    "SCHEMES",
    "ArxivId",
    "Identifier",
    "canonical_key",
    "canonical_url",
    "identifiers_from_url",
    "paper_url",
    "parse_arxiv",
    "parse_doi",
    "parse_key",
    "pdf_url",
    "title_fingerprint",
]

SCHEMES = ("arxiv", "doi", "openreview", "pmid", "pmcid", "s2", "url", "title")
"""Every scheme there is, strongest first."""


class Identifier(msgspec.Struct, frozen=True, order=True, gc=False):
    """`scheme:value`; the value is canonical for its scheme, so equal papers have equal strings."""

    scheme: str
    value: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


class ArxivId(msgspec.Struct, frozen=True, gc=False):
    """An arXiv id: `base` without version (`2601.01234`, `math/0309136`), `version` from 1 where given."""

    base: str
    version: int | None = None

    def __str__(self) -> str:
        return self.base if self.version is None else f"{self.base}v{self.version}"


# --- arXiv -------------------------------------------------------------------------------------------------
# The grammar is that of arXiv's own code (arxiv-base, `arxiv/identifier`). Old ids are accepted for archives
# that existed only: `owner/1234567` in running text is no paper.

_ARCHIVES = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs"
    "|dg-ga|funct-an|gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math-ph|math|mtrl-th|nlin|nucl-ex|nucl-th|patt-sol"
    "|physics|plasm-ph|q-alg|q-bio|quant-ph|solv-int|stat|supr-con"
)
_ID = (
    r"(?:(\d{2}(?:0[1-9]|1[0-2])\.\d{4,5})"
    rf"|({_ARCHIVES})(?:\.[a-z]{{2}})?/(\d{{2}}(?:0[1-9]|1[0-2])\d{{3}}))"
    r"(?:v([1-9]\d{0,3}))?"
)
_ARXIV_ID = re.compile(_ID, re.I)
_USUAL_ARXIV = re.compile(rf"(?-i:oai:arXiv\.org:|https?://(?:export\.)?arxiv\.org/abs/)?{_ID}", re.I)
"""As arXiv itself gives an id: bare, in OAI-PMH and RSS, in its API."""
_ARXIV_DOI = re.compile(r"10\.48550/arxiv\.(?P<id>.+)", re.I)
_ARXIV_PREFIX = re.compile(
    r"(?:oai:arxiv\.org:|(?:arxiv\s+preprint\s+)?arxiv\s*:?\s*|arxiv\s+preprint\s*:?\s*|info:arxiv/)", re.I
)
_ARXIV_PATH = re.compile(
    r"/(?:abs|pdf|html|format|ps|src|e-print|list|papers|overview|forum|doi|arxiv|ftp(?:/[^/]+)+)/(?P<id>.+?)/?"
    r"(?:\.pdf|\.html)?/?",
    re.I,
)
_ARXIV_HOST = re.compile(
    r"(?:[a-z0-9-]+\.)*arxiv\.org|ar5iv\.org|(?:www\.)?alphaxiv\.org|xxx\.lanl\.gov|(?:www\.)?huggingface\.co"
    r"|hf\.co|papers\.cool|scirate\.com|(?:www\.)?semanticscholar\.org",
    re.I,
)
_ARXIV_ELSEWHERE = re.compile(
    r"(?:ui\.)?adsabs\.harvard\.edu/abs/\d{4}arXiv(?P<a>\d{4})\.?(?P<b>\d{4,5})[A-Z]?(?:/.*)?"
    r"|(?:www\.)?dblp\.(?:org|uni-trier\.de)/rec/(?:\w+/)?(?:journals/)?corr/abs-(?P<c>\d{4})-(?P<d>\d{4,5})(?:\..*)?",
    re.I,
)
"""Bibliographies that spell an arXiv id in their own way."""
_TRAILING = ".,;:!?'\"”’»)]}>。、，；"


def parse_arxiv(text: str) -> ArxivId | None:
    """The arXiv id that `text` is: bare, with `arXiv:`, as an arXiv (or mirror) URL, or as a 10.48550 DOI.

    `text` must be the identifier as a whole, give or take blanks, closing punctuation and a `[cs.CL]`; ids
    inside sentences are not looked for. The subject class of old ids is dropped: `math.GT/0309136v2` is
    `math/0309136`, version 2. Returns `None` for anything else.
    """
    usual = _USUAL_ARXIV.fullmatch(text)
    if usual is not None:
        return _arxiv_found(usual)
    text = clean(text, limit=2_000)
    parts = split_url(text)
    if parts is not None:
        return _arxiv_at(parts.hostname or "", parts.path)
    candidate = re.sub(r"\s*\[[\w.-]+\]$", "", text)
    candidate = re.sub(r"^doi:\s*", "", candidate, flags=re.I)
    doi = _ARXIV_DOI.fullmatch(candidate)
    if doi:
        candidate = doi["id"]
    prefix = _ARXIV_PREFIX.match(candidate)
    if prefix:
        candidate = candidate[prefix.end() :]
    candidate = re.split(r"[?#]", candidate, maxsplit=1)[0]
    return _match_arxiv(re.sub(r"\.pdf$", "", candidate.rstrip(_TRAILING), flags=re.I))


def _match_arxiv(text: str) -> ArxivId | None:
    found = _ARXIV_ID.fullmatch(text)
    return None if found is None else _arxiv_found(found)


def _arxiv_found(found: re.Match[str]) -> ArxivId | None:
    new, archive, number, version = found.groups()
    if not _was_given_out(new or "", number or ""):
        return None
    return ArxivId(new or f"{archive.lower()}/{number}", int(version) if version else None)


def _was_given_out(new: str, old: str) -> bool:
    """Whether arXiv counted so in that month: seven digits from 1991 to March 2007, then four after a dot, and
    five from 2015. `1999.1234`, `0612.0001` and `2412.1234` are dates, prices, versions."""
    if old:
        return old[:4] >= "9101" or old[:4] <= "0703"
    month, number = new[:4], new[5:]
    return month >= "0704" and len(number) == (4 if month < "1501" else 5)


def _arxiv_at(host: str, path: str) -> ArxivId | None:
    path = unquote(path).rstrip(_TRAILING)
    if _is_doi_host(host):
        doi = _ARXIV_DOI.fullmatch(path.strip("/"))
        return _match_arxiv(doi["id"]) if doi else None
    if not _ARXIV_HOST.fullmatch(host):
        spelt = _ARXIV_ELSEWHERE.fullmatch(host + path) if "arxiv" in path.lower() or "/corr/" in path else None
        return _match_arxiv(f"{spelt['a'] or spelt['c']}.{spelt['b'] or spelt['d']}") if spelt else None
    found = _ARXIV_PATH.fullmatch(path)
    return _match_arxiv(_ARXIV_PREFIX.sub("", found["id"], count=1)) if found else None


# --- DOI ---------------------------------------------------------------------------------------------------

_DOI = re.compile(r"10\.\d{4,9}(?:\.\d+)*/(?:[^\s\"<>]+|\(sici\)[^\s\"]+)")
_DOI_PREFIX = re.compile(r"(?:info:doi/|doi:?\s*)", re.I)
_DOI_IN_PATH = re.compile(
    r"(?:/[\w-]+){0,2}/(?:doi|article|articles|abstract|book|chapter|content(?:/biorxiv/early/\d+/\d+/\d+)?)"
    r"(?:/(?:abs|full|pdf|pdfdirect|epdf|epub|ft_gateway|reader|fullhtml))?/(?P<doi>10\.\d{4,9}/.+)",
    re.I,
)
_PREPRINT_SUFFIX = re.compile(
    r"(?P<doi>10\.(?:1101|64898)/[\d.]+?)(?:v\d+)?(?:\.(?:full|abstract|article|supplementary).*)?(?:\.pdf)?", re.I
)
_VERSIONED_PREPRINT = re.compile(r"^(10\.(?:1101|64898)/(?:\d{6}|\d{4}\.\d\d\.\d\d\.\d{6,8}))v\d{1,3}$")
"""Versions of bioRxiv's and medRxiv's preprints have no DOIs of their own."""
_DOI_AT_END = re.compile(r"(?:/[^/]+){2,10}/(?P<doi>10\.\d{4,9}/[^/]+)\.(?:full|short)", re.I)
"""`projecteuclid.org/journals/…/10.69828/4d4kja.full`, and SPIE's."""
_OUP_RECORD = re.compile(r"(?<=/)(10\.1093/[^/]+/[^/]+)/\d{5,9}$")
"""`academic.oup.com/mnras/article/doi/10.1093/mnras/stab123/6123456`: their number of the record comes after."""
_NATURE = re.compile(r"/articles/(?P<id>[sd]\d{5}-\d{3}-\d{5}-[\da-z]|(?:nature|ncomms|srep)\d+)", re.I)
_NATURE_PREFIX = "10.1038/"


def parse_doi(text: str) -> str | None:
    """The DOI that `text` is, lower case: bare, with `doi:`, or as a URL of a resolver or publisher.

    Closing punctuation goes, balanced brackets stay (`10.1016/s0140-6736(20)30183-5`). bioRxiv and medRxiv
    addresses lose their version. arXiv's own DOIs give `None`: they are arXiv ids (`parse_arxiv`).
    """
    text = clean(text, limit=2_000)
    parts = split_url(text)
    if parts is not None:
        return _doi_at(parts.hostname or "", parts)
    prefix = _DOI_PREFIX.match(text)
    return _tidy_doi(text[prefix.end() :] if prefix else text)


def _doi_at(host: str, parts: SplitResult) -> str | None:
    path = unquote(parts.path)
    if _is_doi_host(host):
        return _tidy_doi(path.strip("/"))
    if host.endswith(("biorxiv.org", "medrxiv.org")):
        found = re.search(r"10\.(?:1101|64898)/.+", path)
        preprint = _PREPRINT_SUFFIX.fullmatch(found[0].rstrip("/" + _TRAILING)) if found else None
        return _tidy_doi(preprint["doi"]) if preprint else None
    if host.endswith("nature.com"):
        nature = _NATURE.match(path)
        return _tidy_doi(_NATURE_PREFIX + nature["id"]) if nature else None
    if host.endswith("plos.org") and parts.query:
        return _tidy_doi(next((value for name, value in parse_qsl(parts.query) if name == "id"), ""))
    if host == "academic.oup.com":
        path = _OUP_RECORD.sub(r"\1", path)
    found = _DOI_IN_PATH.fullmatch(path) or _DOI_AT_END.fullmatch(path)
    return (
        _tidy_doi(re.sub(r"(?:\.pdf|/(?:full|abstract|pdf|html|summary|meta))$", "", found["doi"].rstrip("/")))
        if found
        else None
    )


def _tidy_doi(text: str) -> str | None:
    doi = strip_invisible(text).lower()  # an address may spell a NUL: `%00`
    while doi and doi[-1] in _TRAILING:
        opening = {")": "(", "]": "[", "}": "{", ">": "<"}.get(doi[-1])
        if opening and doi.count(opening) >= doi.count(doi[-1]):
            break
        doi = doi[:-1]
    doi = _VERSIONED_PREPRINT.sub(r"\1", doi)
    if not _DOI.fullmatch(doi) or _ARXIV_DOI.fullmatch(doi):
        return None
    return doi


def _is_doi_host(host: str) -> bool:
    return host.lower() in ("doi.org", "dx.doi.org", "www.doi.org")


# --- pages of papers -----------------------------------------------------------------------------------

_PMID_PATH = re.compile(r"/(?:pubmed/)?(\d{1,9})/?")
_PMCID_PATH = re.compile(r"/(?:pmc/)?articles/(?:pmc)?(\d{1,9})(?:/.*)?", re.I)
_EUROPE_PMC_PATH = re.compile(r"/(?:(?:article|abstract)/(med|pmc)/(?:pmc)?|articles/(pmc))(\d{1,9})/?", re.I)
_OPENREVIEW_ID = re.compile(r"[\w-]{6,40}")


def identifiers_from_url(url: str) -> tuple[Identifier, ...]:
    """What an address says of its paper: an arXiv id, DOI, OpenReview, PubMed or PMC id; else itself.

    Empty when `url` is no http(s) URL. The site's front page identifies nothing, so it is empty too.
    """
    parts = split_url(clean(url, limit=4_000))
    if parts is None:
        return ()
    named = paper_named_by(parts)
    if named:
        return (named,)
    try:
        canonical = canonical_url(url)
    except InvalidInput:
        return ()
    return () if re.fullmatch(r"https://[^/]+/", canonical) else (Identifier("url", canonical),)


def paper_named_by(parts: SplitResult) -> Identifier | None:
    """The arXiv id, DOI, OpenReview, PubMed or PMC id an http(s) address spells out, else `None`."""
    host = parts.hostname or ""  # worked out anew each time it is asked for
    arxiv = _arxiv_at(host, parts.path)
    if arxiv:
        return Identifier("arxiv", arxiv.base)
    doi = _doi_at(host, parts)
    if doi:
        return Identifier("doi", doi)
    bare = host.removeprefix("www.")
    return _openreview(bare, parts) or _pubmed(bare, parts) or _semantic_scholar(bare, parts)


def _openreview(host: str, parts: SplitResult) -> Identifier | None:
    if host != "openreview.net":
        return None
    if parts.path.rstrip("/") not in ("/forum", "/pdf", "/attachment"):
        return None
    ids = [value.rstrip(_TRAILING) for name, value in parse_qsl(parts.query) if name == "id"]
    return Identifier("openreview", ids[0]) if ids and _OPENREVIEW_ID.fullmatch(ids[0]) else None


_S2_PATH = re.compile(
    r"(?:/graph/v1|/v1)?(?:/paper)?/(?P<name>[A-Za-z]+):(?P<value>.+?)(?:/(?:authors|citations|references))?/?"
)


def _semantic_scholar(host: str, parts: SplitResult) -> Identifier | None:
    """`…/CorpusID:123`, and the addresses of its API that name a paper by another's name (`paper/arXiv:2601.01234`)."""
    if host not in ("api.semanticscholar.org", "semanticscholar.org"):
        return None
    found = _S2_PATH.fullmatch(unquote(parts.path).rstrip(_TRAILING))
    if found is None:
        return None
    name, value = found["name"].lower(), found["value"]
    if name == "url":
        inner = split_url(value)
        return paper_named_by(inner) if inner and "semanticscholar" not in (inner.hostname or "") else None
    try:
        return parse_key(f"{name}:{value}")
    except InvalidInput:
        return None


def _pubmed(host: str, parts: SplitResult) -> Identifier | None:
    if host == "europepmc.org":
        found = _EUROPE_PMC_PATH.fullmatch(parts.path)
        if found is None:
            return None
        return _pmid(found[3]) if (found[1] or "").lower() == "med" else _pmcid(found[3])
    if host not in ("pubmed.ncbi.nlm.nih.gov", "ncbi.nlm.nih.gov", "pmc.ncbi.nlm.nih.gov"):
        return None
    article = _PMCID_PATH.fullmatch(parts.path)
    if article:
        return _pmcid(article[1])
    record = _PMID_PATH.fullmatch(parts.path)
    return _pmid(record[1]) if record and (host.startswith("pubmed") or "/pubmed/" in parts.path) else None


def _pmid(digits: str) -> Identifier:
    return Identifier("pmid", digits.lstrip("0") or "0")


def _pmcid(digits: str) -> Identifier:
    return Identifier("pmcid", f"PMC{digits.lstrip('0') or '0'}")


# --- keys --------------------------------------------------------------------------------------------------


def canonical_key(identifiers: Iterable[Identifier]) -> Identifier:
    """The strongest of a paper's identifiers (see `SCHEMES`); among equals the least, so the choice is
    stable.

    Raises `InvalidInput` when there is none.
    """
    names = list(identifiers)
    if not names:
        raise InvalidInput("a paper needs at least one identifier")
    return names[0] if len(names) == 1 else min(names, key=lambda one: (_strength(one.scheme), one.value))


def _strength(scheme: str) -> int:
    return SCHEMES.index(scheme) if scheme in SCHEMES else len(SCHEMES)


def parse_key(key: str) -> Identifier:
    """The identifier a key spells, canonical: `arxiv:2601.01234v2`, `doi:10.1234/X`, a bare id, a paper's
    URL.

    Raises `InvalidInput` for what is none of these.
    """
    text = clean(key, limit=4_000)
    scheme, _, value = text.partition(":")
    scheme = scheme.lower()
    arxiv = parse_arxiv(text)
    if arxiv:
        return Identifier("arxiv", arxiv.base)
    doi = parse_doi(text)
    if doi:
        return Identifier("doi", doi)
    if scheme in ("http", "https"):
        found = identifiers_from_url(text)
        if found:
            return found[0]
    if scheme == "url":
        return Identifier("url", canonical_url(value))
    value = value.strip()
    if scheme == "pmid" and re.fullmatch(r"\d{1,9}", value):
        return _pmid(value)
    if scheme in ("s2", "corpusid") and re.fullmatch(r"\d{1,12}", value):
        return Identifier("s2", value.lstrip("0") or "0")
    if not value and re.fullmatch(r"PMC\d{4,9}", text, re.I):
        return _pmcid(text[3:])
    if scheme == "pmcid" and re.fullmatch(r"(?:PMC)?\d{1,9}", value, re.I):
        return _pmcid(value[3:] if value[:3].upper() == "PMC" else value)
    if (scheme == "openreview" and _OPENREVIEW_ID.fullmatch(value)) or (
        scheme == "title" and re.fullmatch(r"[0-9a-f]{32}", value)
    ):
        return Identifier(scheme, value)
    raise InvalidInput(
        f"{key[:200]!r} names no paper; use arxiv:2601.01234, doi:10.…, openreview:…, pmid:…, pmcid:… or url:https://…"
    )


def paper_url(key: str) -> str:
    """The paper's page for a canonical key (`arxiv:2601.01234`); empty for `title` keys, which have none."""
    scheme, _, value = key.partition(":")
    match scheme:
        case "arxiv":
            return f"https://arxiv.org/abs/{value}"
        case "doi":
            return f"https://doi.org/{quote(value, safe='/:;().,-_')}"
        case "openreview":
            return f"https://openreview.net/forum?id={quote(value, safe='')}"
        case "pmid":
            return f"https://pubmed.ncbi.nlm.nih.gov/{value}/"
        case "pmcid":
            return f"https://pmc.ncbi.nlm.nih.gov/articles/{value}/"
        case "s2":
            return f"https://api.semanticscholar.org/CorpusID:{value}"
        case "url":
            return value
        case _:
            return ""


def pdf_url(key: str) -> str | None:
    """Where the PDF lies, for the schemes that have a rule for it (arXiv, OpenReview); else `None`."""
    scheme, _, value = key.partition(":")
    if scheme == "arxiv":
        return f"https://arxiv.org/pdf/{value}"
    if scheme == "openreview":
        return f"https://openreview.net/pdf?id={quote(value, safe='')}"
    return None
