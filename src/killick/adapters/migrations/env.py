"""Alembic's entry: run the migrations on the connection, and in the transaction, of `adapters/control.py`.

With `--sql` (`dialect_name` in the attributes instead of a connection) they are written out and not run.
"""

from alembic import context

from killick.adapters.control_tables import metadata

attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(dialect_name=attributes["dialect_name"], target_metadata=metadata, literal_binds=True)
else:
    context.configure(connection=attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
