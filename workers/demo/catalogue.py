"""The feeds and digests of the demonstration, as the text of a `feeds.toml`."""

from __future__ import annotations

import json

_TEMPLATE = """\
# The demonstration: every feed of this file is answered by the loopback replay.

[[feed]]
name = "daily-papers"
kind = "hf_papers"
title = "Hugging Face Daily Papers"
interval_minutes = 60
# Six calendar days always hold the four weekdays on which the replay announces papers.
history_days = 6

[[feed]]
name = "arxiv-cs-cl"
kind = "arxiv_api"
title = "arXiv cs.CL"
query = "cat:cs.CL"
interval_minutes = 1440
# Papers announced on the first of the four weekdays were submitted over the weekend before.
history_days = 10

[[feed]]
name = "arxiv-cs-lg-rss"
kind = "arxiv_rss"
title = "arXiv cs.LG, announced today"
category = "cs.LG"
interval_minutes = 360

[[feed]]
name = "northlake-blog"
kind = "rss"
title = "Northlake Notes"
url = {blog}
interval_minutes = 60

[[digest]]
name = "Daily Papers"
to = "reader@example.org"
cadence = "daily"
at = "08:00"
timezone = "Europe/Berlin"
budget = 12

[[digest]]
name = "Efficient inference"
to = "slack:outbox"
query = "inference OR quantization"
budget = 8
"""


def demo_feeds_toml(replay_base_url: str) -> str:
    """The text of a feeds.toml whose blog lives at `replay_base_url` (`http://127.0.0.1:PORT`).

    Where the other upstreams live is a matter of settings: see `Replay.urls`.
    """
    blog = f"{replay_base_url.rstrip('/')}/blog/feed.xml"
    # A JSON string without control characters is a TOML basic string.
    return _TEMPLATE.format(blog=json.dumps(blog))
