"""A repository's README by its public address: `https://github.com/OWNER/NAME/raw/HEAD/README.md`.

It takes nothing of the API's allowance. It leads on to raw.githubusercontent.com; a repository without a file of that
name answers 404. With a token the README comes with the repository itself.
"""

from __future__ import annotations

from services.domain.feeds import FeedRequest, UpstreamUrls
from services.domain.mentions import find_mentions
from services.upstreams.documents import decode
from services.upstreams.github_answers import is_slug

GATE = "github.com"
INTERVAL_S = 1.0
MOST = 100
"""Papers named by one README that are kept."""


def readme_request(slug: str, urls: UpstreamUrls) -> FeedRequest | None:
    """The README of a repository; `None` for a name GitHub cannot have."""
    if not is_slug(slug):
        return None
    url = f"{urls.github}/{slug}/raw/HEAD/README.md"
    return FeedRequest(url=url, headers={"Accept": "text/plain"}, gate=GATE, interval_s=INTERVAL_S)


def papers_named(body: bytes) -> tuple[str, ...]:
    """The identifiers (`arxiv:2601.01234`) of the papers that a README names."""
    return tuple(str(one) for one in find_mentions(decode(body))[:MOST])
