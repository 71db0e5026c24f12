"""events and webhooks

Revision: e4c81b6f2a90, after a7d3e9b1c504.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e4c81b6f2a90"
down_revision: str | Sequence[str] | None = "d92b6c1f7a40"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ADD_EVENT = """
create function add_event(type text, at timestamptz, charge_point_id uuid, person_id uuid, audience text, data jsonb)
returns void language sql as $$
    insert into events (type, at, charge_point_id, person_id, audience, data)
    values (add_event.type, coalesce(add_event.at, now()), add_event.charge_point_id, add_event.person_id,
        add_event.audience, add_event.data)
$$
"""

TRIGGERS = {
    "charge_points": (
        "after update on charge_points for each row when ("
        "old.connection_epoch <> new.connection_epoch or old.disconnected_at is distinct from new.disconnected_at "
        "or old.boot_count <> new.boot_count)",
        """
    if old.connection_epoch <> new.connection_epoch then
        perform add_event('charge_point.connected', new.connected_at, new.id, null, 'guests', '{}');
    end if;
    if old.disconnected_at is distinct from new.disconnected_at then
        perform add_event('charge_point.disconnected', new.disconnected_at, new.id, null, 'guests', '{}');
    end if;
    if old.boot_count <> new.boot_count then
        perform add_event('charge_point.booted', new.booted_at, new.id, null, 'owner', jsonb_build_object(
            'registration', new.registration, 'vendor', new.boot ->> 'chargePointVendor',
            'model', new.boot ->> 'chargePointModel', 'firmware_version', new.boot ->> 'firmwareVersion'));
    end if;
""",
    ),
    "connectors": (
        "after insert or update of status, error_code on connectors for each row",
        """
    if tg_op = 'INSERT' or (old.status, old.error_code) is distinct from (new.status, new.error_code) then
        perform add_event('connector.status', new.status_at, new.charge_point_id, null, 'guests', jsonb_build_object(
            'connector_id', new.connector_id, 'status', new.status, 'error_code', new.error_code));
    end if;
""",
    ),
    "transactions": (
        "after insert or update of status, held_reasons, settled_at on transactions for each row",
        """
    if tg_op = 'INSERT' then
        perform add_event('transaction.started', new.started_at, new.charge_point_id, new.driver_id, 'person',
            jsonb_build_object('transaction_id', new.public_id, 'connector_id', new.connector_id,
                'driver_id', new.driver_id, 'status', new.status, 'started_at', new.started_at,
                'meter_start_wh', new.meter_start_wh));
    elsif old.status <> new.status and new.status <> 'active' then
        perform add_event('transaction.stopped', new.stopped_at, new.charge_point_id, new.driver_id, 'person',
            jsonb_build_object('transaction_id', new.public_id, 'connector_id', new.connector_id,
                'driver_id', new.driver_id, 'status', new.status, 'started_at', new.started_at,
                'stopped_at', new.stopped_at, 'stop_reason', new.stop_reason, 'energy_wh', new.energy_wh,
                'currency', new.currency, 'total_minor', new.total_minor));
    end if;
    if new.held_reasons <> '{}' and (tg_op = 'INSERT' or old.held_reasons <> new.held_reasons) then
        perform add_event('transaction.held', now(), new.charge_point_id, new.driver_id, 'person',
            jsonb_build_object('transaction_id', new.public_id, 'held_reasons', new.held_reasons));
    end if;
    if tg_op = 'UPDATE' and new.settled_at is not null and old.settled_at is distinct from new.settled_at then
        perform add_event('transaction.settled', new.settled_at, new.charge_point_id, new.driver_id, 'person',
            jsonb_build_object('transaction_id', new.public_id, 'currency', new.currency,
                'total_minor', new.total_minor));
    end if;
""",
    ),
    "commands": (
        "after insert or update of status on commands for each row when (new.status not in ('queued', 'sent'))",
        """
    if tg_op = 'INSERT' or old.status <> new.status then
        perform add_event('command.finished', new.finished_at, new.charge_point_id, new.user_id, 'requester',
            jsonb_build_object('command_id', new.id, 'action', new.action, 'status', new.status,
                'error_code', new.error_code));
    end if;
""",
    ),
    "grants": (
        "after insert or update of revoked_at on grants for each row",
        """
    if tg_op = 'INSERT' then
        perform add_event('grant.created', new.created_at, c.id, new.user_id, 'person',
            jsonb_build_object('grant_id', new.id, 'user_id', new.user_id, 'valid_from', new.valid_from,
                'valid_until', new.valid_until))
        from charge_points c where c.id = new.charge_point_id or c.location_id = new.location_id;
    elsif old.revoked_at is null and new.revoked_at is not null then
        perform add_event('grant.revoked', new.revoked_at, c.id, new.user_id, 'person',
            jsonb_build_object('grant_id', new.id, 'user_id', new.user_id))
        from charge_points c where c.id = new.charge_point_id or c.location_id = new.location_id;
    end if;
""",
    ),
    "reservations": (
        "after insert or update of status on reservations for each row",
        """
    if tg_op = 'INSERT' or old.status <> new.status then
        perform add_event('reservation.changed', now(), new.charge_point_id, new.user_id, 'requester',
            jsonb_build_object('reservation_id', new.reservation_id, 'connector_id', new.connector_id,
                'status', new.status, 'expires_at', new.expires_at));
    end if;
""",
    ),
    "charge_point_jobs": (
        "after insert or update of status on charge_point_jobs for each row",
        """
    if tg_op = 'INSERT' or old.status <> new.status then
        perform add_event('job.status', new.status_at, new.charge_point_id, null, 'owner',
            jsonb_build_object('job_id', new.id, 'kind', new.kind, 'action', new.action, 'status', new.status));
    end if;
""",
    ),
    "security_events": (
        "after insert on security_events for each row",
        """
    perform add_event('security.event', new.at, new.charge_point_id, null, 'owner',
        jsonb_build_object('type', new.type, 'is_critical', new.is_critical, 'tech_info', new.tech_info));
""",
    ),
}
"""Of each table: when, and what. A trigger, so that whoever changes a row cannot forget its event, nor write it in
another database transaction than the effect."""


def grant_rights() -> None:
    role = op.get_context().config.attributes["application_role"]  # type: ignore[union-attr]
    op.execute(f'grant select, insert, delete, update (position) on events to "{role}"')
    op.execute(f'grant select, insert, update, delete on webhooks, webhook_deliveries to "{role}"')
    op.execute(f'grant usage on sequence event_positions to "{role}"')
    op.execute(f'grant usage on sequence events_id_seq to "{role}"')


def upgrade() -> None:
    op.execute("create sequence event_positions")
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("charge_point_id", sa.UUID(), nullable=True),
        sa.Column("person_id", sa.UUID(), nullable=True),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("audience in ('guests', 'person', 'requester', 'owner')", name=op.f("ck_events_audience")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("position", name=op.f("uq_events_position")),
        comment="What happened, written with the effect. position is null until it is numbered; person_id is whom it "
        "is about; audience says who may read it.",
    )
    op.create_index(
        "ix_events_unnumbered", "events", ["id"], unique=False, postgresql_where=sa.text("position is null")
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("types", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("charge_point_ids", postgresql.ARRAY(sa.UUID()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(disabled_at is null) = (disabled_reason is null)", name=op.f("ck_webhooks_disabled")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_webhooks_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        comment="Where a user's events are posted. Empty types and charge_point_ids stand for all.",
    )
    op.create_index(op.f("ix_webhooks_user_id"), "webhooks", ["user_id"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("webhook_id", sa.UUID(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status in ('pending', 'delivered', 'failed', 'withdrawn')", name=op.f("ck_webhook_deliveries_status")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_webhook_deliveries_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("webhook_id", "event_id", name=op.f("uq_webhook_deliveries_webhook_id_event_id")),
        comment="One event to one webhook. While somebody delivers it, next_at lies ahead: a lease.",
    )
    op.create_index(op.f("ix_webhook_deliveries_event_id"), "webhook_deliveries", ["event_id"], unique=False)
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "next_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_webhook_deliveries_webhook_id_created_at",
        "webhook_deliveries",
        ["webhook_id", "created_at", "id"],
        unique=False,
    )
    op.execute(ADD_EVENT)
    for table, (when, body) in TRIGGERS.items():
        name = f"tell_of_{table}"
        op.execute(
            f"create function {name}() returns trigger language plpgsql as $$\nbegin{body}    return null;\nend\n$$"
        )
        op.execute(f"create trigger {name} {when} execute function {name}()")
    grant_rights()


def downgrade() -> None:
    for table in TRIGGERS:
        op.execute(f"drop trigger tell_of_{table} on {table}")
        op.execute(f"drop function tell_of_{table}()")
    op.execute("drop function add_event(text, timestamptz, uuid, uuid, text, jsonb)")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
    op.drop_table("events")
    op.execute("drop sequence event_positions")
