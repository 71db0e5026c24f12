"""tolerance and onboarding

Revision: 3f9d52a7c8e1, after 7b1406f4df66. Made 2026-11-22 19:10:00.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "3f9d52a7c8e1"
down_revision: str | Sequence[str] | None = "7b1406f4df66"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = ("quirk_sightings", "refused_handshakes", "knocks", "auto_configurations")
FRAMES = "Every frame in and out, redacted, byte for byte. message_type is 2, 3 or 4; null where unreadable."
NOTED_FRAMES = FRAMES + " note says what a quirk repaired in it."
CHARGE_POINTS = (
    "boot is the payload of the newest BootNotification. A deleted wallbox keeps its row for its transactions."
)
TRIGGERED_CHARGE_POINTS = (
    "boot is the payload of the newest BootNotification. status_requested_boot is the boot_count for which "
    "StatusNotification was triggered. A deleted wallbox keeps its row for its transactions."
)


def upgrade() -> None:
    op.add_column(
        "charge_points",
        sa.Column("auto_configuration", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "charge_points", sa.Column("status_requested_boot", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_table_comment("charge_points", TRIGGERED_CHARGE_POINTS, existing_comment=CHARGE_POINTS)
    op.add_column("message_log", sa.Column("note", sa.Text(), nullable=True))
    op.create_table_comment("message_log", NOTED_FRAMES, existing_comment=FRAMES)
    op.add_column(
        "unprocessed",
        sa.Column("suggested_quirks", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "unprocessed",
        sa.Column(
            "repaired",
            sa.LargeBinary(),
            nullable=True,
            comment="of a refused message: the payload that can be processed with these quirks",
        ),
    )
    _create_tables()
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update, delete on {", ".join(TABLES)} to "{role}"')
    op.execute(f'grant usage on sequence knocks_id_seq to "{role}"')


def _create_tables() -> None:
    op.create_table(
        "quirk_sightings",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("quirk", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_quirk_sightings_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "quirk", name=op.f("pk_quirk_sightings")),
        comment="How often a quirk that was not set would have helped: what is suggested for a charge point.",
    )
    op.create_table(
        "refused_handshakes",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remote_address", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_refused_handshakes_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "reason", "remote_address", name=op.f("pk_refused_handshakes")),
        comment="The last handshakes of a known identity that were refused; a few rows a charge point.",
    )
    op.create_table(
        "knocks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("identity", sa.String(length=48), nullable=False),
        sa.Column("remote_address", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knocks")),
        sa.UniqueConstraint("identity", name=op.f("uq_knocks_identity")),
        comment="Identities that knocked and are nobody's; bounded in all and for each remote address.",
    )
    op.create_index(op.f("ix_knocks_remote_address"), "knocks", ["remote_address"], unique=False)
    op.create_index(op.f("ix_knocks_last_at"), "knocks", ["last_at"], unique=False)
    op.create_table(
        "auto_configurations",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("firmware_version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('running', 'done')", name=op.f("ck_auto_configurations_status")),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_auto_configurations_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "firmware_version", name=op.f("pk_auto_configurations")),
        comment="Automatic configuration, once a firmware. items: key, value, status, command_id, attempts of each.",
    )
    op.create_index(
        "ix_auto_configurations_running",
        "auto_configurations",
        ["charge_point_id"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("unprocessed", "repaired")
    op.drop_column("unprocessed", "suggested_quirks")
    op.create_table_comment("message_log", FRAMES, existing_comment=NOTED_FRAMES)
    op.drop_column("message_log", "note")
    op.create_table_comment("charge_points", CHARGE_POINTS, existing_comment=TRIGGERED_CHARGE_POINTS)
    op.drop_column("charge_points", "status_requested_boot")
    op.drop_column("charge_points", "auto_configuration")
