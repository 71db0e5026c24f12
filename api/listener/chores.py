"""What a listener does by the clock: commands, settling, live state, mails, partitions. No message is read here."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import asyncpg
import msgspec
import structlog
from redis.exceptions import RedisError

from api import idempotency
from api.bus import Bus
from api.charge_points import background, command_state, reservations
from api.charge_points.certificates import sign_requested
from api.charge_points.live import LIVE_TTL_S
from api.charge_points.live_rebuild import Known, pages
from api.charge_points.remote_start import give_up
from api.credit.holds import release_ended
from api.listener.failures import UnavailableError
from api.listener.outbox import SET_LIVE, live_change
from api.listener.storage import Storage
from api.mail import sending
from api.mail.transport import make_deliver
from api.settings import Settings
from api.settlement.no_shows import settle_next_no_show
from api.settlement.settling import SESSIONS_FAULT, settle_next, settle_plain
from api.settlement.snapshots import close_what_is_over
from api.sharing import booking_keeping
from api.transactions import limit_stops
from wire.messages import Command

log = structlog.get_logger(__name__)

SWEEP_EVERY_S: Final = 1.0
FOLLOW_EVERY_S: Final = 1.0
SETTLE_EVERY_S: Final = 1.0
MOST_SETTLED: Final = 1000
"""Sessions that one turn settles at most; what is left waits for the next."""
SETTLED_TOGETHER: Final = 50
"""Sessions in one database transaction; an owner's other sessions wait for its commit (receipts have no gaps)."""
LIMITS_EVERY_S: Final = 1.0
MOST_LIMIT_ROUNDS: Final = 50
LIVE_EVERY_S: Final = 1.0
BACKGROUND_EVERY_S: Final = 2.0
BOOKINGS_EVERY_S: Final = 1.0
CLOSE_BOOKS_EVERY_S: Final = 3600.0
MAIL_EVERY_S: Final = 1.0
PARTITIONS_EVERY_S: Final = 24 * 3600.0
RETRY_EVERY_S: Final = 5.0
FORGET_EMAIL_TOKENS: Final = "delete from email_tokens where expires_at < $1"
FORGET_ANSWERS: Final = "delete from idempotency_keys where created_at < $1"
GONE: Final = "The connection for which it was meant is gone."
REBUILD_LEASE_S: Final = 10
"""A listener that dies while it rebuilds is followed by another after this long."""


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Runs for ever. Servers that are away are waited for; a bug is logged, and the next turn comes all the same."""
    while True:
        pause_s = seconds
        try:
            await chore()
        except (UnavailableError, RedisError, OSError) as error:
            log.debug("a chore waits for its turn", error=str(error))
            pause_s = min(seconds, RETRY_EVERY_S)
        except Exception:
            log.exception("a chore failed")
        await asyncio.sleep(pause_s)


async def make_partitions(storage: Storage) -> None:
    """Months ahead of time, so that no row ever waits for one."""
    await storage.attempt(lambda connection: connection.execute("select ensure_partitions()"))


async def work_in_background(storage: Storage) -> None:
    """What is asked of charge points by Voltuj itself."""
    now = datetime.now(UTC)
    await storage.attempt(lambda connection: background.request_missing_statuses(connection, now))
    await storage.attempt(lambda connection: background.configure(connection, now))


async def drop_expired(storage: Storage, settings: Settings) -> None:
    """Retention by data class: months of frames and of meter values that are wholly past their time."""
    days, months = settings.message_log_days, settings.meter_values_months
    rows = await storage.attempt(
        lambda connection: connection.fetch("select drop_expired($1, $2) as name", days, months)
    )
    if rows:
        log.info("expired partitions dropped", partitions=[row["name"] for row in rows])


async def settle_due(storage: Storage, fee_bp: int) -> None:
    """Settles what is due, plain sessions together, others each alone; listeners share the work by its locks."""
    plain_alone = False

    async def settle_some(connection: asyncpg.Connection) -> int:
        return await settle_plain(connection, fee_bp, datetime.now(UTC), SETTLED_TOGETHER)

    async def settle_one(connection: asyncpg.Connection) -> bool:
        return await settle_next(connection, fee_bp, datetime.now(UTC), but_plain=not plain_alone) is not None

    try:
        for _ in range(MOST_SETTLED // SETTLED_TOGETHER):
            if await storage.attempt(settle_some) < SETTLED_TOGETHER:
                break
    except SESSIONS_FAULT as error:
        log.info("sessions are settled one by one", error=str(error))
        plain_alone = True
    for _ in range(MOST_SETTLED):
        if not await storage.attempt(settle_one):
            return


async def stop_at_limits(storage: Storage) -> None:
    """Stops sessions that have taken what they may; listeners share the work by its locks."""
    now = datetime.now(UTC)
    for _ in range(MOST_LIMIT_ROUNDS):
        if not await storage.attempt(lambda connection: limit_stops.note_reached(connection, now)):
            break
    for row in await storage.attempt(lambda connection: limit_stops.ask_to_stop(connection, now)):
        log.info("session stopped at its limit", transaction_id=str(row["public_id"]), limit=row["limit_reached"],
                 charge_point_id=str(row["charge_point_id"]))  # fmt: skip


async def close_books(storage: Storage) -> None:
    """Balances at the end of months and days, so that they are never sums over all that ever was.

    Nothing opens a day again, so the database's clock must say too that it is over.
    """

    async def close(connection: asyncpg.Connection) -> None:
        now = min(datetime.now(UTC), await connection.fetchval("select now()"))
        await close_what_is_over(connection, now)

    await storage.attempt(close)


async def send_mails(storage: Storage, settings: Settings) -> None:
    """Sends what the outbox holds; listeners share the work by its locks."""
    await sending.send_due(storage.attempt, make_deliver(settings))


async def forget(storage: Storage) -> None:
    """Rows about people that nobody needs any more: mails of long ago, secrets and answers that count no more."""
    now = datetime.now(UTC)
    await storage.attempt(lambda connection: sending.forget_old(connection, now))
    await storage.attempt(lambda connection: connection.execute(FORGET_EMAIL_TOKENS, now))
    await storage.attempt(lambda connection: connection.execute(FORGET_ANSWERS, now - idempotency.KEPT))


async def keep_bookings(storage: Storage) -> None:
    """What bookings come to by the clock; listeners share the work by their locks."""
    now = datetime.now(UTC)
    for step in booking_keeping.STEPS:
        await storage.attempt(partial(step, now=now))


async def settle_no_shows(storage: Storage) -> None:
    """Settles what is due for bookings that nobody came for, each in a database transaction of its own."""

    async def settle_one(connection: asyncpg.Connection) -> bool:
        return await settle_next_no_show(connection, datetime.now(UTC)) is not None

    for _ in range(MOST_SETTLED):
        if not await storage.attempt(settle_one):
            return


class Sweeper:
    """Ends commands that nobody will end, and publishes those that were committed and forgotten."""

    def __init__(self, storage: Storage, bus: Bus) -> None:
        self._storage = storage
        self._bus = bus

    async def sweep(self) -> None:
        """One turn."""
        now = datetime.now(UTC)
        for row in await self._storage.attempt(lambda connection: command_state.end_overdue(connection, now)):
            log.warning("command ended overdue", command_id=str(row["id"]), status=row["status"],
                        charge_point_id=str(row["charge_point_id"]), action=row["action"])  # fmt: skip
        await self._storage.attempt(lambda connection: self._publish_forgotten(connection, now))

    async def _publish_forgotten(self, connection: asyncpg.Connection, now: datetime) -> None:
        """Published under the row's lock; a gateway that has had it already ignores the repeat of its id."""
        published: list[str] = []
        offline: list[str] = []
        for command in await command_state.unpublished(connection, now):
            reached = await self._publish(command)
            (published if reached else offline).append(command.id)
        if published:
            await command_state.mark_published(connection, published, now)
        if offline:
            await command_state.mark_offline(connection, offline, GONE, now)

    async def _publish(self, command: Command) -> bool:
        holder = await self._bus.connection_of(command.charge_point_id)
        if holder is None or holder.epoch != command.epoch:
            return False
        return await self._bus.publish(self._bus.channels.gateway_inbox(holder.gateway_id), [command]) > 0


class Follower:
    """What follows from commands by the clock: attempts that came to nothing, reservations and holds, certificates."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._time_out = timedelta(seconds=settings.connection_time_out_s)
        self._ca_password = settings.ca_password.get_secret_value()

    async def follow(self) -> None:
        """One turn."""
        now = datetime.now(UTC)
        for row in await self._storage.attempt(lambda connection: give_up(connection, self._time_out, now)):
            log.info("remote start without a transaction", command_id=str(row["id"]),
                     charge_point_id=str(row["charge_point_id"]))  # fmt: skip
        await self._storage.attempt(lambda connection: reservations.expire(connection, now))
        await self._storage.attempt(lambda connection: release_ended(connection, now))
        await self._storage.attempt(lambda connection: sign_requested(connection, self._ca_password, now))


class LiveKeeper:
    """Notices that Redis was emptied, and fills the live state from PostgreSQL: one listener of all does it."""

    def __init__(self, storage: Storage, bus: Bus, listener_id: str) -> None:
        self._storage = storage
        self._bus = bus
        self._listener_id = listener_id

    async def keep(self) -> None:
        """One turn."""
        marker = self._bus.channels.live_marker
        if not await self._bus.redis.set(marker, self._listener_id, nx=True, ex=REBUILD_LEASE_S):
            return
        try:
            count = await self._storage.attempt(self._rebuild)
        except BaseException:
            with contextlib.suppress(RedisError, OSError):
                await self._bus.redis.delete(marker)
            raise
        await self._bus.redis.set(marker, self._listener_id)
        log.info("live state rebuilt", charge_points=count)

    async def _rebuild(self, connection: asyncpg.Connection) -> int:
        count = 0
        async for page in pages(connection):
            await self._fill(page)
            await self._bus.redis.expire(self._bus.channels.live_marker, REBUILD_LEASE_S)
            count += len(page)
        return count

    async def _fill(self, page: list[Known]) -> None:
        channels = self._bus.channels
        changes = [live_change(channels.live(known.charge_point_id), known.epoch, known.fields) for known in page]
        await self._bus.redis.eval(SET_LIVE, 0, msgspec.msgpack.encode(changes), str(LIVE_TTL_S), "1")
