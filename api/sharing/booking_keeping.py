"""What becomes of bookings by the clock and by what charge points report: used, ended, told to the charge point.

Nothing is published here: commands are committed as rows, and the sweeper publishes them. Making and cancelling is
`bookings`'s.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg

from api.charge_points.background import CONNECTED, DEADLINE
from api.charge_points.timestamps import format_timestamp
from api.sharing.authorization import authorize_throughout
from api.sharing.bookings import NO_SHOW

LATE: Final = timedelta(days=2)
"""A Start that a charge point kept in its queue is looked for so long after the booking that it used."""
TOO_SHORT: Final = timedelta(seconds=30)
"""What is left of a booking, for a charge point to be told of it."""
LIMIT: Final = 100

USED: Final = """
update bookings b set status = 'used', ended_at = {now}::timestamptz, transaction_id = t.id, is_no_show = false
from {sessions} t
where t.charge_point_id = b.charge_point_id and t.connector_id = b.connector_id and t.driver_id = b.user_id
    and t.started_at < b.ends_at and coalesce(t.stopped_at, 'infinity') > b.starts_at and {which}
"""
USED_BY_RUNNING: Final = USED.format(
    now="$1",
    sessions="transactions",
    which="b.status = 'standing' and b.starts_at <= $1 and t.status = 'active' and t.started_at <= b.starts_at",
)
"""Who came early charges already when the booking begins."""
UNUSABLE: Final = """
update bookings b set ended_at = $1::timestamptz, status = found.status
from (
    select b.id, lower(coalesce(k.status, r.status)) as status
    from bookings b
    left join connectors k on k.charge_point_id = b.charge_point_id and k.connector_id in (0, b.connector_id)
        and k.status in ('Faulted', 'Unavailable')
    left join reservations r on r.command_id = b.command_id and r.status in ('faulted', 'unavailable')
    where b.status = 'standing' and b.starts_at <= $1 and b.ends_at > $1 and coalesce(k.status, r.status) is not null
    order by b.id limit 100 for update of b skip locked
) as found
where b.id = found.id
"""
EXPIRE: Final = f"""
update bookings b set status = 'expired', ended_at = b.ends_at, is_no_show = {NO_SHOW}
from charge_points c
where c.id = b.charge_point_id and b.id in (
    select id from bookings where status = 'standing' and ends_at <= $1
    order by id limit {LIMIT} for update skip locked)
"""  # noqa: S608 - our own words
DOUBTFUL: Final = f"""
select b.id, b.charge_point_id, b.id_tag, b.connector_id, b.starts_at, b.ends_at, b.owner_id = c.owner_id as same_owner
from bookings b
join charge_points c on c.id = b.charge_point_id
left join grants g on g.id = b.grant_id
left join id_tags t on t.tag = b.id_tag
where b.status = 'standing' and b.ends_at > $1 and (
    c.owner_id <> b.owner_id or c.deleted_at is not null or t.blocked is not false
    or g.revoked_at is not null or g.id is not null and c.visibility = 'private'
    or g.audience = 'public' and c.visibility <> 'public' or g.location_id <> c.location_id
    or g.location_id is not null and c.location_id is null
    or g.group_id is not null and not exists (
        select from group_members m where m.group_id = g.group_id and m.user_id = b.user_id))
order by b.id limit {LIMIT} for update of b skip locked
"""  # noqa: S608 - our own words
"""Standing bookings of which what they rest on has changed: they are decided anew."""
KEEP: Final = "update bookings set grant_id = $2 where id = $1"
WITHDRAW: Final = "update bookings set status = 'withdrawn', ended_at = $2 where id = $1"
TO_TELL: Final = f"""
select b.id, b.charge_point_id, b.connector_id, b.user_id, b.id_tag, b.parent_tag, b.ends_at, c.connection_epoch
from bookings b
join charge_points c on c.id = b.charge_point_id
left join commands m on m.id = b.command_id
where b.status = 'standing' and b.starts_at <= $1 and b.ends_at > $1::timestamptz + $2::interval and {CONNECTED}
    and (m.id is null or m.status = 'offline' and m.epoch < c.connection_epoch)
    and not exists (
        select from configuration_keys k where k.charge_point_id = c.id and k.name = 'supportedfeatureprofiles'
            and k.value !~* '\\mReservation\\M')
    and not exists (
        select from commands n where n.charge_point_id = c.id and n.action = 'ReserveNow' and n.status = 'call_error'
            and n.error_code in ('NotSupported', 'NotImplemented'))
order by b.id limit {LIMIT} for update of b skip locked
"""  # noqa: S608 - our own words
"""Not to a charge point that says that it cannot (9.1.24 SupportedFeatureProfiles), or has said so."""
TO_RELEASE: Final = f"""
select b.id, b.charge_point_id, r.reservation_id, c.connection_epoch
from bookings b
join charge_points c on c.id = b.charge_point_id
join reservations r on r.command_id = b.command_id
where b.status in ('cancelled', 'withdrawn') and b.release_command_id is null
    and r.status in ('requested', 'accepted') and r.expires_at > $1 and {CONNECTED}
order by b.id limit {LIMIT} for update of b skip locked
"""  # noqa: S608 - our own words
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('reservations:' || $1::text, 0))"
NEXT_NUMBER: Final = "select coalesce(max(reservation_id), 0) + 1 from reservations where charge_point_id = $1"
ASK: Final = """
insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at, created_at, note)
values ($1, $2, $3, $4, $5, $6::timestamptz + $7::interval, $6, 'asked by Voltuj: a connector was reserved')
returning id
"""
RECORD: Final = """
insert into reservations (charge_point_id, reservation_id, connector_id, user_id, id_tag, parent_id_tag, expires_at,
    command_id, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
TOLD: Final = "update bookings set command_id = $2 where id = $1"
RELEASED: Final = "update bookings set release_command_id = $2 where id = $1"


class Step(Protocol):
    """One thing that is done by the clock, in a database transaction of its own."""

    async def __call__(self, connection: asyncpg.Connection, /, now: datetime) -> None: ...


def used_by(sessions: str, *, now: str, late: str) -> str:
    """The statement that ends the booking in whose time a session begins, by whichever tag of its holder's.

    Also one that has expired, where the charge point delivers the Start `late` (`LATE`). All are SQL expressions:
    beside the one that makes the session, this needs no round trip of its own.
    """
    is_open = f"b.status = 'standing' or b.status = 'expired' and b.ends_at > {now}::timestamptz - {late}::interval"
    return USED.format(now=now, sessions=sessions, which=f"b.starts_at <= {now} and ({is_open})")


async def begin_used(connection: asyncpg.Connection, now: datetime) -> None:
    """Bookings whose holder was charging there when they began."""
    await connection.execute(USED_BY_RUNNING, now)


async def end_doubtful(connection: asyncpg.Connection, now: datetime) -> None:
    """Bookings whose holder may charge there no more; another grant may carry them on."""
    for row in await connection.fetch(DOUBTFUL, now):
        where = (row["charge_point_id"], row["id_tag"], row["connector_id"])
        starts_at = max(row["starts_at"], now)
        decision = await authorize_throughout(connection, *where, starts_at=starts_at, ends_at=row["ends_at"])
        if decision.accepted and row["same_owner"]:
            await connection.execute(KEEP, row["id"], decision.grant_id)
        else:
            await connection.execute(WITHDRAW, row["id"], now)


async def end_unusable(connection: asyncpg.Connection, now: datetime) -> None:
    """A connector that is Faulted or Unavailable keeps nothing (5.13): bookings whose time has come end."""
    await connection.execute(UNUSABLE, now)


async def expire(connection: asyncpg.Connection, now: datetime) -> None:
    """Bookings whose time is over, and whether their holder could have come and did not."""
    await connection.execute(EXPIRE, now)


async def tell(connection: asyncpg.Connection, now: datetime) -> None:
    """ReserveNow for bookings whose time has come, to charge points that are there and know it."""
    for row in await connection.fetch(TO_TELL, now, TOO_SHORT):
        await connection.execute(LOCK, str(row["charge_point_id"]))
        number = await connection.fetchval(NEXT_NUMBER, row["charge_point_id"])
        payload = {
            "connectorId": row["connector_id"],
            "expiryDate": format_timestamp(row["ends_at"]),
            "idTag": row["id_tag"],
            **({"parentIdTag": row["parent_tag"]} if row["parent_tag"] else {}),
            "reservationId": number,
        }
        command_id = await _ask(connection, row, row["user_id"], ("ReserveNow", payload), now)
        await connection.execute(
            RECORD,
            *(row["charge_point_id"], number, row["connector_id"], row["user_id"], row["id_tag"]),
            *(row["parent_tag"], row["ends_at"], command_id, now),
        )
        await connection.execute(TOLD, row["id"], command_id)


async def release(connection: asyncpg.Connection, now: datetime) -> None:
    """CancelReservation for bookings that ended early and that the charge point still keeps."""
    for row in await connection.fetch(TO_RELEASE, now):
        call = ("CancelReservation", {"reservationId": row["reservation_id"]})
        await connection.execute(RELEASED, row["id"], await _ask(connection, row, None, call, now))


async def _ask(
    connection: asyncpg.Connection,
    row: Mapping[str, Any],
    user_id: UUID | None,
    call: tuple[str, dict[str, Any]],
    now: datetime,
) -> UUID:
    action, payload = call
    made: UUID = await connection.fetchval(
        ASK, row["charge_point_id"], user_id, action, payload, row["connection_epoch"], now, DEADLINE
    )
    return made


STEPS: Final[tuple[Step, ...]] = (begin_used, end_doubtful, end_unusable, expire, tell, release)
"""In this order: whoever came early is no no-show, and nothing is told of what has ended."""
