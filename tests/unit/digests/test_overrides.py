"""Templates of the operator's own: they stand in by name, in a sandbox, and a broken one is named, not passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.digests import render
from services.digests.overrides import BrokenTemplate
from services.domain.messages import Message
from tests.unit.digests.sample_view import VIEW


def made(folder: Path | None) -> Message:
    return render(VIEW, message_id="<a@b>", list_id="A <a.b>", folder=folder)


def test_a_folder_that_is_not_there_or_empty_changes_nothing(tmp_path: Path) -> None:
    assert made(tmp_path / "none") == made(tmp_path) == made(None)


def test_files_stand_in_for_ours_by_name_and_may_include_others(tmp_path: Path) -> None:
    (tmp_path / "edition.html.j2").write_text(
        "<html><head><style>b { color: red }</style></head><body>{% include 'line.j2' %}</body></html>"
    )
    (tmp_path / "line.j2").write_text("<b>{{ page.entries | length }} & {{ '<i>' }}</b>")
    (tmp_path / "edition.txt.j2").write_text("{{ page.name }}: {{ '<' }} {{ summary }}")
    message = made(tmp_path)
    assert '<b style="color:red">12 &amp; &lt;i&gt;' in (message.html or "")
    assert message.text.startswith(f"{VIEW.name}: < ")
    assert message.slack == made(None).slack


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("one\n{% if %}", ":2", "Expected an expression"),
        ("one\ntwo\n{{ nothing_of_the_kind }}", ":3", "nothing_of_the_kind"),
        ("{% include 'absent.j2' %}", ":1", "absent.j2"),
        ("\n{{ ''.__class__.__mro__[1].__subclasses__() }}", ":2", "unsafe"),
        ("{{ page.entries[0].__init__.__globals__ }}", ":1", "unsafe"),
        ("{% for n in range(10 ** 9) %}{% endfor %}", ":1", "range"),
        ("{{ 1 / 0 }}", ":1", "ZeroDivisionError"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, text: str, place: str, reason: str
) -> None:
    (tmp_path / "edition.html.j2").write_text(text)
    with pytest.raises(BrokenTemplate) as caught:
        made(tmp_path)
    assert f"{tmp_path / 'edition.html.j2'}{place}" in str(caught.value)
    assert reason in str(caught.value)
