"""Loading: what is not asked of a library counts as not installed while it is loaded, and is there again afterwards."""

from __future__ import annotations

import gc
import importlib
import sys

import pytest

from workers import loading


def test_an_extra_is_hidden_only_while_others_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EXTRAS", ("colorsys", "json"))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with loading.loading():
        assert not gc.isenabled()
        assert importlib.import_module("json").loads("1") == 1  # whoever has it keeps it
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
    assert gc.isenabled()
    assert importlib.import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_a_failure_to_load_hides_nothing_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EXTRAS", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ValueError, match="broken"), loading.loading():
        raise ValueError("broken")
    assert gc.isenabled()
    assert "colorsys" not in sys.modules


def test_the_collector_is_on_again_whoever_took_the_mark_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EXTRAS", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with loading.loading():
        del sys.modules["colorsys"]
    assert gc.isenabled()
