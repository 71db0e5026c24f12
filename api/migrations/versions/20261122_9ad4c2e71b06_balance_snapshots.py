"""Balances at the end of closed months, on whose days nothing is booked any more.

Revision: 9ad4c2e71b06, after 5c19d07e42fa.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "9ad4c2e71b06"
down_revision: str | Sequence[str] | None = "5c19d07e42fa"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BOOK_IN_AN_OPEN_MONTH = (
    """
create function book_in_an_open_month() returns trigger language plpgsql as $$
begin
    new.booked_on := greatest(new.booked_on, (select max(day) + 1 from balance_snapshots));
    return new;
end
$$
""",
    """
create trigger book_in_an_open_month before insert on transfers for each row execute function book_in_an_open_month()
""",
)
"""A posting that comes late is booked on the first day that is open, so that a snapshot stays true."""


def upgrade() -> None:
    op.create_table(
        "balance_snapshots",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_accounts.id"], name=op.f("fk_balance_snapshots_account_id")),
        sa.PrimaryKeyConstraint("day", "account_id", "currency", name=op.f("pk_balance_snapshots")),
        comment="What stood on every account at the end of a month that is closed: no transfer is booked on such a day.",
    )
    for statement in BOOK_IN_AN_OPEN_MONTH:
        op.execute(statement)
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert on balance_snapshots to "{role}"')


def downgrade() -> None:
    op.execute("drop trigger book_in_an_open_month on transfers")
    op.execute("drop function book_in_an_open_month()")
    op.drop_table("balance_snapshots")
