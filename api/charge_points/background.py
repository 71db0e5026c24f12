"""What Voltuj asks of a charge point by itself, after it was accepted and never in front of its own messages.

StatusNotification where none came, and the automatic configuration, once a firmware. Commands are committed here as
rows and published by the sweeper, like any that lost their publisher.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

SETTLE: Final = timedelta(seconds=15)
"""After a boot a charge point has a queue to send: its statuses, and what happened while it was offline."""
STATUS_OVERDUE: Final = timedelta(seconds=60)
"""4.2: after Accepted it sends StatusNotification for connector 0 and each other; else it is asked."""
STATUS_TOO_LATE: Final = timedelta(hours=1)
DEADLINE: Final = timedelta(seconds=60)
MOST_ATTEMPTS: Final = 3
LIMIT: Final = 20
"""Charge points a turn, so that a power cut in a whole town does not end in a burst of commands."""

KEYS: Final = (
    ("MeterValueSampleInterval", ("60",)),
    (
        "MeterValuesSampledData",
        ("Energy.Active.Import.Register,Power.Active.Import", "Energy.Active.Import.Register"),
    ),
    ("WebSocketPingInterval", ("60",)),
    ("AuthorizeRemoteTxRequests", ("false",)),
)
"""Each key with the values that are tried in turn until one is not rejected (9.1; J 5.3)."""
PENDING: Final = "pending"
RETRIED: Final = frozenset({"offline", "timeout", "unknown"})
"""The charge point did not answer: it is asked again."""

CONNECTED: Final = """
c.deleted_at is null and c.registration = 'Accepted' and c.connected_at is not null
    and (c.disconnected_at is null or c.disconnected_at < c.connected_at)
"""
REQUEST_STATUS: Final = f"""
with silent as (
    update charge_points c set status_requested_boot = c.boot_count
    where c.id in (
        select c.id from charge_points c
        where {CONNECTED} and c.status_requested_boot < c.boot_count
            and c.booted_at between $1::timestamptz - $3::interval and $1::timestamptz - $2::interval
            and not exists (
                select 1 from connectors k where k.charge_point_id = c.id and k.received_at >= c.booted_at)
        order by c.id limit {LIMIT} for update skip locked
    )
    returning c.id, c.owner_id, c.connection_epoch
)
insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at, created_at, note)
select id, owner_id, 'TriggerMessage', $4, connection_epoch, $1::timestamptz + $5::interval, $1,
    'asked by Voltuj: no StatusNotification came after the boot'
from silent
"""  # noqa: S608 - our own names
BEGIN: Final = f"""
insert into auto_configurations (charge_point_id, firmware_version, status, items, started_at)
select c.id, coalesce(c.boot ->> 'firmwareVersion', ''), 'running', $3, $1 from charge_points c
where {CONNECTED} and c.auto_configuration and c.booted_at < $1::timestamptz - $2::interval
    and not exists (
        select 1 from auto_configurations a
        where a.charge_point_id = c.id and a.firmware_version = coalesce(c.boot ->> 'firmwareVersion', ''))
order by c.id limit {LIMIT}
on conflict do nothing
"""  # noqa: S608 - our own names
RUNNING: Final = f"""
select a.charge_point_id, a.firmware_version, a.items, c.owner_id, c.connection_epoch
from auto_configurations a join charge_points c on c.id = a.charge_point_id
where a.status = 'running' and {CONNECTED} and c.auto_configuration
    and c.booted_at < $1::timestamptz - $2::interval
order by a.charge_point_id limit {LIMIT} for update of a skip locked
"""  # noqa: S608 - our own names
SAVE: Final = """
update auto_configurations set items = $3, status = $4, finished_at = case when $4 = 'done' then $5::timestamptz end
where charge_point_id = $1 and firmware_version = $2
"""
ASK: Final = """
insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at, created_at, note)
values ($1, $2, 'ChangeConfiguration', $3, $4, $5::timestamptz + $6::interval, $5, 'automatic configuration')
returning id
"""
OUTCOME: Final = "select status, response from commands where id = $1"


def planned() -> list[dict[str, Any]]:
    """What an automatic configuration sets out to do."""
    return [{"key": key, "value": values[0], "status": PENDING, "attempts": 0} for key, values in KEYS]


async def request_missing_statuses(connection: asyncpg.Connection, now: datetime) -> None:
    """Triggers StatusNotification, for all connectors at once, where none came after a boot; once a boot."""
    payload = {"requestedMessage": "StatusNotification"}
    await connection.execute(REQUEST_STATUS, now, STATUS_OVERDUE, STATUS_TOO_LATE, payload, DEADLINE)


async def configure(connection: asyncpg.Connection, now: datetime) -> None:
    """Begins automatic configurations that are due, and takes those that run a step further: one command at a time."""
    await connection.execute(BEGIN, now, SETTLE, planned())
    for row in await connection.fetch(RUNNING, now, SETTLE):
        items = row["items"]
        item = next((each for each in items if each["status"] == PENDING), None)
        if item is None:
            await _save(connection, row, "done", now)
            continue
        if command_id := item.get("command_id"):
            outcome = await connection.fetchrow(OUTCOME, command_id)
            if outcome["status"] in {"queued", "sent"}:
                continue
            settle(item, outcome["status"], outcome["response"])
        if item["status"] == PENDING:
            await _ask(connection, row, item, now)
        await _save(connection, row, "running", now)


def settle(item: dict[str, Any], status: str, response: Mapping[str, Any] | None) -> None:
    """Writes down how the charge point answered; the item stays pending where there is more to try. Pure."""
    del item["command_id"]
    answer = str((response or {}).get("status", status))
    values = next(values for key, values in KEYS if key == item["key"])
    following = values.index(item["value"]) + 1
    if status in RETRIED and item["attempts"] < MOST_ATTEMPTS:
        return
    if answer == "Rejected" and following < len(values):
        item |= {"value": values[following], "attempts": 0}
        return
    item["status"] = answer


async def _ask(connection: asyncpg.Connection, row: Mapping[str, Any], item: dict[str, Any], now: datetime) -> None:
    payload = {"key": item["key"], "value": item["value"]}
    command_id = await connection.fetchval(
        ASK, row["charge_point_id"], row["owner_id"], payload, row["connection_epoch"], now, DEADLINE
    )
    item |= {"command_id": str(command_id), "attempts": item["attempts"] + 1}


async def _save(connection: asyncpg.Connection, row: Mapping[str, Any], status: str, now: datetime) -> None:
    await connection.execute(SAVE, row["charge_point_id"], row["firmware_version"], row["items"], status, now)
