"""Credit limits of drivers, and what starts keep of their money.

Revision: 5c19d07e42fa, after b3e81f6a5d27.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5c19d07e42fa"
down_revision: str | Sequence[str] | None = "b3e81f6a5d27"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert on credit_limits, holds to "{role}"')
    op.execute(f'grant update (released_at) on holds to "{role}"')


def upgrade() -> None:
    op.create_table(
        "credit_limits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("limit_minor", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("set_by", sa.UUID(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("limit_minor >= 0", name=op.f("ck_credit_limits_limit")),
        sa.ForeignKeyConstraint(["set_by"], ["users.id"], name=op.f("fk_credit_limits_set_by")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credit_limits_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_limits")),
        comment="How far below zero a driver may charge, who said so and why; the newest row holds, without one a setting.",
    )
    op.create_index("ix_credit_limits_user_id_currency_id", "credit_limits", ["user_id", "currency", "id"])
    op.create_table(
        "holds",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("command_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_holds_amount")),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name=op.f("fk_holds_command_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_holds_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("command_id", name=op.f("uq_holds_command_id")),
        comment="What a start keeps of a driver's money until its session is settled, or turns out not to begin.",
    )
    op.create_index("ix_holds_open", "holds", ["user_id", "currency"], postgresql_where=sa.text("released_at is null"))
    grant_rights()


def downgrade() -> None:
    op.drop_table("holds")
    op.drop_table("credit_limits")
