"""A sample of the recorded answers through the real fetch and parse, in a confined process: nothing crashes
or hangs.
"""

from __future__ import annotations

import pytest

from tests.attacks.__main__ import run
from tests.attacks.recordings import ROOT, recorded

pytestmark = pytest.mark.skipif(not recorded(), reason=f"no recorded payloads at {ROOT} (BROADSHEET_CORPORA)")


def test_a_sample_is_read_or_refused_with_a_reason() -> None:
    outcomes, expected = run(every=40)
    assert len(outcomes) == expected
    assert not [one for one in outcomes if one["state"] not in {"read", "refused"}]
    assert all(one["detail"] for one in outcomes if one["state"] == "refused")
