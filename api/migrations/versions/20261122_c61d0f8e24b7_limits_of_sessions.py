"""limits of sessions: what one may reach, that it has, and when it was told to stop

Revision: c61d0f8e24b7, after e1a4c7d05b92.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c61d0f8e24b7"
down_revision: str | Sequence[str] | None = "e1a4c7d05b92"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = {
    "limit_energy_wh": (sa.BigInteger(), "what the grant leaves; null: no limit"),
    "limit_amount_minor": (sa.BigInteger(), "the same of its money, in the session's currency"),
    "limit_credit_minor": (sa.BigInteger(), "what the driver's sessions may come to; null: not by credit"),
    "limit_reached": (sa.Text(), "which of them was reached first"),
    "limit_reached_at": (sa.DateTime(timezone=True), None),
    "limit_stop_at": (sa.DateTime(timezone=True), "when the charge point was last told to stop it for that"),
    "limit_checked_at": (sa.DateTime(timezone=True), None),
}
CHECKS = {
    "limits": "least(limit_energy_wh, limit_amount_minor, limit_credit_minor) >= 0",
    "limit_reached": "limit_reached in ('energy_cap_reached', 'amount_cap_reached', 'credit_used_up')",
    "limit_reached_at": "(limit_reached is null) = (limit_reached_at is null)",
}
LIMITED = "status = 'active' and num_nonnulls(limit_energy_wh, limit_amount_minor, limit_credit_minor) > 0"
TELL = """
create function tell_of_limits() returns trigger language plpgsql as $$
begin
    perform add_event('transaction.limit_reached', new.limit_reached_at, new.charge_point_id, new.driver_id, 'person',
        jsonb_build_object('transaction_id', new.public_id, 'connector_id', new.connector_id,
            'limit_reached', new.limit_reached));
    return null;
end
$$
"""


def upgrade() -> None:
    for name, (kind, comment) in COLUMNS.items():
        op.add_column("transactions", sa.Column(name, kind, nullable=True, comment=comment))
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_transactions_{name}"), "transactions", condition)
    op.create_index("ix_transactions_limited", "transactions", ["id"], postgresql_where=sa.text(LIMITED))
    op.add_column(
        "holds",
        sa.Column("spendable_minor", sa.BigInteger(), nullable=True, comment="what the driver's sessions may come to"),
    )
    op.execute(TELL)
    op.execute(
        "create trigger tell_of_limits after update of limit_reached on transactions for each row "
        "when (old.limit_reached is null and new.limit_reached is not null) execute function tell_of_limits()"
    )


def downgrade() -> None:
    op.execute("drop trigger tell_of_limits on transactions")
    op.execute("drop function tell_of_limits()")
    op.drop_column("holds", "spendable_minor")
    op.drop_index("ix_transactions_limited", "transactions")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_transactions_{name}"), "transactions")
    for name in COLUMNS:
        op.drop_column("transactions", name)
