"""the ledger

Revision: 41f92cd0b814, after c5e0a1d97b34. Made 2026-11-22 19:16:42.474009.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "41f92cd0b814"
down_revision: str | Sequence[str] | None = "c5e0a1d97b34"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEAL = (
    """
create function seal_settlement() returns trigger language plpgsql as $$
begin
    new.posted_at := now();
    new.posted_by := pg_current_xact_id()::text::bigint;
    return new;
end
$$
""",
    """
create trigger seal_settlement before insert on settlements for each row execute function seal_settlement()
""",
    """
create function refuse_sealed() returns trigger language plpgsql as $$
begin
    perform from settlements s
    where s.id = new.settlement_id and s.posted_at = now() and s.posted_by = pg_current_xact_id()::text::bigint;
    if not found then
        raise exception 'settlement % is sealed', new.settlement_id using errcode = 'restrict_violation';
    end if;
    new.posted_at := now();
    return new;
end
$$
""",
    """
create trigger refuse_sealed before insert on transfers for each row execute function refuse_sealed()
""",
)
"""Only the database transaction that makes a settlement adds transfers to it. Transaction numbers begin anew in a
restored database, so that the time has to be the same too."""

READ_AND_ADD = ("ledger_accounts", "decisions", "settlements", "transfers")


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert on {", ".join(READ_AND_ADD)} to "{role}"')


def upgrade() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(user_id is null) = (kind in ('platform', 'bank'))", name=op.f("ck_ledger_accounts_holder")
        ),
        sa.CheckConstraint("kind in ('driver', 'owner', 'platform', 'bank')", name=op.f("ck_ledger_accounts_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_ledger_accounts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint(
            "user_id", "kind", name=op.f("uq_ledger_accounts_user_id_kind"), postgresql_nulls_not_distinct=True
        ),
        comment="Accounts of people as drivers and as owners, and of the house. A person is an opaque id here.",
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("held_reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("meter_start_wh", sa.BigInteger(), nullable=True),
        sa.Column("meter_stop_wh", sa.BigInteger(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.UUID(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("decision in ('bill', 'waive', 'correct')", name=op.f("ck_decisions_decision")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("fk_decisions_decided_by")),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name=op.f("fk_decisions_transaction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        comment="Who decided what about a session, when and why; held_reasons as they were, registers of a correction.",
    )
    op.create_index(op.f("ix_decisions_transaction_id"), "decisions", ["transaction_id"], unique=False)
    op.create_table(
        "settlements",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("driver_account_id", sa.UUID(), nullable=True),
        sa.Column("owner_account_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("net_minor", sa.BigInteger(), nullable=False),
        sa.Column("vat_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_bp", sa.Integer(), nullable=False),
        sa.Column("charge_detail_record", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "posted_by", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_settlements_revision")),
        sa.CheckConstraint("fee_bp between 0 and 10000", name=op.f("ck_settlements_fee_bp")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_settlements_decision_id")),
        sa.ForeignKeyConstraint(
            ["driver_account_id"], ["ledger_accounts.id"], name=op.f("fk_settlements_driver_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["owner_account_id"], ["ledger_accounts.id"], name=op.f("fk_settlements_owner_account_id")
        ),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name=op.f("fk_settlements_transaction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlements")),
        sa.UniqueConstraint("transaction_id", "revision", name=op.f("uq_settlements_transaction_id_revision")),
        comment="What a session comes to; a correction is a further revision. posted_by is the database transaction of its making, set by a trigger: only that one may add transfers to it.",
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("settlement_id", sa.UUID(), nullable=False),
        sa.Column("debit_account_id", sa.UUID(), nullable=False),
        sa.Column("credit_account_id", sa.UUID(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_reversal", sa.Boolean(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("debit_account_id <> credit_account_id", name=op.f("ck_transfers_two_accounts")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_transfers_amount")),
        sa.CheckConstraint("kind in ('charge', 'vat', 'platform_fee')", name=op.f("ck_transfers_kind")),
        sa.ForeignKeyConstraint(
            ["credit_account_id"], ["ledger_accounts.id"], name=op.f("fk_transfers_credit_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["debit_account_id"], ["ledger_accounts.id"], name=op.f("fk_transfers_debit_account_id")
        ),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlements.id"], name=op.f("fk_transfers_settlement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("public_id", name=op.f("uq_transfers_public_id")),
        comment="amount_minor from debit to credit. booked_on is the day of posting where the charge point stands.",
    )
    op.create_index(
        "ix_transfers_credit_account_id_booked_on", "transfers", ["credit_account_id", "booked_on"], unique=False
    )
    op.create_index(
        "ix_transfers_debit_account_id_booked_on", "transfers", ["debit_account_id", "booked_on"], unique=False
    )
    op.create_index(op.f("ix_transfers_settlement_id"), "transfers", ["settlement_id"], unique=False)
    op.add_column("transactions", sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_transactions_due",
        "transactions",
        ["id"],
        unique=False,
        postgresql_where=sa.text(
            "status = 'stopped' and settled_at is null and total_minor is not null and cardinality(held_reasons) = 0"
        ),
    )
    for statement in SEAL:
        op.execute(statement)
    op.execute("insert into ledger_accounts (kind) values ('platform')")
    grant_rights()


def downgrade() -> None:
    op.drop_index(
        "ix_transactions_due",
        table_name="transactions",
        postgresql_where=sa.text(
            "status = 'stopped' and settled_at is null and total_minor is not null and cardinality(held_reasons) = 0"
        ),
    )
    op.drop_column("transactions", "settled_at")
    op.drop_index(op.f("ix_transfers_settlement_id"), table_name="transfers")
    op.drop_index("ix_transfers_debit_account_id_booked_on", table_name="transfers")
    op.drop_index("ix_transfers_credit_account_id_booked_on", table_name="transfers")
    op.drop_table("transfers")
    op.drop_table("settlements")
    op.drop_index(op.f("ix_decisions_transaction_id"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_table("ledger_accounts")
    op.execute("drop function refuse_sealed()")
    op.execute("drop function seal_settlement()")
