"""Numbers of receipts, without gaps among those of an owner; codes of connectors for stickers.

Revision: d92b6c1f7a40, after a7d3e9b1c504.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d92b6c1f7a40"
down_revision: str | Sequence[str] | None = "9ad4c2e71b06"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NUMBERING = (
    """
create function number_receipt() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('receipts of ' || new.owner_account_id, 0));
    insert into receipts (settlement_id, owner_account_id, number)
    select new.id, new.owner_account_id, coalesce(max(number), 0) + 1 from receipts
    where owner_account_id = new.owner_account_id;
    return null;
end
$$
""",
    """
create trigger number_receipt after insert on settlements for each row execute function number_receipt()
""",
    """
insert into receipts (settlement_id, owner_account_id, number)
select id, owner_account_id, row_number() over (partition by owner_account_id order by posted_at, id) from settlements
""",
)
"""With the rights of the database's owner, so that the restricted role cannot give numbers itself. A settlement that is
rolled back gives its number back; settlements of one owner wait for each other until they are committed."""


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select on receipts to "{role}"')
    op.execute(f'grant select, insert, update on connector_codes to "{role}"')


def upgrade() -> None:
    op.create_table(
        "receipts",
        sa.Column("settlement_id", sa.UUID(), nullable=False),
        sa.Column("owner_account_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_receipts_number")),
        sa.ForeignKeyConstraint(
            ["owner_account_id"], ["ledger_accounts.id"], name=op.f("fk_receipts_owner_account_id")
        ),
        sa.ForeignKeyConstraint(["settlement_id"], ["settlements.id"], name=op.f("fk_receipts_settlement_id")),
        sa.PrimaryKeyConstraint("settlement_id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("owner_account_id", "number", name=op.f("uq_receipts_owner_account_id_number")),
        comment="The number of each settlement's receipt: without gaps among those of an owner. A trigger on settlements gives it; nobody else adds rows.",
    )
    op.create_table(
        "connector_codes",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("code ~ '^[2-9A-HJ-NP-Z]{12}$'", name=op.f("ck_connector_codes_code")),
        sa.CheckConstraint("connector_id > 0", name=op.f("ck_connector_codes_connector_id")),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_connector_codes_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_connector_codes")),
        comment="The random token on a connector's sticker: one that counts, and those before it, which never come back.",
    )
    op.create_index(
        "uq_connector_codes_current",
        "connector_codes",
        ["charge_point_id", "connector_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at is null"),
    )
    for statement in NUMBERING:
        op.execute(statement)
    grant_rights()


def downgrade() -> None:
    op.drop_table("connector_codes")
    op.execute("drop trigger number_receipt on settlements")
    op.execute("drop function number_receipt()")
    op.drop_table("receipts")
