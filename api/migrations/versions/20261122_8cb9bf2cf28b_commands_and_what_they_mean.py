"""commands and what they mean

Revision: 8cb9bf2cf28b, after 3f9d52a7c8e1. Made 2026-11-22 18:35:44.490780.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "8cb9bf2cf28b"
down_revision: str | Sequence[str] | None = "3f9d52a7c8e1"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


READ_AND_WRITE = (
    "command_batches", "configuration_keys", "files", "charge_point_jobs", "local_lists", "reservations",
    "charging_profiles", "certificate_authority", "certificates", "installed_certificates",
)  # fmt: skip
READ_AND_ADD = ("security_events",)


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, update, delete on {", ".join(READ_AND_WRITE)} to "{role}"')
    op.execute(f'grant select, insert on {", ".join(READ_AND_ADD)} to "{role}"')
    op.execute(f'grant usage on all sequences in schema public to "{role}"')


def upgrade() -> None:
    op.create_table(
        "certificate_authority",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("private_key", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate_authority")),
        comment="One row. The authority that signs charge point certificates; its key is PEM, encrypted by CA_PASSWORD.",
    )
    op.create_table(
        "command_batches",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("refused", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_command_batches_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_batches")),
        comment="One CALL for many charge points. refused: those to which it could not go, with the reason.",
    )
    op.create_index("ix_command_batches_user_id_created_at", "command_batches", ["user_id", "created_at"], unique=False)
    op.create_table(
        "charging_profiles",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("charging_profile_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("stack_level", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("profile", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_charging_profiles_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "charging_profile_id", name=op.f("pk_charging_profiles")),
        comment="The charging profiles that the charge point accepted and was not told to clear.",
    )
    op.create_table(
        "configuration_keys",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("key", sa.String(length=50), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("is_readonly", sa.Boolean(), nullable=True),
        sa.Column("is_known", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_value", sa.Text(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("needs_reboot", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_configuration_keys_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "name", name=op.f("pk_configuration_keys")),
        comment="What the charge point said of each key, and what it accepted from us. Keys are case-insensitive.",
    )
    op.create_table(
        "files",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_files_charge_point_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_files_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
        comment="The content lies in FILES_DIR under the id. Firmware has no charge point, what one uploaded has.",
    )
    op.create_index(op.f("ix_files_charge_point_id"), "files", ["charge_point_id"], unique=False)
    op.create_index(op.f("ix_files_owner_id"), "files", ["owner_id"], unique=False)
    op.create_table(
        "installed_certificates",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("issuer_name_hash", sa.Text(), nullable=False),
        sa.Column("issuer_key_hash", sa.Text(), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("hash_algorithm", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_installed_certificates_charge_point_id")
        ),
        sa.PrimaryKeyConstraint(
            "charge_point_id",
            "certificate_type",
            "issuer_name_hash",
            "issuer_key_hash",
            "serial_number",
            name=op.f("pk_installed_certificates"),
        ),
        comment="Root certificates at the charge point, as its last GetInstalledCertificateIds answer listed them.",
    )
    op.create_table(
        "local_lists",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("entries", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_version", sa.BigInteger(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_local_lists_charge_point_id")),
        sa.PrimaryKeyConstraint("charge_point_id", name=op.f("pk_local_lists")),
        comment="The list that the charge point accepted last (0: none yet), and the version that it reports.",
    )
    op.create_table(
        "security_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tech_info", sa.Text(), server_default="", nullable=False),
        sa.Column("is_critical", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_security_events_charge_point_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
        sa.UniqueConstraint(
            "charge_point_id",
            "at",
            "type",
            "tech_info",
            name=op.f("uq_security_events_charge_point_id_at_type_tech_info"),
        ),
        comment="SecurityEventNotification, and what we noticed ourselves; the same one sent again is stored once.",
    )
    op.create_index(
        "ix_security_events_charge_point_id_received_at",
        "security_events",
        ["charge_point_id", "received_at"],
        unique=False,
    )
    op.create_table(
        "certificates",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("command_id", sa.UUID(), nullable=True),
        sa.Column("csr", sa.Text(), nullable=False),
        sa.Column("csr_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), server_default="requested", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("certificate", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("serial_number", sa.Text(), nullable=True),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_certificates_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name=op.f("fk_certificates_command_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
        sa.UniqueConstraint("command_id", name=op.f("uq_certificates_command_id")),
        comment="What became of each SignCertificate. fingerprint is SHA-256 of the DER certificate.",
    )
    op.create_index(
        "ix_certificates_charge_point_id_created_at", "certificates", ["charge_point_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_certificates_requested",
        "certificates",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status = 'requested'"),
    )
    op.create_index(
        "uq_certificates_open",
        "certificates",
        ["charge_point_id", "csr_digest"],
        unique=True,
        postgresql_where=sa.text("status in ('requested', 'sent')"),
    )
    op.create_table(
        "charge_point_jobs",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("command_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("file_id", sa.UUID(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="Requested", nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("history", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_charge_point_jobs_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name=op.f("fk_charge_point_jobs_command_id")),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name=op.f("fk_charge_point_jobs_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_point_jobs")),
        sa.UniqueConstraint("command_id", name=op.f("uq_charge_point_jobs_command_id")),
        comment="A firmware update or an upload of diagnostics or logs; history lists {status, at} as they were reported.",
    )
    op.create_index(
        "ix_charge_point_jobs_charge_point_id_created_at",
        "charge_point_jobs",
        ["charge_point_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "reservations",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("reservation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True, comment="the holder of the id tag, where we know it"),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("parent_id_tag", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="requested", nullable=False),
        sa.Column("command_id", sa.UUID(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_reservations_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["command_id"], ["commands.id"], name=op.f("fk_reservations_command_id")),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name=op.f("fk_reservations_transaction_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reservations_user_id")),
        sa.PrimaryKeyConstraint("charge_point_id", "reservation_id", name=op.f("pk_reservations")),
        sa.UniqueConstraint("command_id", name=op.f("uq_reservations_command_id")),
        comment="Ids are per charge point. faulted and unavailable may also end one that was accepted.",
    )
    op.create_index(
        "ix_reservations_open",
        "reservations",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status in ('requested', 'accepted')"),
    )
    op.add_column("charge_points", sa.Column("next_key_digest", sa.LargeBinary(), nullable=True))
    op.add_column(
        "charge_points", sa.Column("security_profile", sa.SmallInteger(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column("charge_points", sa.Column("next_security_profile", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_charge_points_profile"), "charge_points", "security_profile between 0 and 3")
    op.add_column("commands", sa.Column("batch_id", sa.UUID(), nullable=True))
    op.add_column(
        "commands",
        sa.Column(
            "gave_up_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when an accepted remote start was found to have led to no transaction",
        ),
    )
    op.alter_column("commands", "user_id", existing_type=sa.UUID(), nullable=True, comment="null: Voltuj itself")
    op.create_index(op.f("ix_commands_batch_id"), "commands", ["batch_id"], unique=False)
    op.create_index(
        "ix_commands_trying",
        "commands",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text(
            "action = 'RemoteStartTransaction' and status = 'accepted' and transaction_id is null and gave_up_at is null"
        ),
    )
    op.create_foreign_key(op.f("fk_commands_batch_id"), "commands", "command_batches", ["batch_id"], ["id"])
    grant_rights()


def downgrade() -> None:
    op.drop_constraint(op.f("fk_commands_batch_id"), "commands", type_="foreignkey")
    op.drop_index(
        "ix_commands_trying",
        table_name="commands",
        postgresql_where=sa.text(
            "action = 'RemoteStartTransaction' and status = 'accepted' and transaction_id is null and gave_up_at is null"
        ),
    )
    op.drop_index(op.f("ix_commands_batch_id"), table_name="commands")
    op.drop_column("commands", "gave_up_at")
    op.drop_column("commands", "batch_id")
    op.drop_column("charge_points", "next_security_profile")
    op.drop_column("charge_points", "security_profile")
    op.drop_column("charge_points", "next_key_digest")
    op.drop_index(
        "ix_reservations_open",
        table_name="reservations",
        postgresql_where=sa.text("status in ('requested', 'accepted')"),
    )
    op.drop_table("reservations")
    op.drop_index("ix_charge_point_jobs_charge_point_id_created_at", table_name="charge_point_jobs")
    op.drop_table("charge_point_jobs")
    op.drop_index(
        "uq_certificates_open", table_name="certificates", postgresql_where=sa.text("status in ('requested', 'sent')")
    )
    op.drop_index(
        "ix_certificates_requested", table_name="certificates", postgresql_where=sa.text("status = 'requested'")
    )
    op.drop_index("ix_certificates_charge_point_id_created_at", table_name="certificates")
    op.drop_table("certificates")
    op.drop_index("ix_security_events_charge_point_id_received_at", table_name="security_events")
    op.drop_table("security_events")
    op.drop_table("local_lists")
    op.drop_table("installed_certificates")
    op.drop_index(op.f("ix_files_owner_id"), table_name="files")
    op.drop_index(op.f("ix_files_charge_point_id"), table_name="files")
    op.drop_table("files")
    op.drop_table("configuration_keys")
    op.drop_table("charging_profiles")
    op.drop_index("ix_command_batches_user_id_created_at", table_name="command_batches")
    op.drop_table("command_batches")
    op.drop_table("certificate_authority")
    op.execute("delete from commands where user_id is null")
    op.alter_column(
        "commands",
        "user_id",
        existing_type=sa.UUID(),
        nullable=False,
        comment=None,
        existing_comment="null: Voltuj itself",
    )
