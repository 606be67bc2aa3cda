"""Links: what a paper points at, found in fields and free text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from services.domain.identifiers import parse_doi
from services.domain.link_kinds import LINK_KINDS, Classified, classify
from services.domain.link_venues import names_an_event, names_the_paper
from services.domain.link_words import REACH, kind_by_words, last_sentence, names_what_was_used
from services.domain.repos import REPO_KINDS
from services.domain.text import strip_invisible

__all__ = [
    "COUNTED", "EVIDENCE", "LINK_KINDS", "STANDINGS", "LinkData", "find_links", "is_verified", "link_from_url",
    "standing",
]  # fmt: skip

EVIDENCE = ("abstract", "comment", "hf", "project_page", "readme", "feed", "hf_auto", "in_passing")
"""Where a link can have been seen, the best first: the abstract, arXiv's comment field, a field of Hugging Face
that a person filled in, the page the authors gave as theirs, the README of the repository (which names the
paper), a feed's entry, a field that Hugging Face filled in by itself, and an abstract or a comment that says that the
work of others was used (`built on https://…`)."""

_AUTHORS_OWN = frozenset({"abstract", "comment", "hf", "project_page"})
_OFFICIAL = _AUTHORS_OWN | {"readme"}
_RUNNING = ("abstract", "comment")

STANDINGS = ("official", "claimed", "unrelated")
"""What a repository is to a paper, as far as the evidence goes."""


def standing(evidence: str) -> str:
    """What a link is to its paper (`STANDINGS`), by where it was seen.

    `official`: somebody who speaks for the paper names it: its abstract, its comment, a person on its Hugging
    Face page, its project page; or the repository's own README names the paper. `claimed`: a third party says
    so, a feed's entry or a guess of Hugging Face's. `unrelated`: nothing says so, or the paper names it as
    something it used.
    """
    if evidence in _OFFICIAL:
        return "official"
    return "claimed" if evidence in EVIDENCE and evidence != "in_passing" else "unrelated"


def is_verified(evidence: str) -> bool:
    """Whether a link may be shown as the paper's code: a wrong one is worse than none."""
    return standing(evidence) == "official"


COUNTED = tuple(evidence for evidence in EVIDENCE if standing(evidence) != "unrelated")
"""Evidence by which a repository counts as a paper's own: official and claimed alike. `has:` and `repo:` in a query, in
memory and in either database, the counts of searches and of the operators' page, and what a paper's page lists all
go by it; only a repository that is gone does not count (`indexed.GONE`). Editions show official code alone
(`is_verified`)."""

_LONGEST_TEXT = 200_000


class LinkData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing a paper points at.

    `kind` is one of `LINK_KINDS`, `slug` is `owner/name` for code, model, dataset and space, the
    name for an organization, else `None`; `evidence` says where we saw it (`EVIDENCE`).
    """

    url: str
    kind: str
    slug: str | None = None
    evidence: str


def find_links(text: str, *, evidence: str) -> tuple[LinkData, ...]:
    r"""The links in running text, each thing once, in the order of their first mention.

    Understands what stands in abstracts and comments: closing punctuation, brackets and quotes, `\url{…}`,
    `\href{…}{…}`, `URL{label}`, a URL said twice (`URL{URL}`), Markdown, TeX escapes, addresses without
    scheme on known hosts, and addresses broken at a line's end. Addresses of papers (arXiv, DOI) are left
    out: they are identifiers. An unknown host is a `project` where authors speak of their own work (abstract,
    comment), or what the words before it say (demo, dataset, video); elsewhere it is `other`.
    """
    text = text[:_LONGEST_TEXT]
    if not text.isascii():
        text = strip_invisible(text)
    lower = text.lower()
    first = _first_trace(lower)
    if first < 0:  # two abstracts of three; the full search costs twenty times as much
        return ()
    if len(lower) == len(text):
        start = max(text.rfind(" ", 0, max(first - _LEAD, 0)), 0)
        text, first = text[start:], first - start
    else:
        first = 0
    maybe = _MAYBE.search(text, max(first - _BEFORE_DOT, 0))
    if maybe is None:
        return ()
    prepared = _prepare(text)
    default = "project" if evidence in _AUTHORS_OWN else "other"
    found: dict[str, LinkData] = {}
    for start, end, url in _addresses(prepared, max(maybe.start() - _LEAD // 2, 0)):
        before = prepared[max(0, start - REACH) : start]
        classified = classify(url) or _deposit(url, before, default)
        if classified is None:
            continue
        kind = classified.kind or kind_by_words(
            before, url, default, after=prepared[end : end + 60], looks_back=evidence == "comment"
        )
        if kind == "dataset" and classified.slug is None and names_the_paper(last_sentence(before)):
            if parse_doi(classified.url):
                continue
            kind = "other"
        if kind == "project" and names_an_event(before, url):
            kind = "other"
        passing = evidence in _RUNNING and kind in REPO_KINDS and names_what_was_used(before)
        known = found.get(classified.same_as)
        if known is None or (known.evidence == "in_passing" and not passing):
            found[classified.same_as] = _link(classified, kind, "in_passing" if passing else evidence)
    return tuple(link for key, link in found.items() if _GLUED.sub("", key) not in found or not _GLUED.search(key))


def link_from_url(url: str, *, evidence: str, default_kind: str = "other") -> LinkData | None:
    """The link a field holds, or `None` when it holds no usable address or that of a paper.

    Fields are typed by people: blanks and line breaks around and inside, closing slashes, `/tree/main/sub`,
    `.git`, a missing scheme, an owner without repository are all dealt with. `default_kind` is for hosts we
    know nothing of.
    """
    if _PLAIN.fullmatch(url) and "http" not in url[4:]:
        classified = classify(_without_closing(url))
        return _link(classified, classified.kind or default_kind, evidence) if classified else None
    whole = re.sub(r"\s*[\r\n\t]+\s*", "", _prepare(url).strip())
    if re.match(r"https?://\S+$", whole, re.I) and whole.lower().count("http") == 1:
        address: str | None = _without_closing(whole)
    else:
        address = next((one for *_, one in _addresses(_prepare(url))), None)
    classified = classify(address) if address else None
    return _link(classified, classified.kind or default_kind, evidence) if classified else None


def _deposit(url: str, before: str, default: str) -> Classified | None:
    """A DOI that no publisher of papers gave out, where the words say that data lie there."""
    doi = parse_doi(url) if url.startswith("https://d") else None
    if doi is None or _PUBLISHER_DOI.match(doi) or kind_by_words(before, url, default) != "dataset":
        return None
    return Classified(f"https://doi.org/{doi}", "dataset")


_PUBLISHER_DOI = re.compile(
    r"10\.(?:1002|1007|1016|1017|1021|1038|1039|1051|1063|1073|1080|1088|1093|1101|1103|1109|1111|1117|1126|1137|1142|1145"
    r"|1155|1158|1162|1186|1214|1371|1561|1609|1613|2139|2196|2312|3150|3233|3389|3390|4018|5220|5194|14445|14722|14778"
    r"|17605|18653|20944|21105|21203|21437|22541|23919|24963|26434|31219|31234|32473|36227|48550|52202|64898)/"
)


def _link(classified: Classified, kind: str, evidence: str) -> LinkData:
    return LinkData(url=classified.url, kind=kind, slug=classified.slug, evidence=evidence)


# --- finding addresses -------------------------------------------------------------------------------------

_PLAIN = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:/[A-Za-z0-9._~/-]*)?")
"""An address without anything that would have to be mended."""

_TRACES = ("http", "github", "huggingface")
_NEW_DOMAIN = r"(?:site|xyz|me|tech|page|cloud|online|science|world|info|studio|space|art|wiki|cc)"
_COUNTRY = r"(?:de|ch|uk|fr|eu|nl|it|jp|kr|ca|se|il|es|dk|fi|pl|cz|pt|gr|ie|hu|ro|au|nz|cn|tw|hk|sg|tr|br|ru)"
_DOMAIN_TRACE = re.compile(
    rf"\.(?:com|org|io|net|ai|app|dev|edu|co/|be/|ly/|gl|{_NEW_DOMAIN}|{_COUNTRY}"
    r"|(?<=www\.)|(?<=zenodo\.)|(?<=figshare\.)|(?<=aka\.)ms/)"
)
"""What every address leaves in a text, as `_ADDRESS` and `_prepare` read it: one of these, in lower case."""


_BEFORE_DOT = 20
"""More than the longest name that counts with its dot alone: `10.6084/m9.figshare`."""
_LEAD = 400
"""Characters kept before the first trace: more than an address has before it, and the words that lead to it."""


def _first_trace(lower: str) -> int:
    """Where the first trace of an address begins in a text in lower case, -1 without one: most abstracts have none, and
    to search them by patterns costs a hundred times as much a character."""
    places = [at for trace in _TRACES if (at := lower.find(trace)) >= 0]
    if domain := _DOMAIN_TRACE.search(lower):
        places.append(domain.start())
    return min(places, default=-1)


def _search_from(text: str) -> list[tuple[int, int]]:
    """(where a trace begins, where to search from so that the address it belongs to is found), in order: nothing of an
    address with a scheme stands before its trace, of others at most `_LEAD`. Empty where that cannot be told."""
    lower = text.lower()
    if len(lower) != len(text):
        return []
    places = [found.start() for found in _DOMAIN_TRACE.finditer(lower)]
    for trace in _TRACES:
        at = lower.find(trace)
        while at >= 0:
            places.append(at)
            at = lower.find(trace, at + 1)
    return [(at, at if lower.startswith(_SCHEMES, at) else at - _LEAD) for at in sorted(places)]


_SCHEMES = ("http:/", "https:/")


_ADDRESS_RUN = re.compile(r"(?:https?://|github\.com/)\S+", re.I)
_TYPESET_HYPHEN = re.compile(r"(?<=\w)[\u2010-\u2013](?=\w)")
"""What word processors make of a hyphen: no path has one."""
_TEX_TILDE = re.compile(r"\{?\\(?:textasciitilde(?:\s(?=\w))?|string~|sim)(?:\{\})?\}?|\$\\sim\$|\\~(?:\{\})?")
_TEX_UNDERSCORE = re.compile(r"\$\\?_\$|\{?\\textunderscore(?:\s(?=\w)|\{\})?\}?")
_TEX_ESCAPE = re.compile(r"\{?\\+([_%#&$-])\}?")
_TEX_FONT = re.compile(r"\\(?:texttt|textbf|textit|emph|text|underline|color(?:\[[^\]]*\])?\{[^{}]*\})(?=[{\s])")
_DOLLAR_DOT = re.compile(r"(?<=[A-Za-z0-9])(?:\$\.\$?|\.\$)(?=(?:com|io|org|net|ai)\b)")
_HREF = re.compile(
    r"\\href\s*\{\s*(?P<url>https?://[^{}\s]+)\s*\}\s*\{(?P<label>(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}?"
)
"""A macro with both its arguments. A label that looks like an address is what is shown of the first."""
_ON_GITHUB = re.compile(
    r"[Gg](?<=\b.)(?i:it ?hub)(?:/|:\s?|\s-\s)"
    r"(?=(?P<slug>[A-Za-z0-9][A-Za-z0-9-]{1,38}/[A-Za-z0-9._-]*[A-Za-z0-9_-])(?![\w/]))"
)
"""`github: owner/name`, `github/owner/name`, `GitHub - owner/name: title`."""
_SPACED_OUT = re.compile(r"\bgithub\.com(?:\s?/\s?([\w-]+)\s/\s?(?=[\w.-])|\s/\s?(?=[\w-]+/[\w.-]))", re.I)
# The first letter of these is spelt out, since a search by letters in either case cannot skip to it.
_SPLIT_HOST = re.compile(
    r"([GgHh](?<=\b.)(?i:(?<=g)ithub|(?<=h)uggingface))\s?(?:\$?\.\$?)\s?((?i:com?))(?=/\s*[A-Za-z0-9])"
)
_BY_SSH = re.compile(
    r"(?:ssh://)?\bgit@((?:github|gitlab)\.com|codeberg\.org|bitbucket\.org)[:/]|(?<![\w@/])(github\.com):(?=[\w-]+/[\w.-])",
    re.I,
)
_SPLIT_SCHEME = re.compile(r"([Hh](?i:ttps?))\s*:\s*/?\s*/?\s*(?=(?i:[a-z0-9-]+(?:\.[a-z0-9-]+)+))")
_BROKEN_HOST = re.compile(
    r"([Hh](?i:ttps?://[a-z0-9.-]{1,253}))"
    r"(?i:(?:(\.)\s+|(-)\s+(?=[a-z0-9-]+\.))(?=(?:[a-z0-9-]+\.)?(?:github\.io|[a-z]{2,4})/))"
)

_PATH = r"[A-Za-z0-9\-._~:/?#\[\]@!&'()*+,;=%]"
_KNOWN_HOST = (
    r"(?:www\.)?(?:gist\.)?github\.com/|(?:www\.)?gitlab(?:\.[a-z0-9-]+)+/|codeberg\.org/|bitbucket\.org/|gitee\.com/|git\.sr\.ht/"
    r"|(?:www\.)?huggingface\.co/|hf\.co/|(?:www\.)?zenodo\.org/|(?:www\.)?kaggle\.com/|(?:www\.)?modelscope\.cn/"
    r"|youtu\.be/|(?:www\.)?youtube\.com/|vimeo\.com/\d|bit\.ly/|goo\.gl[e]?/|aka\.ms/|tinyurl\.com/|sites\.google\.com/"
    r"|drive\.google\.com/|colab\.research\.google\.com/|anonymous\.4open\.science/|physionet\.org/content/|pypi\.org/project/"
    r"|(?:data\.mendeley|figshare)\.com/|dataverse\.harvard\.edu/|doi\.org/10\.|sourceforge\.net/projects/"
    r"|[a-z0-9][a-z0-9-]*\.github\.io\b|osf\.io/[a-z0-9]{5}\b|www\.[a-z0-9-]+\.[a-z]{2}"
)
_ADDRESS = re.compile(
    rf"(?P<schemed>https?:/{{1,3}}{_PATH}{{1,2000}})"
    r"|(?<![\w/.])(?P<doi>10\.(?:5281/zenodo|6084/m9\.figshare)\.\d+)"
    rf"|(?:(?<![\w@.-])(?<![\w.]/)|(?<=\bat))(?P<bare>(?:{_KNOWN_HOST}){_PATH}{{0,2000}})"
    # A bare domain elsewhere is an address only where words promise one: "available at ours.org".
    r"|\b(?:(?:available|accessible|accessed|released|hosted|found|published|(?<=be )downloaded|tried|open-sourced?)\s+"
    r"(?:online\s+|publicly\s+|freely\s+)?(?:at|from|via|through|in\s+[A-Z]\w+\s+\(|on):?"
    r"|(?:web|home)?(?:page|site)(?:\s+is(?:\s+at)?|\s+at|:)|(?:our|project)\s+(?:web|home)?(?:page|site),"
    r"|(?:more|details|results)\s+(?:at|on)|downloads?:|visit"
    r"|(?:codes?|data|data ?sets?|models?|weights|demos?|samples?|videos?)(?::|\s[-–—])"
    r"|(?:publish|releas|open-?sourc|shar|host)\w*\b[^.;]{0,100}\b(?:codes?|data|datasets?|models?|weights)\s+(?:at|on|via))\s*"
    r"(?<=[\s(])"
    rf"(?P<plain>(?:[a-z0-9-]+\.)+(?:com|org|io|net|ai|app|dev|edu|{_NEW_DOMAIN})(?:/{_PATH}{{0,2000}}|(?![\w.-]*\w))"
    # Under a country, `ours.de` may be anything, `ours.uni.de` and `ours.de/data` are addresses.
    rf"|(?:[a-z0-9-]+\.)+{_COUNTRY}/{_PATH}{{1,2000}}|(?:[a-z0-9-]+\.){{2,}}{_COUNTRY}(?![\w.-]*\w))"
    # "Launched in 2024, ours.org platform addresses …": what a sentence is about. "on the theirs.com platform" is not.
    r"|(?:^|(?<=[.,;:]\s))(?P<subject>(?:[a-z0-9-]+\.)+(?:org|io|net|ai|app|dev|edu|info))"
    r"(?=\s(?:platform|website|portal)\b)",
    re.I,
)
_MAYBE = re.compile(
    r"https?\s*:|www\.|aka\.ms/|\.\$?\s?(?:com?|org|io|net|ai|app|dev|edu|info|cn|be|ly|gle?|science)(?![a-z])"
    rf"|\.(?:{_NEW_DOMAIN}|{_COUNTRY})(?![a-z])"
    r"|hub(?:/|:\s?|\s-\s)[\w-]+/|10\.(?:5281/zenodo|6084/m9\.figshare)\.\d",
    re.I,
)
"""Without one of these there is no address of any form below in a text."""
_DEPOSITED = re.compile(r"\b(?:data ?sets?|data|codes?|software|materials?|models?|scripts?)\b[^.]*\W$", re.I)
"""Without a scheme, the DOI of an archive is an address where the sentence offers something; else it may well be the
paper's own (`Also on Zenodo: DOI 10.5281/…`)."""
_SECOND = re.compile(r"(?<=.)https?:/|\]\(|(?<=[,;)])(?:www\.)?github\.com/", re.I)
_CLOSING_BUT_PLUS = ".,;:!?'*&=#@"
_CLOSING = _CLOSING_BUT_PLUS + "+"
_PAIRS = {")": "(", "]": "["}


def _prepare(text: str) -> str:
    text = strip_invisible(text)
    if not text.isascii():
        text = _ADDRESS_RUN.sub(lambda run: _TYPESET_HYPHEN.sub("-", run[0]), text)
    if "\\" in text:
        text = _TEX_UNDERSCORE.sub("_", _TEX_TILDE.sub("~", text))
        text = _TEX_FONT.sub("", _TEX_ESCAPE.sub(r"\1", text))
        text = _HREF.sub(_without_label, text)
    if "$" in text:
        text = _DOLLAR_DOT.sub(".", text)
    if "git@" in text or ".com:" in text:
        text = _BY_SSH.sub(lambda m: f"https://{m[1] or m[2]}/", text)
    lower = text.lower()  # each pattern costs as much as all else here: they are tried where their words stand
    if "github" in lower or "huggingface" in lower:
        text = _SPLIT_HOST.sub(lambda m: f"{m[1]}.{m[2]}", text)
    if "http" in lower:
        text = _SPLIT_SCHEME.sub(lambda m: f"{m[1]}://", text)
    if " /" in text:
        text = _SPACED_OUT.sub(lambda m: f"github.com/{m[1]}/" if m[1] else "github.com/", text)
    if "http" in lower:
        text = _BROKEN_HOST.sub(lambda m: m[1] + (m[2] or m[3]), text)
    if "hub" not in lower:
        return text
    return _ON_GITHUB.sub(lambda m: "github.com/" if _NAME_LIKE.search(m["slug"]) else m[0], text)


def _without_label(macro: re.Match[str]) -> str:
    address = classify(_without_closing(macro["url"]))
    return f"{macro['url']} " if address and _MAYBE.search(macro["label"]) else macro[0]


def _addresses(text: str, position: int = 0) -> Iterator[tuple[int, int, str]]:
    """Every address in prepared text from a position on: where it starts and ends, scheme added where it had none."""
    traces = _search_from(text)
    while match := _ADDRESS.search(text, _next(traces, position, len(text))):
        start = match.start(match.lastgroup or 0)
        raw, end = text[start : match.end()], match.end()
        second = _SECOND.search(raw)
        if second:  # `URL,URL`, `URL(URL)` or `[URL](URL)` with no blank between
            raw, end = raw[: second.start()], start + second.start()
        else:
            for _ in range(2):
                more = _continuation(raw, text[end : end + 120])
                raw, end = raw + more.strip(), end + len(more)
        url = re.sub(r"^(https?):/+", lambda m: f"{m[1].lower()}://", _without_closing(raw), flags=re.I)
        if match["plain"] and _SOMEBODYS_SHOP.fullmatch(url) and _ON_OR_FROM.search(text, max(start - 9, 0), start):
            position = end
            continue
        if match["doi"]:
            url = f"https://doi.org/{url}" if _DEPOSITED.search(text, max(start - REACH, 0), start) else ""
        yield start, end, url if match["schemed"] or match["doi"] else f"https://{url}"
        position = end


def _next(traces: Sequence[tuple[int, int]], position: int, end: int) -> int:
    if not traces:
        return position
    at = bisect_left(traces, (position, -_LEAD))
    return max(position, traces[at][1]) if at < len(traces) else end


_SOMEBODYS_SHOP = re.compile(r"[A-Z][\w-]*\.(?:com|org|net|gov|ai)")
_ON_OR_FROM = re.compile(r"\b(?:on|from|via|through)\s+$")
"""`reviews published on Amazon.com`: a site called by its name, not the address of anything."""
_GLUED = re.compile(r"(?<=[a-z0-9])(?:our|the|we|code|this)$")
"""The first word of the next sentence, run into an address said before: dropped where the address without it is."""
_NEXT_SENTENCE = re.compile(
    r"\.(?:Accepted|Also|Code|Codes|Contributions?|Data|Datasets?|Demo|Extensive|In|It|Models?|Our|Page|Project|Published"
    r"|The|These|This|Video|We|Website)$"
)


_NEXT_LABEL = re.compile(r"(?<=[/,;])(?:Code|Data|Dataset|Demo|Models?|Page|Paper|Project|Video|Website):$")


def _without_closing(url: str) -> str:
    """`url` without the punctuation of the sentence round it; brackets that belong to it stay."""
    if url.endswith(":"):
        url = _NEXT_LABEL.sub("", url)
    url = _NEXT_SENTENCE.sub("", url.rstrip(_CLOSING_BUT_PLUS))
    while url and not url.endswith("++"):
        last = url[-1]
        if last in _CLOSING or (last in _PAIRS and url.count(last) > url.count(_PAIRS[last])):
            url = url[:-1]
        elif url.endswith(("'s", "’s")):
            url = url[:-2]
        elif last in "([":
            url = url[:-1]
        else:
            break
    opened = max(url.rfind("("), url.rfind("["))
    # `…/repo(MIT` : a bracket that opened and never closed is the sentence's own.
    if opened > 0 and url.count("(") + url.count("[") > url.count(")") + url.count("]"):
        return _without_closing(url[:opened])
    return url


# An address broken by a line's end is joined only where both sides say so: it stops in the middle (an owner
# and a slash, a hyphen, an underscore) and the next word looks like a name or path and not like prose.
_BROKEN = re.compile(r"\s+(?P<next>[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)*/?)(?P<after>\s*[.,;)}]|.?)", re.S)
_HOST = r"(?:https?://)?(?:www\.)?(?:github\.com|gitlab\.com|huggingface\.co(?:/(?:datasets|spaces))?)/"
_HOST_ONLY = re.compile(_HOST, re.I)
_OWNER_ONLY = re.compile(
    _HOST
    + r"[\w.-]+/|(?:https?://)?(?:sites\.google\.com/view/|(?:www\.)?youtube\.com/watch\?v=|youtu\.be/|zenodo\.org/records?/"
    r"|(?:dx\.)?doi\.org/10\.\d{4,6}/|anonymous\.4open\.science/[rw]/|huggingface\.co/collections/)",
    re.I,
)
"""Addresses that stop where a name has to come."""
_SPLIT_OWNER = re.compile(_HOST + r"[\w.-]+", re.I)
_PROSE = re.compile(
    r"a|after|all|also|an|and|are|as|at|available|before|both|by|can|code|contains|data|datasets?|demo|during|for|from"
    r"|github|has|have|here|in|including|is|its?|later|links?|models?|more|of|on|once|or|our|page|paper|project|provides"
    r"|see|soon|that|the|their|these|this|to|under|upon|videos?|was|we|webpage|website|were|when|where|which|will|with",
    re.I,
)


_NAME_LIKE = re.compile(r"[0-9_]|[a-z][A-Z]|[A-Z]{2}|[A-Za-z]-[A-Za-z]")
"""In a name and in no word of a sentence: digits, underscores, hyphens, capitals inside or throughout."""


def _continuation(url: str, following: str) -> str:
    match = _BROKEN.match(following)
    if match is None:
        return ""
    word, line_end = match["next"].rstrip("."), "\n" in match[0]
    if not word or _PROSE.fullmatch(word.split("/")[0]) or match["after"] == ":":
        return ""
    name_like = bool(_NAME_LIKE.search(word))
    closed = match["after"] == "" or match["after"][-1] in ".,;)}"
    if _HOST_ONLY.fullmatch(url):
        joined = "/" in word
    elif _OWNER_ONLY.fullmatch(url):
        joined = (name_like and (closed or line_end)) or (line_end and word.islower() and closed)
    elif url.endswith("/"):
        joined = word.endswith("/") or bool(re.search(r"\.html?$", word))
    elif url.endswith(("-", "_")):
        joined = bool(_SPLIT_OWNER.match(url)) and (closed or line_end)
    else:  # `github.com/Cyber ILab/Repo`: a blank within the owner's name
        joined = bool(_SPLIT_OWNER.fullmatch(url)) and name_like and "/" in word.rstrip("/")
    return match[0][: match.end("next")] if joined else ""
