"""Many rows at once, on both databases: written as few are, found by any number of keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime import Runtime
from services.storage.sql import FEW, among, execute_many, insert_ignore, table_of, take_ids, upsert
from services.storage.tables import Duplicate, Identifier, Paper, Sighting, Statement, Subscriber
from tests.conftest import MakeRuntime
from tests.factories import rows

MANY = FEW + 1
EAST = timezone(timedelta(hours=9))


def paper(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "key": f"arxiv:2601.{number:05}", "title": 'Tides, "quoted" \\ {braced}, é 言語', "abstract": None,
        "authors": [{"name": "Ada Quill"}], "categories": [], "ai_keywords": ["a", 'b"'], "past_hashes": [],
        "content_hash": "c",
        "published_at": datetime(2026, 11, 23, 3, 0, 0, 7, tzinfo=EAST), "announced_on": date(2026, 11, 24),
        "first_seen_at": datetime(2026, 11, 24, tzinfo=UTC), "changed_at": datetime(2026, 11, 24, tzinfo=UTC),
    } | changes  # fmt: skip


def as_held(session: Any, many: int) -> list[dict[str, Any]]:
    table = table_of(Paper)
    execute_many(session, table.insert(), [paper(number) for number in range(many)])
    held = [dict(row._mapping) for row in session.execute(sa.select(table).order_by(table.c.id))]
    session.execute(table.delete())
    return [{name: value for name, value in row.items() if name not in ("id", "key")} for row in held]


def test_many_rows_are_held_as_a_few_are(rt: Runtime) -> None:
    with rt.writing() as session:
        few, many = as_held(session, 1), as_held(session, MANY)
    assert many == few * MANY
    assert few[0]["published_at"] == datetime(2026, 11, 22, 18, 0, 0, 7, tzinfo=UTC)
    assert few[0]["title_key"] == "", "what the rows do not name has its default"
    assert few[0]["withdrawn"] is False


def test_ids_that_are_taken_are_those_the_next_rows_would_get(rt: Runtime) -> None:
    with rt.writing() as session:
        table = table_of(Paper)
        execute_many(session, table.insert(), [paper(0)])
        taken = take_ids(session, Paper, MANY)
        execute_many(session, table.insert(), [paper(1 + n, id=i) for n, i in enumerate(taken)])
        execute_many(session, table.insert(), [paper(999)])
        assert list(session.execute(sa.select(table.c.id).order_by(table.c.key)).scalars()) == list(range(1, MANY + 3))


def test_rows_that_are_there_stay_or_are_rewritten(rt: Runtime) -> None:
    names = [{"scheme": "doi", "value": f"10.5555/{n}", "paper_id": 1} for n in range(MANY)]
    with rt.writing() as session:
        insert_ignore(session, Identifier, names[1:], ["scheme", "value"])
        insert_ignore(session, Identifier, [one | {"paper_id": 2} for one in names], ["scheme", "value"])
        assert {row.paper_id for row in rows(session, Identifier) if row.value != "10.5555/0"} == {1}
        upsert(
            session, Identifier, [one | {"paper_id": 3} for one in names], ["scheme", "value"], update=["paper_id"],
            where=lambda table, _: table.c.paper_id == 1,
        )  # fmt: skip
        assert {row.value: row.paper_id for row in rows(session, Identifier)} == {
            one["value"]: 2 if one["value"] == "10.5555/0" else 3 for one in names
        }


def test_numbers_and_documents_come_back_as_they_were(rt: Runtime) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    said = {"title": "Tides \u2028 é", "authors": [{"name": 'A "B"'}], "upvotes": 3, "withdrawn": False}
    with rt.writing() as session:
        insert_ignore(
            session, Statement,
            [{"paper_id": n, "source": "rss", "as_of": "", "content_hash": "", "data": said, "first_on": now.date(),
              "said_at": now} for n in range(MANY)],
            ["paper_id", "source"],
        )  # fmt: skip
        insert_ignore(
            session, Duplicate,
            [{"paper_id": n, "other_id": n + 1, "score": 1 / (n + 3), "reason": "", "found_at": now, "decided_at": None}
             for n in range(MANY)],
            ["paper_id", "other_id"],
        )  # fmt: skip
        assert [row.data for row in rows(session, Statement)] == [said] * MANY
        assert [row.score for row in rows(session, Duplicate)] == [1 / (n + 3) for n in range(MANY)]


def test_what_is_sealed_is_sealed_in_many_rows_too(rt: Runtime) -> None:
    now, address = datetime(2026, 11, 24, tzinfo=UTC), "https://hooks.example.org/secret"
    with rt.writing() as session:
        table = table_of(Subscriber)
        execute_many(
            session, table.insert(),
            [{"channel": "webhook", "address": f"{address}{n}", "address_key": str(n), "created_at": now}
             for n in range(MANY)],
        )  # fmt: skip
        shown = session.execute(sa.select(sa.cast(table.c.address, sa.LargeBinary), table.c.address)).all()
        assert len(shown) == MANY
        assert {row[1] for row in shown} == {f"{address}{n}" for n in range(MANY)}
        held = session.connection().exec_driver_sql("SELECT address FROM subscribers").scalars().all()
        assert not any("secret" in one for one in held)


def test_a_time_without_its_zone_is_refused(rt: Runtime) -> None:
    naive = datetime(2026, 11, 24)  # noqa: DTZ001 - what must not come
    papers = [paper(n, title_key="", withdrawn=False, changed_at=naive) for n in range(MANY)]
    with pytest.raises(ValueError, match="timezone"), rt.writing() as session:
        execute_many(session, table_of(Paper).insert(), papers)


def test_many_keys_are_looked_up_in_their_index(make_runtime: MakeRuntime) -> None:
    table = table_of(Identifier)
    with make_runtime().writing() as session:
        asked = sa.select(table.c.paper_id).where(table.c.scheme == "doi", among(session, table.c.value, ["a", "b"]))
        written = asked.compile(dialect=session.connection().dialect)
        values = tuple(written.params[name] for name in written.positiontup or ())
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {written}", values).all()
    assert any("(scheme=? AND value=?)" in row[3] for row in plan), plan


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), unique=True, max_size=40))
def test_rows_are_found_among_any_texts_and_numbers(rt: Runtime, values: list[str]) -> None:
    table, days = table_of(Identifier), table_of(Sighting)
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with rt.writing() as session:
        session.execute(table.delete())
        session.execute(days.delete())
        names = [{"scheme": "url", "value": value, "paper_id": n} for n, value in enumerate([*values, "other"])]
        insert_ignore(session, Identifier, names, ["scheme", "value"])
        found = session.execute(sa.select(table.c.value).where(among(session, table.c.value, values))).scalars()
        assert sorted(found) == sorted(values)
        insert_ignore(
            session, Sighting,
            [{"paper_id": n, "feed_id": 1, "day": now.date(), "seen_at": now} for n in range(5)],
            ["paper_id", "feed_id", "day"],
        )  # fmt: skip
        few = sa.select(days.c.paper_id).where(among(session, days.c.paper_id, {1, 3, 2**40}))
        assert sorted(session.execute(few).scalars()) == [1, 3]
