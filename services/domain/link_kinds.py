"""What an address leads to, judged by its host and path alone: code, a model, a project page, …

Nothing is looked up. `classify` gives the kind, the slug where the kind has one, and one spelling of the
address, so that `http://www.github.com/a/b.git/` and `https://github.com/a/b/tree/main` are the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from services.domain.identifiers import paper_named_by, parse_doi
from services.domain.text import safe_url

LINK_KINDS = ("code", "model", "dataset", "space", "project", "organization", "demo", "video", "other")
"""Every kind of link there is."""


class Classified(msgspec.Struct, frozen=True, gc=False):
    """`kind` is one of `LINK_KINDS`, or empty when the host says nothing; `slug` as in `LinkData`."""

    url: str
    kind: str
    slug: str | None = None

    @property
    def same_as(self) -> str:
        """Equal for addresses of one thing: compared without case, scheme, `www.` and closing slash."""
        bare = re.sub(r"^https?://(?:www\.)?", "", self.url, flags=re.I)
        return bare.rstrip("/").lower()


def classify(url: str) -> Classified | None:
    """What `url` leads to; `None` when it is no http(s) URL, or names a paper (arXiv, DOI, HF paper pages).

    Of a repository, model, dataset or space the root is given, with owner and name in the case as written.
    """
    usual = _PLAIN_GITHUB.fullmatch(url)
    if usual and not _GITHUB_PAGES.fullmatch(usual[1]):
        return _owner_and_name("github.com", usual[1], usual[2])
    address = safe_url(url)
    if address is None:
        return None
    parts = urlsplit(address)
    host = (parts.hostname or "").removeprefix("www.")
    if not _HOST.fullmatch(host) or _OWN_MACHINE.match(host):
        return None
    segments = [unquote(s) for s in parts.path.split("/") if s]
    rule = _RULES.get(host)
    if rule is not None:
        return rule(host, segments, parts)
    if host in _DOI_HOSTS:
        return _doi(address)
    kind = _kind_of_host(host)
    if kind not in _NO_PAPERS and (named := paper_named_by(parts)) is not None:
        return _doi(named.value) if named.scheme == "doi" else None
    if kind == "project" and parts.path.lower().endswith(".pdf"):
        kind = "other"  # a poster, proceedings
    if kind:
        return Classified(_https(parts) if kind in ("project", "demo", "video") else address, kind)
    if _FORGEJO_HOST.fullmatch(host):
        return _two_level(host, segments, parts)
    if _GITHUB_OF_ONES_OWN.fullmatch(host) and segments:
        return _owner_and_name(host, segments[0], segments[1] if len(segments) > 1 else "")
    if _GITLAB_HOST.fullmatch(host):
        return _gitlab(host, segments, parts)
    if parts.path.lower().endswith((".mp4", ".webm", ".mov", ".avi")):
        return Classified(address, "video")
    return Classified(address, "")


_HOST = re.compile(r"(?:[^.]+\.)+(?:[a-z]{2,}|xn--[a-z0-9-]+)|\d{1,3}(?:\.\d{1,3}){3}")
"""A name under a top-level domain, which has no digits (`github.c10pom` is a slip), or an IPv4 address."""


_OWN_MACHINE = re.compile(r"(?:127|10|192\.168|172\.(?:1[6-9]|2\d|3[01])|0)(?:\.\d+){2,3}$")


@lru_cache(maxsize=4_096)
def _kind_of_host(host: str) -> str:
    return next((kind for pattern, kind in _KIND_BY_HOST if pattern.fullmatch(host)), "")


_NO_PAPERS = frozenset({"project", "video", "demo"})
"""Kinds of hosts whose addresses spell out no paper's identifier."""


def _https(parts: SplitResult) -> str:
    return parts._replace(scheme="https").geturl()


# --- code hosts --------------------------------------------------------------------------------------------

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_GITHUB_PAGES = re.compile(
    r"about|account|apps|blog|codespaces|collections|contact|copilot|customer-stories|dashboard|edu|enterprise|events"
    r"|explore|features|issues|join|login|logout|marketplace|new|notifications|organizations|orgs|partners|pricing|pulls"
    r"|readme|resources|search|security|sessions|settings|signup|site|solutions|sponsors|stars|team|topics|trending|users"
    r"|watching",
    re.I,
)
"""First path segments of github.com that are its own pages and can be nobody's account."""

_PLAIN_GITHUB = re.compile(r"https://github\.com/([A-Za-z0-9][A-Za-z0-9_-]{0,38})/([A-Za-z0-9._-]{1,100})/?")
"""A repository's address as nearly all are written: what it leads to needs no taking apart."""

_REPO_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _repo_name(segment: str) -> str:
    """The name at the head of a segment: what follows a stray comma or bracket is not of the address."""
    head = _REPO_NAME.match(segment)
    name = head[0].rstrip(".") if head else ""
    while name.endswith(".git"):
        name = name.removesuffix(".git").rstrip(".")
    return name


def _github(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    if not segments:
        return None
    owner = segments[0].rstrip(".,;:")
    if owner.lower() in ("orgs", "organizations") and len(segments) > 1 and _OWNER.fullmatch(segments[1]):
        return Classified(f"https://github.com/{segments[1]}", "organization", segments[1])
    if _GITHUB_PAGES.fullmatch(owner):
        return Classified(_https(parts._replace(netloc="github.com")), "other")
    return _owner_and_name("github.com", owner, segments[1] if len(segments) > 1 else "")


_PLACEHOLDER = re.compile(
    r"x{2,}|anonymi[sz]ed.*|anonymous|.*upon[-_].*|your[-_]?(?:user)?[-_]?(?:name|repo|org)|tb[ad]"
    r"|to[-_]be[-_].*",
    re.I,
)
"""What authors write where the address is to come: `github.com/xxxx`, `github.com/anonymous`."""


_NOBODY = re.compile(r"x{3,}|anonymi[sz]ed|your[-_]?(?:user)?[-_]?(?:name|org)", re.I)


def _owner_and_name(host: str, owner: str, segment: str) -> Classified | None:
    name = _repo_name(segment)
    if not _OWNER.fullmatch(owner) or _PLACEHOLDER.fullmatch(name or owner) or _NOBODY.fullmatch(owner):
        return None
    if not name or not _NAME.fullmatch(name):
        if owner.endswith("-"):  # the first half of a broken address
            return None
        return Classified(f"https://{host}/{owner}", "organization", owner)
    return Classified(f"https://{host}/{owner}/{name}", "code", f"{owner}/{name}")


def _two_level(host: str, segments: list[str], _parts: SplitResult) -> Classified | None:
    if not segments:
        return None
    return _owner_and_name(host, segments[0], segments[1] if len(segments) > 1 else "")


def _raw_github(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    if segments and segments[0] == "repos":  # api.github.com/repos/owner/name
        segments = segments[1:]
    return _github("github.com", segments, parts) if len(segments) > 1 else None


def _sourcehut(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    """SourceHut's owners begin with a tilde: `git.sr.ht/~owner/name`."""
    owner, name = (*(_repo_name(segment.removeprefix("~")) for segment in segments[:2]), "", "")[:2]
    if not segments or not segments[0].startswith("~") or not owner:
        return Classified(_https(parts), "other") if segments else None
    slug = f"~{owner}/{name}" if name else f"~{owner}"
    return Classified(f"https://git.sr.ht/{slug}", "code" if name else "organization", slug)


_FORGEJO_HOST = re.compile(r"(?:forgejo|gitea|codeberg)\.[a-z0-9-]+(?:\.[a-z0-9-]+)*")
_GITHUB_OF_ONES_OWN = re.compile(r"github\.(?:[a-z0-9-]+\.)+[a-z]{2,}")
"""`github.cs.example.edu`: GitHub Enterprise of a university or company."""
_GITLAB_HOST = re.compile(
    r"(?!git\.(?:io|new)$)(?:gitlab\.com|(?:git|[a-z0-9-]*gitlab[a-z0-9-]*)\.[a-z0-9-]+(?:\.[a-z0-9-]+)*"
    r"|framagit\.org|salsa\.debian\.org|invent\.kde\.org|code\.europa\.eu)"
)
"""`git.io` and `git.new` only shorten addresses."""
_INSIDE_A_PROJECT = re.compile(r"-|tree|blob|raw|issues|merge_requests|wikis|commits?|tags|releases")
_INSIDE_A_FORGEJO = re.compile(r"branch|commit|tag")


def _gitlab(host: str, segments: list[str], _parts: SplitResult) -> Classified | None:
    """GitLab has groups within groups: the slug is the whole path of the project.

    A host called `git.…` may run something else, where files lie under `src/branch`.
    """
    path: list[str] = []
    for segment, following in zip(segments, [*segments[1:], ""], strict=False):  # a host alone has no segments
        name = _repo_name(segment)
        if _INSIDE_A_PROJECT.fullmatch(segment) or not name:
            break
        if segment == "src" and _INSIDE_A_FORGEJO.fullmatch(following):
            break
        path.append(name)
    if not path:
        return None
    slug = "/".join(path)
    return Classified(f"https://{host}/{slug}", "code" if len(path) > 1 else "organization", slug)


# --- model hubs --------------------------------------------------------------------------------------------

_HUB_PAGES = re.compile(
    r"blog|chat|collections|docs|enterprise|inference|join|languages|learn|login|metrics|models|new|posts|pricing|privacy"
    r"|search|settings|support|tasks|terms-of-service"
)
_HUB_LISTS = re.compile(r"models|datasets|spaces|collections|papers|activity")


_CANONICAL_MODEL = re.compile(
    r"gpt2(?:-(?:medium|large|xl))?|openai-gpt|t5-(?:small|base|large|3b|11b)|(?:distil)?(?:bert|roberta|gpt2)-[a-z0-9-]+"
    r"|(?:albert|xlm-roberta|xlnet|camembert)-[a-z0-9-]+"
)
"""Models from before every model had an owner."""


def _huggingface(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    if not segments or segments[0] == "papers":
        return None
    first, rest = segments[0].rstrip(".,;:"), segments[1:]
    if rest and _HUB_LISTS.fullmatch(rest[0]):
        rest = []  # an owner's lists
    if first == "spaces" and len(rest) == 1:  # a space always has an owner, so this is one
        first, rest = rest[0], []
    if first in ("datasets", "spaces"):
        return _hub_repo(f"https://huggingface.co/{first}", first.removesuffix("s"), rest, parts)
    if first == "organizations" and rest:
        first, rest = rest[0], []
    if _HUB_PAGES.fullmatch(first):
        return Classified(_https(parts._replace(netloc="huggingface.co")), "other")
    return _hub_repo("https://huggingface.co", "model", [first, *rest], parts)


def _hub_repo(base: str, kind: str, path: list[str], parts: SplitResult) -> Classified | None:
    names = [_repo_name(segment) for segment in path[:2]]
    if names and not names[-1]:
        names.pop()
    if not names:
        return Classified(_https(parts), "other")
    if _PLACEHOLDER.fullmatch(names[-1]):
        return None
    if len(names) == 1:
        if kind == "model" and _CANONICAL_MODEL.fullmatch(names[0]):
            return Classified(f"{base}/{names[0]}", "model", names[0])
        if kind != "model":  # old data sets have no owner (`datasets/squad`), and lists of an owner look the same
            return Classified(f"{base}/{names[0]}", kind)
        return Classified(f"{base}/{names[0]}", "organization", names[0])
    slug = "/".join(names)
    return Classified(f"{base}/{slug}", kind, slug)


def _modelscope(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    kinds = {"models": "model", "datasets": "dataset", "studios": "space"}
    if len(segments) < 3 or segments[0] not in kinds:
        return Classified(_https(parts), "other")
    kind = kinds[segments[0]]
    return _hub_repo(f"https://modelscope.cn/{segments[0]}", kind, segments[1:], parts)


def _kaggle(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    if len(segments) >= 3 and segments[0] in ("datasets", "models"):
        return _hub_repo(f"https://www.kaggle.com/{segments[0]}", segments[0].removesuffix("s"), segments[1:], parts)
    if len(segments) == 2 and not _KAGGLE_PAGES.fullmatch(segments[0]):  # as data sets were addressed until 2022
        return _hub_repo("https://www.kaggle.com/datasets", "dataset", segments, parts)
    return Classified(_https(parts), "dataset" if segments[:1] == ["datasets"] else "other")


_KAGGLE_PAGES = re.compile(
    r"benchmarks|c|code|competitions|datasets|discussions?|docs|general|getting-started|kernels|learn|me|models"
    r"|organizations|product-feedback|questions-and-answers|search|static|work|writeups"
)


# --- the rest ----------------------------------------------------------------------------------------------

_DOI_HOSTS = frozenset({"doi.org", "dx.doi.org"})
_DATA_DOI = re.compile(
    r"10\.5281/zenodo|10\.6084/m9\.figshare|10\.17632/|10\.7910/dvn|10\.5061/dryad|10\.13026/|10\.57967/hf"
    r"|10\.21227/|10\.18112/openneuro|10\.13012/b2|10\.14279/depositonce|10\.25405/|10\.5683/sp|10\.4121/|10\.34740/"
    r"|10\.7937/|10\.24432/|10\.15468/|10\.3886/|10\.18419/darus|10\.11888/|10\.11922/|10\.25452/figshare|10\.17026/dans"
    r"|10\.34894/|10\.5255/|10\.7303/syn|10\.12751/g-node|10\.48804/|10\.23642/"
)


def _doi(url: str) -> Classified | None:
    """DOIs name papers, but those that archives of data give out (Zenodo, Dryad, PhysioNet …) name data sets."""
    doi = parse_doi(url)
    return Classified(f"https://doi.org/{doi}", "dataset") if doi and _DATA_DOI.match(doi) else None


def _osf(_host: str, segments: list[str], parts: SplitResult) -> Classified | None:
    return Classified(_https(parts), "other" if segments[:1] == ["preprints"] else "")


def _other(_host: str, _segments: list[str], parts: SplitResult) -> Classified | None:
    return Classified(_https(parts), "other")


_RULES: dict[str, Callable[[str, list[str], SplitResult], Classified | None]] = {
    "github.com": _github,
    "raw.githubusercontent.com": _raw_github,
    "codeload.github.com": _raw_github,
    "gist.githubusercontent.com": _other,
    "api.github.com": _raw_github,
    "gist.github.com": _other,
    "codeberg.org": _two_level,
    "gitea.com": _two_level,
    "bitbucket.org": _two_level,
    "gitee.com": _two_level,
    "git.sr.ht": _sourcehut,
    "osf.io": _osf,
    "huggingface.co": _huggingface,
    "hf.co": _huggingface,
    "modelscope.cn": _modelscope,
    "kaggle.com": _kaggle,
}

_KIND_BY_HOST = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"(?:docs|pages|support|education|resources)\.github\.com|github\.blog", "other"),
        (r"[a-z0-9-]+\.(?:github|gitlab|codeberg)\.(?:io|com|page)|sites\.google\.com", "project"),
        (
            r"(?:m\.)?youtube\.com|youtu\.be|(?:player\.)?vimeo\.com|(?:[a-z]+\.)?bilibili\.com|b23\.tv|loom\.com"
            r"|youtube-nocookie\.com|slideslive\.com|dailymotion\.com|v\.youku\.com",
            "video",
        ),
        (r"colab\.research\.google\.com|replicate\.com|mybinder\.org|gradio\.app", "demo"),
        (r".+\.(?:hf\.space|streamlit\.app|gradio\.(?:app|live))", "demo"),
        (
            r"zenodo\.org|(?:[a-z0-9-]+\.)?figshare\.com|physionet\.org|data\.mendeley\.com|datadryad\.org",
            "dataset",
        ),
        (
            r"(?:[a-z0-9-]+\.)*dataverse\.(?:org|harvard\.edu)|dataverse\.[a-z0-9.-]+|ieee-dataport\.org",
            "dataset",
        ),
        (r"openneuro\.org|opendatalab\.(?:com|org)|(?:www\.)?openml\.org", "dataset"),
        # Sites that belong to no one paper: licences, encyclopaedias, social networks, publishers,
        # proceedings.
        (r"wandb\.ai|creativecommons\.org|opensource\.org|(?:[a-z]+\.)?wikipedia\.org|apache\.org", "other"),
        (
            r"twitter\.com|x\.com|linkedin\.com|discord\.(?:gg|com)|reddit\.com|t\.me|facebook\.com",
            "other",
        ),
        (
            r"aclanthology\.org|openaccess\.thecvf\.com|proceedings\.(?:mlr\.press|neurips\.cc)|jmlr\.org",
            "other",
        ),
        (
            r"ieeexplore\.ieee\.org|dl\.acm\.org|(?:link\.)?springer\.com|sciencedirect\.com|(?:[a-z]+\.)?nature\.com",
            "other",
        ),
        (
            r"springerlink\.com|scitepress\.org|imstat\.org|projecteuclid\.org|mdpi\.com|tandfonline\.com"
            r"|iopscience\.iop\.org|academic\.oup\.com|cambridge\.org|frontiersin\.org|[a-z0-9-]+\.pubpub\.org",
            "other",
        ),
        (
            r"(?:[a-z0-9-]+\.)*(?:plos\.org|science\.org|sciencemag\.org|pnas\.org|elifesciences\.org|peerj\.com|cell\.com"
            r"|elsevier\.com|sagepub\.com|degruyter\.com|degruyterbrill\.com|hindawi\.com|emerald\.com|worldscientific\.com"
            r"|karger\.com|jstor\.org|biomedcentral\.com|springeropen\.com|copernicus\.org|bmj\.com|thelancet\.com|nejm\.org"
            r"|jamanetwork\.com|royalsocietypublishing\.org|acs\.org|rsc\.org|aps\.org|aip\.org|siam\.org|igi-global\.com"
            r"|jmir\.org|jair\.org|iospress\.com|iospress\.nl|scirp\.org|distill\.pub|quantum-journal\.org|scipost\.org)",
            "other",
        ),
        (
            r"(?:[a-z0-9-]+\.)*(?:nips\.cc|isca-archive\.org|lrec-conf\.org|dagstuhl\.de|usenix\.org|ndss-symposium\.org"
            r"|eprint\.iacr\.org|ssrn\.com|preprints\.org|techrxiv\.org|chemrxiv\.org|psyarxiv\.com|researchsquare\.com"
            r"|archives-ouvertes\.fr|hal\.science|hal\.[a-z-]+\.(?:fr|eu|science)|dblp\.org|medium\.com|orcid\.org)",
            "other",
        ),
        # Challenges and competitions run where many others are.
        (r"(?:[a-z0-9-]+\.)*(?:codalab\.org|codabench\.org|lisn\.upsaclay\.fr|ieeeigarss\.org)", "other"),
        (
            r"(?:[a-z0-9-]+\.)*"
            r"(?:thecvf\.com|iclr\.cc|icml\.cc|neurips\.cc|aaai\.org|ijcai\.org|spie\.org|ieee\.org)",
            "other",
        ),
        (
            r"openreview\.net|semanticscholar\.org|(?:onlinelibrary\.)?wiley\.com|ceur-ws\.org|eccv\.ecva\.net",
            "other",
        ),
        (r"(?:[a-z0-9-]+\.)*arxiv\.org|scholar\.google\.com", "other"),
        (r"(?:www\.)?researchgate\.net|(?:[a-z]+\.)?academia\.edu", "other"),
        (r"paperswithcode\.com|alphaxiv\.org|biorxiv\.org|medrxiv\.org", "other"),
    )
)
