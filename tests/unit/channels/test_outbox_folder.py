from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.channels.mime import build_mime
from services.channels.outbox_folder import OutboxFolder, file_name
from services.domain.errors import DeliveryDeferred, DeliveryRefused, LeaseLost

from .samples import FROM, MESSAGE, NOW, TO, Intent


def folder(path: Path) -> OutboxFolder:
    return OutboxFolder(path, FROM, clock=lambda: NOW)


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir()) if path.exists() else []


@pytest.mark.parametrize(
    ("to", "name"),
    [
        (TO, "d1.eml"),
        ("outbox", "d1.slack.json"),
        ("slack:outbox", "d1.slack.json"),
        ("https://hooks.slack.com/services/T1/B2/c3", "d1.slack.json"),
        ("webhook:https://example.org/in", "d1.json"),
        ("https://example.org/in@x", "d1.json"),
    ],
)
def test_each_kind_of_address_has_its_file(tmp_path: Path, to: str, name: str) -> None:
    outbox, intent = tmp_path / "a" / "outbox", Intent()
    receipt = folder(outbox).send(MESSAGE, to, "d1", commit_intent=intent)
    assert names(outbox) == [name]
    assert receipt.detail == str(outbox / name)
    assert intent.calls == 1
    data = (outbox / name).read_bytes()
    match name:
        case "d1.eml":
            assert data == build_mime(MESSAGE, FROM, TO)
        case "d1.slack.json":
            assert json.loads(data) == MESSAGE.slack
        case _:
            assert json.loads(data) == MESSAGE.data


def test_trying_again_changes_nothing(tmp_path: Path) -> None:
    folder(tmp_path).send(MESSAGE, TO, "d1")
    before = (tmp_path / "d1.eml").read_bytes()
    folder(tmp_path).send(MESSAGE, TO, "d1")
    assert names(tmp_path) == ["d1.eml"]
    assert (tmp_path / "d1.eml").read_bytes() == before


def test_an_intent_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(LeaseLost):
        folder(tmp_path).send(MESSAGE, TO, "d1", commit_intent=Intent(LeaseLost("gone")))
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_deferred(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeliveryDeferred):
        folder(tmp_path / "file").send(MESSAGE, TO, "d1")
    (tmp_path / "d2.eml").mkdir()
    with pytest.raises(DeliveryDeferred):
        folder(tmp_path).send(MESSAGE, TO, "d2")
    assert names(tmp_path) == ["d2.eml", "file"]


def test_a_form_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeliveryRefused):
        folder(tmp_path).send(replace(MESSAGE, slack=None), "slack:outbox", "d1")
    with pytest.raises(DeliveryRefused):
        folder(tmp_path).send(MESSAGE, "a@b.example, c@d.example", "d1")
    assert names(tmp_path) == []


@given(st.text(max_size=300) | st.sampled_from(["../../etc/passwd", "..", "", "/abs", "a/b", "a-b", "CON", "\ud800"]))
def test_any_key_is_a_plain_file_name(key: str) -> None:
    name = file_name(key)
    assert 0 < len(name) <= 140
    assert not name.startswith(".")
    assert "/" not in name
    assert name.isascii()


def test_two_keys_never_share_a_file() -> None:
    keys = ["a/b", "a-b", "a b", "a:b", "edition:7:3", "edition-7-3", "x" * 121, "x" * 122]
    assert len({file_name(key) for key in keys}) == len(keys)
    assert file_name("edition-7-3") == "edition-7-3"
