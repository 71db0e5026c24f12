"""Money from and to the bank: movements, what they mean, payouts; transfers because of them.

Revision: b3e81f6a5d27, after a7d3e9b1c504.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b3e81f6a5d27"
down_revision: str | Sequence[str] | None = "b4e17c90d2a6"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

REFUSE_SEALED = """
create or replace function refuse_sealed() returns trigger language plpgsql as $$
begin
    perform from settlements s
    where s.id = new.settlement_id and s.posted_at = now() and s.posted_by = pg_current_xact_id()::text::bigint
    union all
    select from bank_postings b
    where b.id = new.bank_posting_id and b.posted_at = now() and b.posted_by = pg_current_xact_id()::text::bigint;
    if not found then
        raise exception '% is sealed', coalesce('settlement ' || new.settlement_id, 'bank posting ' || new.bank_posting_id)
            using errcode = 'restrict_violation';
    end if;
    new.posted_at := now();
    return new;
end
$$
"""
"""What causes a transfer is made in the same database transaction, be it a settlement or a bank posting."""

REFUSE_SEALED_BEFORE = """
create or replace function refuse_sealed() returns trigger language plpgsql as $$
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
"""
KINDS = "kind in ('charge', 'vat', 'platform_fee', 'top_up', 'payout', 'refund')"
KINDS_BEFORE = "kind in ('charge', 'vat', 'platform_fee')"


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert on payment_symbols, bank_movements, bank_postings, payouts to "{role}"')
    op.execute(f'grant update (status, ended_at, ended_by) on payouts to "{role}"')
    op.execute(f'grant select, insert, update, delete on payout_accounts to "{role}"')


def add_people() -> None:
    op.create_table(
        "payment_symbols",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column(
            "number", sa.BigInteger(), sa.Identity(always=True, start=100_000_000, maxvalue=499_999_999), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payment_symbols_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_payment_symbols")),
        sa.UniqueConstraint("number", name=op.f("uq_payment_symbols_number")),
        comment="The number and its check digit are the variable symbol of whatever this person pays to the house.",
    )
    op.create_table(
        "payout_accounts",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("iban", sa.String(length=34), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payout_accounts_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_payout_accounts")),
        comment="To which bank account an owner is paid.",
    )


def add_payouts() -> None:
    op.create_table(
        "payouts",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "number", sa.BigInteger(), sa.Identity(always=True, start=500_000_000, maxvalue=999_999_999), nullable=False
        ),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("iban", sa.String(length=34), nullable=False),
        sa.Column("holder_name", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("created_by", sa.UUID(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.UUID(), nullable=True, comment="null: a bank statement"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payouts_amount")),
        sa.CheckConstraint("status in ('open', 'paid', 'cancelled')", name=op.f("ck_payouts_status")),
        sa.CheckConstraint("(status = 'open') = (ended_at is null)", name=op.f("ck_payouts_ended")),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_accounts.id"], name=op.f("fk_payouts_account_id")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_payouts_created_by")),
        sa.ForeignKeyConstraint(["ended_by"], ["users.id"], name=op.f("fk_payouts_ended_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
        sa.UniqueConstraint("number", name=op.f("uq_payouts_number")),
        comment="Money on its way to an owner; posted once it is paid. The number and its check digit are its variable symbol. Only how it ends may be changed.",
    )
    op.create_index(
        "uq_payouts_open",
        "payouts",
        ["account_id", "currency"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_payouts_account_id_created_at", "payouts", ["account_id", "created_at"])


def add_movements() -> None:
    op.create_table(
        "bank_movements",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("bank_account", sa.String(length=34), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("variable_symbol", sa.String(length=10), nullable=True),
        sa.Column("counterparty", sa.Text(), server_default="", nullable=False),
        sa.Column("counterparty_name", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("imported_by", sa.UUID(), nullable=True, comment="null: the command line"),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_bank_movements_amount")),
        sa.ForeignKeyConstraint(["imported_by"], ["users.id"], name=op.f("fk_bank_movements_imported_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_movements")),
        sa.UniqueConstraint("bank_account", "reference", name=op.f("uq_bank_movements_bank_account_reference")),
        comment="A line of a statement of the house's bank account, once by the bank's own reference; negative went out.",
    )
    op.create_index("ix_bank_movements_imported_at_id", "bank_movements", ["imported_at", "id"])
    op.create_table(
        "bank_postings",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("movement_id", sa.UUID(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=True),
        sa.Column("payout_id", sa.UUID(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.UUID(), nullable=True, comment="null: matched by its variable symbol"),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "posted_by", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_bank_postings_revision")),
        sa.CheckConstraint(
            "decision in ('top_up', 'payout', 'confirmed', 'refund', 'ignored', 'opened')",
            name=op.f("ck_bank_postings_decision"),
        ),
        sa.CheckConstraint("movement_id is not null or decision = 'payout'", name=op.f("ck_bank_postings_movement")),
        sa.CheckConstraint(
            "(decision in ('payout', 'confirmed')) = (payout_id is not null)", name=op.f("ck_bank_postings_payout")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_accounts.id"], name=op.f("fk_bank_postings_account_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("fk_bank_postings_decided_by")),
        sa.ForeignKeyConstraint(["movement_id"], ["bank_movements.id"], name=op.f("fk_bank_postings_movement_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_bank_postings_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_postings")),
        sa.UniqueConstraint("movement_id", "revision", name=op.f("uq_bank_postings_movement_id_revision")),
        comment="What a bank movement, or a payout that an operator confirmed, means; a later decision is a further revision. Sealed as settlements are.",
    )
    op.create_index(op.f("ix_bank_postings_payout_id"), "bank_postings", ["payout_id"])
    op.create_index(
        "uq_bank_postings_payout",
        "bank_postings",
        ["payout_id"],
        unique=True,
        postgresql_where=sa.text("decision = 'payout'"),
    )
    op.execute(
        "create trigger seal_bank_posting before insert on bank_postings for each row execute function seal_settlement()"
    )


def widen_transfers() -> None:
    op.alter_column("transfers", "settlement_id", nullable=True)
    op.add_column("transfers", sa.Column("bank_posting_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_transfers_bank_posting_id"), "transfers", "bank_postings", ["bank_posting_id"], ["id"]
    )
    op.create_index(op.f("ix_transfers_bank_posting_id"), "transfers", ["bank_posting_id"])
    op.drop_constraint("ck_transfers_kind", "transfers")
    op.create_check_constraint(op.f("ck_transfers_kind"), "transfers", KINDS)
    op.create_check_constraint(
        op.f("ck_transfers_one_cause"), "transfers", "num_nonnulls(settlement_id, bank_posting_id) = 1"
    )
    op.create_check_constraint(
        op.f("ck_transfers_kind_of_cause"), "transfers", f"({KINDS_BEFORE}) = (settlement_id is not null)"
    )
    op.create_table_comment(
        "transfers",
        "amount_minor from debit to credit, because of a settlement or of a bank posting. booked_on is the day of posting where the charge point stands, or by the clock of the house.",
        existing_comment="amount_minor from debit to credit. booked_on is the day of posting where the charge point stands.",
    )


def upgrade() -> None:
    add_people()
    add_payouts()
    add_movements()
    widen_transfers()
    op.execute(REFUSE_SEALED)
    op.execute("insert into ledger_accounts (kind) values ('bank')")
    grant_rights()


def downgrade() -> None:
    op.execute("delete from transfers where bank_posting_id is not null")
    op.execute(REFUSE_SEALED_BEFORE)
    op.drop_constraint("ck_transfers_kind_of_cause", "transfers")
    op.drop_constraint("ck_transfers_one_cause", "transfers")
    op.drop_constraint("ck_transfers_kind", "transfers")
    op.create_check_constraint(op.f("ck_transfers_kind"), "transfers", KINDS_BEFORE)
    op.drop_column("transfers", "bank_posting_id")
    op.alter_column("transfers", "settlement_id", nullable=False)
    op.create_table_comment(
        "transfers",
        "amount_minor from debit to credit. booked_on is the day of posting where the charge point stands.",
    )
    for table in ("bank_postings", "bank_movements", "payouts", "payout_accounts", "payment_symbols"):
        op.drop_table(table)
    op.execute("delete from ledger_accounts where kind = 'bank'")
