"""First tables: call records, bindings, heartbeats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "call_records",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("answered", _TIME),
        sa.Column("ended", _TIME),
        sa.Column("duration", sa.Float, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("caller_name", sa.Text, nullable=False),
        sa.Column("called", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("cause_text", sa.Text, nullable=False),
        sa.Column("cause_detail", sa.Text, nullable=False),
        sa.Column("blame", sa.Text, nullable=False),
        sa.Column("sip_status", sa.Integer, nullable=False),
        sa.Column("steps", _JSON, nullable=False),
        sa.Column("attempts", _JSON, nullable=False),
        sa.Column("legs", _JSON, nullable=False),
        sa.Column("recordings", _JSON, nullable=False),
        sa.Column("recording_status", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_records"),
    )
    op.create_index("ix_call_records_started_id", "call_records", ["started", "id"])
    op.create_index("ix_call_records_caller_started", "call_records", ["caller", "started"])
    op.create_index("ix_call_records_called_started", "call_records", ["called", "started"])
    still_open = sa.column("ended").is_(None)
    op.create_index(
        "ix_call_records_open", "call_records", ["node"], sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "bindings",
        sa.Column("aor", sa.Text, nullable=False),
        sa.Column("slot", sa.Text, nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("parameters", _JSON, nullable=False),
        sa.Column("q", sa.Integer, nullable=False),
        sa.Column("registered", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("cseq", sa.BigInteger, nullable=False),
        sa.Column("path", _JSON, nullable=False),
        sa.Column("instance_id", sa.Text, nullable=False),
        sa.Column("reg_id", sa.BigInteger, nullable=False),
        sa.Column("outbound", sa.Boolean, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("local_host", sa.Text, nullable=False),
        sa.Column("local_port", sa.Integer, nullable=False),
        sa.Column("remote_host", sa.Text, nullable=False),
        sa.Column("remote_port", sa.Integer, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("aor", "slot", name="pk_bindings"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("beat", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_heartbeats"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("heartbeats")
    op.drop_table("bindings")
    op.drop_table("call_records")
