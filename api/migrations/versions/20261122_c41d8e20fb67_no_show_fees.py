"""No-show fees in the ledger: a third cause of transfers, sealed as the others are.

Revision: c41d8e20fb67, after b00c17a5e4d2.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c41d8e20fb67"
down_revision: str | Sequence[str] | None = "b00c17a5e4d2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNRELEASED = "no release has been made yet, so no ledger takes long to read"
accepted_locks = dict.fromkeys(
    ("adding-foreign-key-constraint", "constraint-missing-not-valid", "require-concurrent-index-creation"), UNRELEASED
)

REFUSE_SEALED = """
create or replace function refuse_sealed() returns trigger language plpgsql as $$
begin
    perform from settlements s
    where s.id = new.settlement_id and s.posted_at = now() and s.posted_by = pg_current_xact_id()::text::bigint
    union all
    select from bank_postings b
    where b.id = new.bank_posting_id and b.posted_at = now() and b.posted_by = pg_current_xact_id()::text::bigint
    union all
    select from no_show_postings n
    where n.id = new.no_show_posting_id and n.posted_at = now() and n.posted_by = pg_current_xact_id()::text::bigint;
    if not found then
        raise exception '% is sealed', coalesce('settlement ' || new.settlement_id,
            'bank posting ' || new.bank_posting_id, 'no-show posting ' || new.no_show_posting_id)
            using errcode = 'restrict_violation';
    end if;
    new.posted_at := now();
    return new;
end
$$
"""
REFUSE_SEALED_BEFORE = """
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
KINDS_BEFORE = "kind in ('charge', 'vat', 'platform_fee', 'top_up', 'payout', 'refund')"
KINDS = "kind in ('charge', 'vat', 'platform_fee', 'top_up', 'payout', 'refund', 'no_show_fee')"
CAUSE_BEFORE = "num_nonnulls(settlement_id, bank_posting_id) = 1"
CAUSE = "num_nonnulls(settlement_id, bank_posting_id, no_show_posting_id) = 1"
TRANSFERS_BEFORE = (
    "amount_minor from debit to credit, because of a settlement or of a bank posting. booked_on is the day of posting "
    "where the charge point stands, or by the clock of the house."
)
TRANSFERS = (
    "amount_minor from debit to credit, because of a settlement, a bank posting or a no-show. booked_on is the day of "
    "posting where the charge point stands, or by the clock of the house."
)


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert on no_show_postings to "{role}"')


def replace_checks(kinds: str, cause: str) -> None:
    for name, rule in (("kind", kinds), ("one_cause", cause)):
        op.drop_constraint(f"ck_transfers_{name}", "transfers")
        op.create_check_constraint(op.f(f"ck_transfers_{name}"), "transfers", rule)


def upgrade() -> None:
    op.create_table(
        "no_show_postings",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("booking_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("driver_account_id", sa.UUID(), nullable=False),
        sa.Column("owner_account_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "posted_by", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False
        ),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_no_show_postings_revision")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_no_show_postings_amount")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_no_show_postings_booking_id")),
        sa.ForeignKeyConstraint(
            ["driver_account_id"], ["ledger_accounts.id"], name=op.f("fk_no_show_postings_driver_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["owner_account_id"], ["ledger_accounts.id"], name=op.f("fk_no_show_postings_owner_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_no_show_postings")),
        sa.UniqueConstraint("booking_id", "revision", name=op.f("uq_no_show_postings_booking_id_revision")),
        comment="The fee for a booking that nobody came for; a further revision takes it back. Sealed as settlements "
        "are.",
    )
    op.execute(
        "create trigger seal_no_show_posting before insert on no_show_postings "
        "for each row execute function seal_settlement()"
    )
    op.add_column("transfers", sa.Column("no_show_posting_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_transfers_no_show_posting_id"), "transfers", "no_show_postings", ["no_show_posting_id"], ["id"]
    )
    op.create_index(op.f("ix_transfers_no_show_posting_id"), "transfers", ["no_show_posting_id"])
    replace_checks(KINDS, CAUSE)
    op.create_check_constraint(
        op.f("ck_transfers_no_show_fee"), "transfers", "(kind = 'no_show_fee') = (no_show_posting_id is not null)"
    )
    op.create_table_comment("transfers", TRANSFERS, existing_comment=TRANSFERS_BEFORE)
    op.execute(REFUSE_SEALED)
    grant_rights()


def downgrade() -> None:
    op.execute(REFUSE_SEALED_BEFORE)
    op.create_table_comment("transfers", TRANSFERS_BEFORE, existing_comment=TRANSFERS)
    op.drop_constraint("ck_transfers_no_show_fee", "transfers")
    replace_checks(KINDS_BEFORE, CAUSE_BEFORE)
    op.drop_column("transfers", "no_show_posting_id")
    op.drop_table("no_show_postings")
