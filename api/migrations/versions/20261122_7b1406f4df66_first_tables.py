"""first tables

Revision: 7b1406f4df66, after . Made 2026-11-22 17:33:16.023967.
"""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "7b1406f4df66"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


PARTITIONS = """
create function ensure_partitions(months_ahead integer default 3) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    parent text;
    start_of date;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('ensure_partitions'));
    foreach parent in array array['meter_values', 'message_log'] loop
        for month in -1 .. months_ahead loop
            start_of := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => month))::date;
            name := format('%s_p%s', parent, to_char(start_of, 'YYYYMM'));
            if to_regclass(name) is null then
                execute format('create table %I partition of %I for values from (%L) to (%L)', name, parent,
                    start_of::timestamp at time zone 'UTC',
                    (start_of + interval '1 month')::timestamp at time zone 'UTC');
            end if;
        end loop;
    end loop;
end
$$
"""
"""Months in UTC. Runs with its owner's rights, because the restricted role may not make tables."""

READ_AND_WRITE = (
    "users", "sessions", "refresh_tokens", "idempotency_keys", "id_tags", "charge_points", "connectors", "grants",
    "commands", "unprocessed", "transactions",
)  # fmt: skip
READ_AND_ADD = ("tariffs", "message_log", "transaction_stops", "meter_values")
"""History: the services add to it and never change or remove a row."""


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant usage on schema public to "{role}"')
    op.execute(f'grant select, insert, update, delete on {", ".join(READ_AND_WRITE)} to "{role}"')
    op.execute(f'grant select, insert on {", ".join(READ_AND_ADD)} to "{role}"')
    op.execute(f'grant select on installation, alembic_version to "{role}"')
    op.execute(f'grant usage on all sequences in schema public to "{role}"')
    op.execute("revoke execute on function ensure_partitions(integer) from public")
    op.execute(f'grant execute on function ensure_partitions(integer) to "{role}"')


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_id_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
        comment="One row. transaction_id_key keys the permutation of OCPP transaction ids and is never rotated.",
    )
    op.create_table(
        "message_log",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("message_type", sa.SmallInteger(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("charge_point_id", "at", "id", name=op.f("pk_message_log")),
        comment="Every frame in and out, redacted, byte for byte. message_type is 2, 3 or 4; null where unreadable.",
        postgresql_partition_by="RANGE (at)",
    )
    op.create_table(
        "meter_values",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connector_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("ocpp_transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=True),
        sa.Column("power_w", sa.BigInteger(), nullable=True),
        sa.Column("samples", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint(
            "charge_point_id", "sampled_at", "connector_id", "digest", name=op.f("pk_meter_values")
        ),
        comment="One row a meterValue; energy_wh is Energy.Active.Import.Register at the outlet. digest ends duplicates.",
        postgresql_partition_by="RANGE (sampled_at)",
    )
    op.create_index(
        "ix_meter_values_transaction_id_sampled_at", "meter_values", ["transaction_id", "sampled_at"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="user", nullable=False),
        sa.Column("language", sa.String(length=5), server_default="en", nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "charge_points",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("identity", sa.String(length=48), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("key_digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("quirks", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="Europe/Prague", nullable=False),
        sa.Column("rated_power_w", sa.Integer(), nullable=True),
        sa.Column("heartbeat_interval_s", sa.Integer(), server_default=sa.text("300"), nullable=False),
        sa.Column("admission", sa.Text(), server_default="Accepted", nullable=False),
        sa.Column("registration", sa.Text(), nullable=True),
        sa.Column("boot_epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("boot_sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("boot_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("booted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("boot", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("connection_epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disconnected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_charge_points_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_points")),
        comment="boot is the payload of the newest BootNotification. A deleted wallbox keeps its row for its transactions.",
    )
    op.create_index(op.f("ix_charge_points_owner_id"), "charge_points", ["owner_id"], unique=False)
    op.create_index(
        "uq_charge_points_identity",
        "charge_points",
        ["identity"],
        unique=True,
        postgresql_where=sa.text("deleted_at is null"),
    )
    op.create_table(
        "id_tags",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("tag", sa.String(length=20), nullable=False),
        sa.Column("parent_tag", sa.String(length=20), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_id_tags_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_id_tags")),
        sa.UniqueConstraint("tag", name=op.f("uq_id_tags_tag")),
        comment="OCPP idTags are case-insensitive: stored in upper case.",
    )
    op.create_index(op.f("ix_id_tags_user_id"), "id_tags", ["user_id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("response_status", sa.SmallInteger(), nullable=True),
        sa.Column("response_body", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id")),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        comment="One log-in: the family of its refresh tokens. Revoking it ends its access tokens too.",
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "connectors",
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("connector_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("info", sa.Text(), nullable=True),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("vendor_error_code", sa.Text(), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_connectors_charge_point_id")),
        sa.PrimaryKeyConstraint("charge_point_id", "connector_id", name=op.f("pk_connectors")),
        comment="The newest StatusNotification of each connector; 0 is the charge point as a whole.",
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_grants_charge_point_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_grants_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        comment="Who else than its owner may charge at a charge point.",
    )
    op.create_index(op.f("ix_grants_charge_point_id"), "grants", ["charge_point_id"], unique=False)
    op.create_index(op.f("ix_grants_user_id"), "grants", ["user_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_refresh_tokens_session_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_refresh_tokens")),
        comment="SHA-256 of each refresh token ever given out; one that is used twice revokes its session.",
    )
    op.create_index(op.f("ix_refresh_tokens_session_id"), "refresh_tokens", ["session_id"], unique=False)
    op.create_table(
        "tariffs",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("elements", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_tariffs_charge_point_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
        comment="OCPI 2.2.1 tariff: elements, and terms of the whole. A row a version, never changed; the newest holds.",
    )
    op.create_index("ix_tariffs_charge_point_id_created_at", "tariffs", ["charge_point_id", "created_at"], unique=False)
    op.create_table(
        "transactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("ocpp_transaction_id", sa.Integer(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("id_tag_status", sa.Text(), nullable=False),
        sa.Column("driver_id", sa.UUID(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_boot_count", sa.Integer(), nullable=False),
        sa.Column("meter_start_wh", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reservation_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("meter_stop_wh", sa.BigInteger(), nullable=True),
        sa.Column("energy_wh", sa.BigInteger(), nullable=True),
        sa.Column("held_reasons", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tariff_id", sa.UUID(), nullable=True),
        sa.Column("tariff", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("total_minor", sa.BigInteger(), nullable=True),
        sa.Column("charge_detail_record", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_transactions_charge_point_id")
        ),
        sa.ForeignKeyConstraint(["driver_id"], ["users.id"], name=op.f("fk_transactions_driver_id")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_transactions_tariff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint(
            "charge_point_id",
            "connector_id",
            "id_tag",
            "started_at",
            "meter_start_wh",
            "occurrence",
            name="uq_transactions_start",
        ),
        sa.UniqueConstraint(
            "charge_point_id", "ocpp_transaction_id", name=op.f("uq_transactions_charge_point_id_ocpp_transaction_id")
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_transactions_public_id")),
        comment="tariff is frozen at the start. A session with held_reasons is never billed without a person.",
    )
    op.create_index(
        "ix_transactions_active",
        "transactions",
        ["charge_point_id", "connector_id"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index(
        "ix_transactions_charge_point_id_started_at", "transactions", ["charge_point_id", "started_at"], unique=False
    )
    op.create_index("ix_transactions_driver_id_started_at", "transactions", ["driver_id", "started_at"], unique=False)
    op.create_table(
        "commands",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("response", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_description", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_commands_charge_point_id")),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name=op.f("fk_commands_transaction_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_commands_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
        comment="A CALL to a charge point: a row before it is published, one terminal status each.",
    )
    op.create_index(
        "ix_commands_charge_point_id_created_at", "commands", ["charge_point_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_commands_open",
        "commands",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text("status in ('queued', 'sent')"),
    )
    op.create_table(
        "transaction_stops",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("ocpp_transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=True),
        sa.Column("meter_stop_wh", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_transaction_stops_charge_point_id")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["transactions.id"], name=op.f("fk_transaction_stops_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transaction_stops")),
        sa.UniqueConstraint(
            "charge_point_id",
            "ocpp_transaction_id",
            "digest",
            name=op.f("uq_transaction_stops_charge_point_id_ocpp_transaction_id_digest"),
        ),
        comment="Every StopTransaction once by content: the one that was applied, those that differ, and orphans.",
    )
    op.create_index(op.f("ix_transaction_stops_transaction_id"), "transaction_stops", ["transaction_id"], unique=False)
    op.create_table(
        "unprocessed",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "error_code",
            sa.Text(),
            nullable=True,
            comment="the CALLERROR that it was answered with; null where answered validly",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["charge_point_id"], ["charge_points.id"], name=op.f("fk_unprocessed_charge_point_id")),
        sa.ForeignKeyConstraint(["transaction_id"], ["transactions.id"], name=op.f("fk_unprocessed_transaction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unprocessed")),
        sa.UniqueConstraint(
            "charge_point_id", "action", "digest", name=op.f("uq_unprocessed_charge_point_id_action_digest")
        ),
        comment="Messages that could not be processed or had to be refused, raw, for a person. Replays find their row.",
    )
    op.create_index(op.f("ix_unprocessed_charge_point_id"), "unprocessed", ["charge_point_id"], unique=False)
    op.execute("create sequence connection_epochs")
    op.execute(PARTITIONS)
    for parent in ("meter_values", "message_log"):
        op.execute(f"create table {parent}_pdefault partition of {parent} default")
    op.execute("select ensure_partitions()")
    op.execute(
        sa.text("insert into installation (id, transaction_id_key) values (1, :key)").bindparams(
            key=secrets.token_bytes(32)
        )
    )
    grant_rights()


def downgrade() -> None:
    op.execute("drop function ensure_partitions(integer)")
    op.execute("drop sequence connection_epochs")
    op.drop_index(op.f("ix_unprocessed_charge_point_id"), table_name="unprocessed")
    op.drop_table("unprocessed")
    op.drop_index(op.f("ix_transaction_stops_transaction_id"), table_name="transaction_stops")
    op.drop_table("transaction_stops")
    op.drop_index("ix_commands_open", table_name="commands", postgresql_where=sa.text("status in ('queued', 'sent')"))
    op.drop_index("ix_commands_charge_point_id_created_at", table_name="commands")
    op.drop_table("commands")
    op.drop_index("ix_transactions_driver_id_started_at", table_name="transactions")
    op.drop_index("ix_transactions_charge_point_id_started_at", table_name="transactions")
    op.drop_index("ix_transactions_active", table_name="transactions", postgresql_where=sa.text("status = 'active'"))
    op.drop_table("transactions")
    op.drop_index("ix_tariffs_charge_point_id_created_at", table_name="tariffs")
    op.drop_table("tariffs")
    op.drop_index(op.f("ix_refresh_tokens_session_id"), table_name="refresh_tokens")
    op.drop_table("refresh_tokens")
    op.drop_index(op.f("ix_grants_user_id"), table_name="grants")
    op.drop_index(op.f("ix_grants_charge_point_id"), table_name="grants")
    op.drop_table("grants")
    op.drop_table("connectors")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_id_tags_user_id"), table_name="id_tags")
    op.drop_table("id_tags")
    op.drop_index(
        "uq_charge_points_identity", table_name="charge_points", postgresql_where=sa.text("deleted_at is null")
    )
    op.drop_index(op.f("ix_charge_points_owner_id"), table_name="charge_points")
    op.drop_table("charge_points")
    op.drop_table("users")
    op.drop_index("ix_meter_values_transaction_id_sampled_at", table_name="meter_values")
    op.drop_table("meter_values")
    op.drop_table("message_log")
    op.drop_table("installation")
