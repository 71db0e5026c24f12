"""lists in their order: transfers of an account, added up from the index alone, and what is held of an owner

Revision: b7d3e9a41c58, after c8f2d5a1e630.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7d3e9a41c58"
down_revision: str | Sequence[str] | None = "c8f2d5a1e630"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SIDES = ("debit_account_id", "credit_account_id")
SUMMED = ["amount_minor", "currency"]
HELD_OF_OWNER = "ix_transactions_owner_id_held"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for side in SIDES:
            name = f"ix_transfers_{side}_booked_on_id"
            _build(name, "transfers", [side, "booked_on", "id"], postgresql_include=SUMMED)
            _drop(f"ix_transfers_{side}_booked_on", "transfers")
        held = sa.text("cardinality(held_reasons) > 0")
        _build(HELD_OF_OWNER, "transactions", ["owner_id", "started_at", "id"], postgresql_where=held)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _drop(HELD_OF_OWNER, "transactions")
        for side in SIDES:
            _build(f"ix_transfers_{side}_booked_on", "transfers", [side, "booked_on"])
            _drop(f"ix_transfers_{side}_booked_on_id", "transfers")


def _build(name: str, table: str, columns: list[str], **options: object) -> None:
    """While rows are added. One that was broken off before is invalid, and made anew."""
    _drop(name, table)
    op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def _drop(name: str, table: str) -> None:
    op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
