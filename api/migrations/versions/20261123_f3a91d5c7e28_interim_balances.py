"""days are closed, and what stands on accounts with much to add up is kept at the end of one

Revision: f3a91d5c7e28, after e5b08c3f1d24.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "f3a91d5c7e28"
down_revision: str | Sequence[str] | None = "e5b08c3f1d24"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = ("closed_days", "interim_balances")
BOOK_ON_AN_OPEN_DAY = """
create or replace function book_in_an_open_month() returns trigger language plpgsql as $$
begin
    if new.booked_on < (now() at time zone 'utc')::date - 1
        or new.booked_on <= greatest((select max(day) from closed_days), (select max(day) from balance_snapshots))
    then
        perform pg_advisory_xact_lock_shared(hashtextextended('close the books', 0));
        new.booked_on := greatest(
            new.booked_on, 1 + (select max(day) from closed_days), 1 + (select max(day) from balance_snapshots)
        );
    end if;
    return new;
end
$$
"""
"""Whoever closes waits for what is booked on a day that may be closed soon, and the other way round. What is booked
today or yesterday meets nobody."""
BOOK_IN_AN_OPEN_MONTH = """
create or replace function book_in_an_open_month() returns trigger language plpgsql as $$
begin
    new.booked_on := greatest(new.booked_on, (select max(day) + 1 from balance_snapshots));
    return new;
end
$$
"""


def upgrade() -> None:
    op.create_table(
        "closed_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_closed_days")),
        comment="Up to the newest of them no transfer is booked any more; nor on days of months that are closed.",
    )
    op.create_table(
        "interim_balances",
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("credited_minor", sa.BigInteger(), nullable=False),
        sa.Column("debited_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("extract(day from day + 1) > 1", name=op.f("ck_interim_balances_day")),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_accounts.id"], name=op.f("fk_interim_balances_account_id")),
        sa.PrimaryKeyConstraint("account_id", "day", "currency", name=op.f("pk_interim_balances")),
        comment="What stood on an account at the end of a closed day within a month, and what came in and went out "
        "since the month began: of accounts with much to add up, in all of their currencies.",
    )
    op.execute(BOOK_ON_AN_OPEN_DAY)
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    for table in TABLES:
        op.execute(f'grant select, insert on {table} to "{role}"')


def downgrade() -> None:
    op.execute(BOOK_IN_AN_OPEN_MONTH)
    for table in reversed(TABLES):
        op.drop_table(table)
