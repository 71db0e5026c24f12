"""Which table holds what of a person, and what becomes of it: the one list that export and erasure follow.

Every table of the schema stands here, in exactly one of the two lists; a test says so.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Table, or_, select

from api import schema

WITHHELD: Final = frozenset(
    {"password_hash", "digest", "request_digest", "response_body", "key_digest", "next_key_digest", "body",
     "registration", "posted_by"}
)  # fmt: skip
"""Columns that are secrets, or none of the person's."""


def _own_charge_points(user_id: UUID) -> Any:  # noqa: ANN401 - a subquery
    return select(schema.charge_points.c.id).where(schema.charge_points.c.owner_id == user_id)


def _own_transactions(user_id: UUID) -> Any:  # noqa: ANN401 - a subquery
    return select(schema.transactions.c.id).where(schema.transactions.c.driver_id == user_id)


def _own_accounts(user_id: UUID) -> Any:  # noqa: ANN401 - a subquery
    return select(schema.ledger_accounts.c.id).where(schema.ledger_accounts.c.user_id == user_id)


def condition(table: Table, user_id: UUID) -> ColumnElement[bool]:
    """Which rows of an exported table are the person's."""
    column = EXPORTED[table.name]
    if column == "session_id":
        return table.c.session_id.in_(select(schema.sessions.c.id).where(schema.sessions.c.user_id == user_id))
    if column == "charge_point_id":
        return table.c.charge_point_id.in_(_own_charge_points(user_id))
    if column == "transaction_id":
        return table.c.transaction_id.in_(_own_transactions(user_id))
    if column == "accounts":
        sides = [each for each in table.c if each.name.endswith("account_id")]
        return or_(*(side.in_(_own_accounts(user_id)) for side in sides))
    return table.c[column] == user_id


EXPORTED: Final[dict[str, str]] = {
    "users": "id",
    "sessions": "user_id",
    "refresh_tokens": "session_id",
    "idempotency_keys": "user_id",
    "id_tags": "user_id",
    "learning_windows": "user_id",
    "email_tokens": "user_id",
    "mails": "user_id",
    "audit_log": "actor_id",
    "charge_points": "owner_id",
    "connectors": "charge_point_id",
    "tariffs": "charge_point_id",
    "grants": "user_id",
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
    "decisions": "decided_by",
}
"""Table: the column that says whose a row is, or through what it is somebody's."""

NOT_EXPORTED: Final[dict[str, str]] = {
    "installation": "of the house",
    "certificate_authority": "of the house",
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
    "grants": "revoked: an opaque id",
    "charge_points": "deleted before; without its name",
    "commands": "an opaque id; without the id tag",
    "command_batches": "an opaque id; without the id tag",
    "files": "firmware and diagnostics of wallboxes; an opaque id",
    "reservations": "an opaque id; without the id tag",
    "bookings": "withdrawn: an opaque id; without the id tag",
    "transactions": "the books; an opaque id, without the id tag",
    "ledger_accounts": "the books; an opaque id",
    "decisions": "the books; an opaque id",
    "audit_log": "who did what; an opaque id",
}
"""Tables with a reference to a user whose rows outlive an erasure, and as what."""

ERASED: Final = (
    "idempotency_keys", "email_tokens", "mails", "refresh_tokens", "sessions", "learning_windows", "id_tags",
)  # fmt: skip
"""Tables whose rows go with the person, in the order in which they may go."""
