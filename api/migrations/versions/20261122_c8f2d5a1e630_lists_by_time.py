"""lists by time: what operators list and export is found by its time, what is held by that it is

Revision: c8f2d5a1e630, after e1a4c7d05b92.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c8f2d5a1e630"
down_revision: str | Sequence[str] | None = "c41d8e20fb67"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_transactions_started_at_id", "transactions", ["started_at", "id"])
    held = sa.text("cardinality(held_reasons) > 0")
    op.create_index("ix_transactions_held", "transactions", ["started_at", "id"], postgresql_where=held)
    op.create_index("ix_settlements_posted_at_id", "settlements", ["posted_at", "id"])
    op.create_index("ix_transfers_booked_on", "transfers", ["booked_on"])


def downgrade() -> None:
    op.drop_index("ix_transfers_booked_on", "transfers")
    op.drop_index("ix_settlements_posted_at_id", "settlements")
    op.drop_index("ix_transactions_held", "transactions")
    op.drop_index("ix_transactions_started_at_id", "transactions")
