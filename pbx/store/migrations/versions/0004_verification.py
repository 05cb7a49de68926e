"""What a signature says of who calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = ("verification", "verification_detail", "attestation")


def upgrade() -> None:
    """Apply."""
    for name in _COLUMNS:
        op.add_column("call_records", sa.Column(name, sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    for name in reversed(_COLUMNS):
        op.drop_column("call_records", name)
