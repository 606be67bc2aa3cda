from __future__ import annotations

import json
from dataclasses import replace

from services.digests.webhook import webhook_data

from .sample_view import VIEW, item


def test_the_data_has_the_facts_and_survives_json() -> None:
    data = webhook_data(VIEW)
    assert json.loads(json.dumps(data)) == data
    assert data["type"] == "edition"
    assert data["version"] == 1
    assert data["edition"]["date"] == "2026-11-24"
    assert data["edition"]["composed_at"] == "2026-11-24T07:00:00+00:00"
    assert [paper["rank"] for paper in data["papers"]] == list(range(1, 13))
    first = data["papers"][0]
    assert first["key"] == "arxiv:2611.01234"
    assert first["code"][0]["slug"] == "ethz/nodraft"
    assert first["code"][0]["stars"] == 412
    assert first["why"] == ['matches "speculative decoding"', "near “Medusa”, which you saved"]
    assert data["sources"][1]["state"] == "late"
    assert data["papers"][4]["upvotes"] is None


def test_unsafe_urls_and_hidden_characters_stay_behind() -> None:
    paper = webhook_data(
        replace(VIEW, items=(item("2611.00001", "a\u202eb\x00c", url="javascript:alert(1)", pdf_url="data:x"),))
    )["papers"][0]
    assert paper["title"] == "abc"
    assert paper["url"] is None
    assert paper["pdf_url"] is None
    assert not [key for key in webhook_data(VIEW)["edition"] if "unsubscribe" in key]
