"""The dashboard for Grafana asks for metrics there are, by labels they have; each says what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import MakeRuntime
from tests.integration.test_web_admin import fill
from tests.integration.web_site import PASSWORD, Site

DASHBOARD = Path(__file__).parents[2] / "config" / "grafana" / "broadsheet.json"
GIVEN_BY_PROMETHEUS = {"job"}


def test_every_metric_of_the_dashboard_is_told_and_every_metric_told_is_on_it(make_runtime: MakeRuntime) -> None:
    rt = make_runtime(admin_password=PASSWORD)
    fill(rt)
    site = Site(rt)
    site.login()
    told = {family.name: family for family in text_string_to_metric_families(site.get("/metrics").text)}
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for expr in asked for name in re.findall(r"broadsheet_\w+", expr)}
    assert named - set(told) == set()
    assert all(len(family.documentation) > 10 for family in told.values())
    for expr in asked:
        ((name, matchers),) = re.findall(r"(broadsheet_\w+)\{([^}]*)\}", expr)
        labels = set(re.findall(r"(\w+)(?:=|!=|=~|!~)", matchers))
        labels |= {one.strip() for part in re.findall(r"by \(([^)]*)\)", expr) for one in part.split(",")}
        known = {label for sample in told[name].samples for label in sample.labels}
        # A family without samples here tells no labels; each of those is an objective nobody has set.
        assert labels - GIVEN_BY_PROMETHEUS <= known or not told[name].samples, (name, labels, known)
    shown_by_another = {
        "broadsheet_quota_remaining",
        "broadsheet_feed_age_seconds",
        "broadsheet_feed_objective_seconds",
    }
    assert set(told) - named == shown_by_another


def test_the_panels_of_the_dashboard_do_not_overlap_and_have_their_own_numbers() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in board["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
