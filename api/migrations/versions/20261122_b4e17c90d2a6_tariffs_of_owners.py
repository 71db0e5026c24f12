"""Tariffs belong to owners and have versions; what is assigned where and when, VAT of owners, prices that were shown.

Revision: b4e17c90d2a6, after a7d3e9b1c504. What was a row of `tariffs` is a version of its charge point's own tariff.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b4e17c90d2a6"
down_revision: str | Sequence[str] | None = "e2b7c4f81a90"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEEP_WHAT_IS = (
    "insert into tariffs (owner_id, name, charge_point_id, created_at) "
    "select c.owner_id, coalesce(nullif(c.name, ''), c.identity), c.id, min(v.created_at) "
    "from charge_points c join tariff_versions v on v.charge_point_id = c.id group by c.id",
    "update tariff_versions v set valid_from = v.created_at, tariff_id = t.id "
    "from tariffs t where t.charge_point_id = v.charge_point_id",
    "insert into tariff_assignments (charge_point_id, tariff_id, assigned_at) "
    "select charge_point_id, id, created_at from tariffs",
)
"""Every charge point with a price gets a tariff of its own, assigned since its first version."""

NOTES = {
    "tariff_id": "null: the tariff of the charge point",
    "tariff_version_id": "of a remote start: the price it begins at",
}


def grant_rights() -> None:
    """What the services' restricted role may do."""
    role = op.get_context().config.attributes["application_role"]
    op.execute(f'grant select, insert, update on tariffs, billing_profiles to "{role}"')
    op.execute(f'grant select, insert on tariff_assignments to "{role}"')


def upgrade() -> None:
    op.rename_table("tariffs", "tariff_versions")
    op.execute("alter table tariff_versions rename constraint pk_tariffs to pk_tariff_versions")
    op.drop_index("ix_tariffs_charge_point_id_created_at", "tariff_versions")
    op.create_table(
        "tariffs",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_tariffs_name")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_tariffs_owner_id")),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_tariffs_charge_point_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
        sa.UniqueConstraint("charge_point_id", name=op.f("uq_tariffs_charge_point_id")),
        comment="A tariff of an owner; its prices are in its versions. charge_point_id: the own one of that charge point.",
    )
    op.create_index(op.f("ix_tariffs_owner_id"), "tariffs", ["owner_id"])
    op.create_table(
        "tariff_assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("tariff_id", sa.UUID(), nullable=True),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_tariff_assignments_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_tariff_assignments_tariff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariff_assignments")),
        comment="Which tariff a charge point has from then on; null: none. The newest holds, the others are history.",
    )
    op.create_index(
        "ix_tariff_assignments_charge_point_id_assigned_at", "tariff_assignments", ["charge_point_id", "assigned_at"]
    )
    op.create_table(
        "billing_profiles",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("is_vat_registered", sa.Boolean(), nullable=False),
        sa.Column("vat_id", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("not is_vat_registered or vat_id is not null", name=op.f("ck_billing_profiles_vat_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_billing_profiles_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_billing_profiles")),
        comment="As what an owner bills. Without a row: not registered for VAT.",
    )
    op.add_column("tariff_versions", sa.Column("tariff_id", sa.UUID(), nullable=True))
    op.add_column("tariff_versions", sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tariff_versions", sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True))
    for statement in KEEP_WHAT_IS:
        op.execute(statement)
    op.alter_column("tariff_versions", "tariff_id", nullable=False)
    op.alter_column("tariff_versions", "valid_from", nullable=False)
    op.drop_column("tariff_versions", "charge_point_id")
    op.create_foreign_key(op.f("fk_tariff_versions_tariff_id"), "tariff_versions", "tariffs", ["tariff_id"], ["id"])
    op.create_check_constraint(op.f("ck_tariff_versions_validity"), "tariff_versions", "valid_until > valid_from")
    op.create_index("ix_tariff_versions_tariff_id_valid_from", "tariff_versions", ["tariff_id", "valid_from"])
    op.create_table_comment(
        "tariff_versions",
        "OCPI 2.2.1 tariff: elements, and terms of the whole. Never changed; of those valid, the one that began last "
        "holds.",
        existing_comment="OCPI 2.2.1 tariff: elements, and terms of the whole. A row a version, never changed; the "
        "newest holds.",
    )
    op.alter_column("transactions", "tariff_id", new_column_name="tariff_version_id")
    op.execute(
        "alter table transactions rename constraint fk_transactions_tariff_id to fk_transactions_tariff_version_id"
    )
    for table, column, other in (
        ("grants", "tariff_id", "tariffs"),
        ("commands", "tariff_version_id", "tariff_versions"),
    ):
        op.add_column(table, sa.Column(column, sa.UUID(), nullable=True, comment=NOTES[column]))
        op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, other, [column], ["id"])
    grant_rights()


def downgrade() -> None:
    """Versions of tariffs that are no charge point's own are gone; transactions keep what they froze."""
    op.drop_column("commands", "tariff_version_id")
    op.drop_column("grants", "tariff_id")
    op.execute(
        "update transactions set tariff_version_id = null where tariff_version_id in (select v.id "
        "from tariff_versions v join tariffs t on t.id = v.tariff_id where t.charge_point_id is null)"
    )
    op.execute(
        "alter table transactions rename constraint fk_transactions_tariff_version_id to fk_transactions_tariff_id"
    )
    op.alter_column("transactions", "tariff_version_id", new_column_name="tariff_id")
    op.add_column("tariff_versions", sa.Column("charge_point_id", sa.UUID(), nullable=True))
    op.execute(
        "update tariff_versions v set charge_point_id = t.charge_point_id from tariffs t where t.id = v.tariff_id"
    )
    op.execute("delete from tariff_versions where charge_point_id is null")
    op.alter_column("tariff_versions", "charge_point_id", nullable=False)
    op.drop_index("ix_tariff_versions_tariff_id_valid_from", "tariff_versions")
    for column in ("tariff_id", "valid_from", "valid_until"):
        op.drop_column("tariff_versions", column)
    op.drop_table("tariff_assignments")
    op.drop_table("tariffs")
    op.drop_table("billing_profiles")
    op.execute("alter table tariff_versions rename constraint pk_tariff_versions to pk_tariffs")
    op.rename_table("tariff_versions", "tariffs")
    op.create_foreign_key(op.f("fk_tariffs_charge_point_id"), "tariffs", "charge_points", ["charge_point_id"], ["id"])
    op.create_index("ix_tariffs_charge_point_id_created_at", "tariffs", ["charge_point_id", "created_at"])
    op.create_table_comment(
        "tariffs",
        "OCPI 2.2.1 tariff: elements, and terms of the whole. A row a version, never changed; the newest holds.",
    )
