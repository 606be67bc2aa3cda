"""Which host is read by which module: the registry of hosts of repositories.

| host | module | how |
|---|---|---|
| github.com | `github` (releases: `github_releases`) | with a token 50 a query, else one by one |
| gitlab.com, gitlab.… | `gitlab` | one by one, and their releases |
| codeberg.org, gitea.com, forgejo.…, gitea.… | `forgejo` | one by one, and their releases |
| huggingface.co (models, data sets, spaces) | `hf_hub` | one by one |

Others can be named in the setting `code_hosts`; what is none of these is linked to and never asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from services.domain.feeds import UpstreamUrls
from services.domain.repos import HUB
from services.upstreams import forgejo, gitlab, hf_hub
from services.upstreams.repo_requests import RepoHost

GITHUB = "github.com"

_MAKERS: Mapping[str, Callable[[str, str], RepoHost]] = {
    "gitlab": gitlab.repo_host,
    "forgejo": forgejo.repo_host,
    "hf_hub": hf_hub.repo_host,
}
_SOFTWARE = {GITHUB: "github", HUB: "hf_hub", "gitlab.com": "gitlab", "codeberg.org": "forgejo", "gitea.com": "forgejo"}
_BY_NAME = ((re.compile(r"gitlab\..+"), "gitlab"), (re.compile(r"(?:forgejo|gitea|codeberg)\..+"), "forgejo"))
"""Hosts that say themselves what runs on them."""


def software_of(host: str, further: Mapping[str, str]) -> str | None:
    """What a host runs: `github`, `gitlab`, `forgejo`, `hf_hub`; `None`: not known, so it is not asked.

    `further` are the hosts an operator named.
    """
    known = further.get(host) or _SOFTWARE.get(host)
    return known or next((software for name, software in _BY_NAME if name.fullmatch(host)), None)


def for_host(host: str, urls: UpstreamUrls, further: Mapping[str, str]) -> RepoHost | None:
    """How a host that answers one repository a request is asked; `None` for GitHub and for unknown ones."""
    make = _MAKERS.get(software_of(host, further) or "")
    base = {HUB: urls.hf, "gitlab.com": urls.gitlab, "codeberg.org": urls.codeberg}.get(host, f"https://{host}")
    return make(host, base) if make else None
