"""The CHECK constraints that columns declare, which autogenerate leaves out; an index for who charges elsewhere.

Revision: a7d3e9b1c504, after 41f92cd0b814.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "a7d3e9b1c504"
down_revision: str | Sequence[str] | None = "41f92cd0b814"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECKS = (
    ("certificate_authority", "ck_certificate_authority_one_row", "id = 1"),
    ("installation", "ck_installation_one_row", "id = 1"),
    ("message_log", "ck_message_log_direction", "direction in ('in', 'out')"),
    ("users", "ck_users_email_lower", "email = lower(email)"),
    ("users", "ck_users_role", "role in ('user', 'operator')"),
    ("charge_points", "ck_charge_points_heartbeat", "heartbeat_interval_s > 0"),
    ("charge_points", "ck_charge_points_admission", "admission in ('Accepted', 'Pending', 'Rejected')"),
    ("charge_points", "ck_charge_points_registration", "registration in ('Accepted', 'Pending', 'Rejected')"),
    ("id_tags", "ck_id_tags_tag_upper", "tag = upper(tag)"),
    ("id_tags", "ck_id_tags_kind", "kind in ('card', 'app')"),
    ("configuration_keys", "ck_configuration_keys_name_lower", "name = lower(name)"),
    ("files", "ck_files_kind", "kind in ('firmware', 'diagnostics')"),
    ("transactions", "ck_transactions_ocpp_transaction_id", "ocpp_transaction_id > 0"),
    ("transactions", "ck_transactions_status", "status in ('active', 'stopped', 'abandoned')"),
    (
        "commands",
        "ck_commands_status",
        "status in ('queued', 'sent', 'accepted', 'rejected', 'call_error', 'offline', 'timeout', 'unknown')",
    ),
    (
        "certificates",
        "ck_certificates_status",
        "status in ('requested', 'refused', 'sent', 'accepted', 'rejected', 'failed')",
    ),
    ("charge_point_jobs", "ck_charge_point_jobs_kind", "kind in ('firmware', 'diagnostics')"),
    (
        "reservations",
        "ck_reservations_status",
        "status in ('requested', 'accepted', 'faulted', 'occupied', 'rejected', 'unavailable', 'failed', 'used', 'cancelled', 'expired')",
    ),
)
"""(table, constraint, condition)"""


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.execute(f"alter table {table} add constraint {name} check ({condition})")
    op.execute("create index ix_transactions_id_tag_active on transactions (id_tag) where status = 'active'")


def downgrade() -> None:
    op.execute("drop index ix_transactions_id_tag_active")
    for table, name, _ in CHECKS:
        op.execute(f"alter table {table} drop constraint {name}")
