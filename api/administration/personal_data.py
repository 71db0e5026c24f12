"""Which table holds what of a person, and what becomes of it: the one list that export and erasure follow.

Every table of the schema stands here, in exactly one of the two lists; a test says so.
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, false, or_, select

from api import schema

WITHHELD: Final = frozenset(
    {"password_hash", "digest", "request_digest", "response_body", "key_digest", "next_key_digest", "body",
     "registration", "posted_by", "secret"}
)  # fmt: skip
"""Columns that are secrets, or none of the person's."""


def condition(table: Table, user_id: UUID) -> ColumnElement[bool]:
    """Which rows of an exported table are the person's."""
    said = EXPORTED[table.name]
    return THROUGH[said](table, user_id) if said in THROUGH else table.c[said] == user_id


def own_address(user_id: UUID) -> Any:  # noqa: ANN401 - a subquery
    """The e-mail address of a user."""
    return select(schema.users.c.email).where(schema.users.c.id == user_id).scalar_subquery()


def _ids(name: str, user_id: UUID) -> Select[Any]:
    """The ids of the person's rows of another exported table."""
    table = schema.metadata.tables[name]
    return select(table.c.id).where(condition(table, user_id))


def _of_accounts(table: Table, user_id: UUID) -> ColumnElement[bool]:
    sides = [each for each in table.c if each.name.endswith("account_id")]
    return or_(false(), *(side.in_(_ids("ledger_accounts", user_id)) for side in sides))


def _of_postings(table: Table, user_id: UUID) -> ColumnElement[bool]:
    return or_(_of_accounts(table, user_id), table.c.payout_id.in_(_ids("payouts", user_id)))


def _of_movements(table: Table, user_id: UUID) -> ColumnElement[bool]:
    postings = schema.bank_postings
    return table.c.id.in_(select(postings.c.movement_id).where(_of_postings(postings, user_id)))


def _of_handovers(table: Table, user_id: UUID) -> ColumnElement[bool]:
    return or_(table.c.offered_by == user_id, table.c.accepted_by == user_id, table.c.email == own_address(user_id))


def _of_mails(table: Table, user_id: UUID) -> ColumnElement[bool]:
    return or_(table.c.user_id == user_id, table.c.recipient == own_address(user_id))


def _of_email_tokens(table: Table, user_id: UUID) -> ColumnElement[bool]:
    return or_(table.c.user_id == user_id, table.c.email == own_address(user_id))


THROUGH: Final[dict[str, Callable[[Table, UUID], ColumnElement[bool]]]] = {
    "session_id": lambda table, user: table.c.session_id.in_(_ids("sessions", user)),
    "charge_point_id": lambda table, user: table.c.charge_point_id.in_(_ids("charge_points", user)),
    "transaction_id": lambda table, user: table.c.transaction_id.in_(_ids("transactions", user)),
    "tariff_id": lambda table, user: table.c.tariff_id.in_(_ids("tariffs", user)),
    "webhook_id": lambda table, user: table.c.webhook_id.in_(_ids("webhooks", user)),
    "settlement_id": lambda table, user: table.c.settlement_id.in_(_ids("settlements", user)),
    "accounts": _of_accounts,
    "postings": _of_postings,
    "movements": _of_movements,
    "handovers": _of_handovers,
    "user_id or recipient": _of_mails,
    "user_id or email": _of_email_tokens,
}
"""What stands in EXPORTED for more than a column that holds the person's id."""

EXPORTED: Final[dict[str, str]] = {
    "users": "id",
    "sessions": "user_id",
    "refresh_tokens": "session_id",
    "idempotency_keys": "user_id",
    "id_tags": "user_id",
    "learning_windows": "user_id",
    "email_tokens": "user_id or email",
    "mails": "user_id or recipient",
    "audit_log": "actor_id",
    "charge_points": "owner_id",
    "connectors": "charge_point_id",
    "connector_specs": "charge_point_id",
    "connector_codes": "charge_point_id",
    "locations": "owner_id",
    "tariffs": "owner_id",
    "tariff_versions": "tariff_id",
    "tariff_assignments": "charge_point_id",
    "billing_profiles": "user_id",
    "groups": "owner_id",
    "group_members": "user_id",
    "grants": "user_id",
    "handovers": "handovers",
    "command_batches": "user_id",
    "commands": "user_id",
    "files": "owner_id",
    "reservations": "user_id",
    "bookings": "user_id",
    "transactions": "driver_id",
    "transaction_stops": "transaction_id",
    "meter_values": "transaction_id",
    "ledger_accounts": "user_id",
    "settlements": "accounts",
    "no_show_postings": "accounts",
    "transfers": "accounts",
    "receipts": "settlement_id",
    "decisions": "decided_by",
    "credit_limits": "user_id",
    "holds": "user_id",
    "payment_symbols": "user_id",
    "payout_accounts": "user_id",
    "payouts": "accounts",
    "bank_movements": "movements",
    "bank_postings": "postings",
    "balance_snapshots": "accounts",
    "interim_balances": "accounts",
    "events": "person_id",
    "webhooks": "user_id",
    "webhook_deliveries": "webhook_id",
}
"""Table: the column that says whose a row is, or through what it is somebody's (THROUGH)."""

NOT_EXPORTED: Final[dict[str, str]] = {
    "installation": "of the house",
    "certificate_authority": "of the house",
    "closed_days": "of the house",
    "configuration_keys": "of the wallbox; its owner reads it at /charge-points/{id}/configuration",
    "charge_point_jobs": "of the wallbox; its owner reads it at /charge-points/{id}/jobs",
    "local_lists": "of the wallbox; its owner reads it at /charge-points/{id}/local-list",
    "charging_profiles": "of the wallbox; its owner reads it at /charge-points/{id}/charging-profiles",
    "security_events": "of the wallbox; its owner reads it at /charge-points/{id}/security-events",
    "certificates": "of the wallbox; its owner reads it at /charge-points/{id}/certificates",
    "installed_certificates": "of the wallbox",
    "message_log": "of the wallbox; its owner reads it at /charge-points/{id}/messages",
    "unprocessed": "of the wallbox; its owner reads it at /charge-points/{id}/unprocessed",
    "quirk_sightings": "of the wallbox",
    "refused_handshakes": "of the wallbox",
    "knocks": "of wallboxes that are nobody's",
    "auto_configurations": "of the wallbox",
}
"""Table: why its rows are no personal data of one person."""

KEPT: Final[dict[str, str]] = {
    "users": "emptied: an opaque id",
    "grants": "revoked: an opaque id, without the e-mail of an invitation",
    "handovers": "accepted ones: opaque ids, without the e-mail",
    "charge_points": "deleted before; without its name",
    "locations": "deleted and emptied: a country and a time zone",
    "tariffs": "the prices of the books; without its name",
    "groups": "deleted; without its name",
    "billing_profiles": "the books; the VAT number under which receipts were issued",
    "commands": "an opaque id; without the id tag",
    "command_batches": "an opaque id; without the id tag",
    "files": "firmware and diagnostics of wallboxes; an opaque id",
    "reservations": "an opaque id; without the id tag",
    "bookings": "withdrawn: an opaque id; without the id tag",
    "transactions": "the books; an opaque id, without the id tag",
    "ledger_accounts": "the books; an opaque id",
    "decisions": "the books; an opaque id",
    "credit_limits": "the books; an opaque id",
    "holds": "the books; an opaque id",
    "payment_symbols": "the books; tells whose money arrives later",
    "payouts": "the books; IBAN and name as they were paid, which bookkeeping law keeps",
    "bank_movements": "the books; what the bank's statement said, which bookkeeping law keeps",
    "bank_postings": "the books; an opaque id",
    "events": "an opaque id; forgotten after a week",
    "audit_log": "who did what; an opaque id",
}
"""Tables with a reference to a user whose rows outlive an erasure, and as what."""

ERASED: Final = (
    "idempotency_keys", "email_tokens", "mails", "refresh_tokens", "sessions", "learning_windows", "id_tags",
    "group_members", "payout_accounts", "webhook_deliveries", "webhooks",
)  # fmt: skip
"""Tables whose rows go with the person, in the order in which they may go."""
