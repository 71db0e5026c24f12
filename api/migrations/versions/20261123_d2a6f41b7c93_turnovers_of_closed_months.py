"""what came in and went out of each account in a closed month, kept with its balance

Revision: d2a6f41b7c93, after b7d3e9a41c58.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d2a6f41b7c93"
down_revision: str | Sequence[str] | None = "b7d3e9a41c58"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLE = "balance_snapshots"
TURNOVERS = ("credited_minor", "debited_minor")


def upgrade() -> None:
    for name in TURNOVERS:
        op.add_column(TABLE, sa.Column(name, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in reversed(TURNOVERS):
        op.drop_column(TABLE, name)
