"""What the services' database role may change: this, and nothing beyond it. A new table must take its place here."""

from typing import Final

import asyncpg
import pytest

from api.schema import metadata
from standalone.databases import DatabaseUrls

GRANTED: Final = """
select t.relname as name,
    array_remove(array[
        case when has_table_privilege(t.oid, 'UPDATE') then 'update' end,
        case when has_table_privilege(t.oid, 'DELETE') then 'delete' end,
        case when has_table_privilege(t.oid, 'TRUNCATE') then 'truncate' end,
        case when has_table_privilege(t.oid, 'TRIGGER') then 'trigger' end
    ], null) as rights,
    array(select a.attname::text from pg_attribute a
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
            and has_column_privilege(t.oid, a.attnum, 'UPDATE') order by 1) as columns
from pg_class t where t.relkind in ('r', 'p', 'v', 'm') and t.relnamespace = 'public'::regnamespace
"""
CHANGED: Final = frozenset(
    [
        "auto_configurations",
        "certificate_authority",
        "certificates",
        "charge_point_jobs",
        "charge_points",
        "charging_profiles",
        "command_batches",
        "commands",
        "configuration_keys",
        "connector_specs",
        "connectors",
        "email_tokens",
        "files",
        "grants",
        "group_members",
        "groups",
        "handovers",
        "id_tags",
        "idempotency_keys",
        "installed_certificates",
        "knocks",
        "learning_windows",
        "local_lists",
        "locations",
        "mails",
        "payout_accounts",
        "quirk_sightings",
        "refresh_tokens",
        "refused_handshakes",
        "reservations",
        "sessions",
        "transactions",
        "unprocessed",
        "users",
        "webhook_deliveries",
        "webhooks",
    ]
)
"""State: rows are updated and deleted."""
KEPT: Final = frozenset(["billing_profiles", "bookings", "connector_codes", "tariffs"])
"""Updated, never deleted."""
IN_PARTS: Final = {
    "events": ({"position"}, True),
    "holds": ({"released_at"}, False),
    "payouts": ({"status", "ended_at", "ended_by"}, False),
    "transaction_stops": ({"id_tag"}, False),
}
"""Columns that may be updated, and whether rows may be deleted."""
APPENDED: Final = frozenset(
    [
        "alembic_version",
        "audit_log",
        "balance_snapshots",
        "bank_movements",
        "bank_postings",
        "closed_days",
        "no_show_postings",
        "credit_limits",
        "decisions",
        "installation",
        "interim_balances",
        "ledger_accounts",
        "message_log",
        "meter_values",
        "payment_symbols",
        "receipts",
        "security_events",
        "settlements",
        "tariff_assignments",
        "tariff_versions",
        "transfers",
    ]
)
"""What happened: nothing of it is changed or taken away; old partitions are dropped by a function of the owner's."""


async def test_every_table_may_be_changed_as_it_is_said_here(database: DatabaseUrls) -> None:
    connection = await asyncpg.connect(database.application)
    try:
        rows = await connection.fetch(GRANTED)
    finally:
        await connection.close()
    rights = {row["name"]: (set(row["rights"]), set(row["columns"])) for row in rows}
    tables = {name for name in rights if name.partition("_p2")[0].removesuffix("_pdefault") == name}
    assert tables == CHANGED | KEPT | APPENDED | set(IN_PARTS)
    assert set(metadata.tables) <= tables
    for name, (may, columns) in rights.items():
        expected = {"update", "delete"} if name in CHANGED else {"update"} if name in KEPT else set()
        some, may_delete = IN_PARTS.get(name, (set(), False))
        assert may == expected | ({"delete"} if may_delete else set()), name
        assert name in CHANGED | KEPT or columns == some, name


async def test_what_happened_cannot_be_taken_away(database: DatabaseUrls) -> None:
    connection = await asyncpg.connect(database.application)
    try:
        for table in sorted(APPENDED):
            for statement in (f"delete from {table}", f"truncate {table}", f"drop table {table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    finally:
        await connection.close()
