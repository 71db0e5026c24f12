"""operators list all charge points and grants, newest first: along an index

Revision: e5b08c3f1d24, after d2a6f41b7c93.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "e5b08c3f1d24"
down_revision: str | Sequence[str] | None = "d2a6f41b7c93"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = ("charge_points", "grants")


def upgrade() -> None:
    for table in TABLES:
        op.create_index(f"ix_{table}_created_at_id", table, ["created_at", "id"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_index(f"ix_{table}_created_at_id", table)
