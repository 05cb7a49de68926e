"""How the audio of each call did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply. What a leg's audio did stands among its other figures in the column ``legs``."""
    op.add_column("call_records", sa.Column("audio", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    op.drop_column("call_records", "audio")
