"""Alembic's entry: runs on the connection that `storage.schema` hands over."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from services.storage import search_index, tables
from services.storage.sealed import Sealed

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    compare_type=True,
    include_object=search_index.include_object,
    user_module_prefix="sqlmodel.sql.sqltypes.",
    render_item=lambda _, item, __: "sa.Text()" if isinstance(item, Sealed) else False,
)
assert tables.Paper.__tablename__ in SQLModel.metadata.tables
with context.begin_transaction():
    context.run_migrations()
