"""entries in their order: an account's transfers are read and added up from the index alone

Revision: b7d3e9a41c58, after c8f2d5a1e630.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "b7d3e9a41c58"
down_revision: str | Sequence[str] | None = "c8f2d5a1e630"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SIDES = ("debit_account_id", "credit_account_id")
SUMMED = ["amount_minor", "currency"]


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for side in SIDES:
            _build(f"ix_transfers_{side}_booked_on_id", [side, "booked_on", "id"], SUMMED)
            _drop(f"ix_transfers_{side}_booked_on")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for side in SIDES:
            _build(f"ix_transfers_{side}_booked_on", [side, "booked_on"], None)
            _drop(f"ix_transfers_{side}_booked_on_id")


def _build(name: str, columns: list[str], include: list[str] | None) -> None:
    """While transfers are added. One that was broken off before is invalid, and made anew."""
    _drop(name)
    op.create_index(name, "transfers", columns, postgresql_include=include, postgresql_concurrently=True)


def _drop(name: str) -> None:
    op.drop_index(name, "transfers", postgresql_concurrently=True, if_exists=True)
