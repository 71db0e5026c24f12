"""`python -m api.listener`: makes the parts, runs them until SIGTERM or SIGINT, and ends in order. No rules here."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import uuid
from typing import Final

import structlog
from prometheus_client import start_http_server

from api.bus import Bus, end_tasks, make_bus
from api.database import make_pool
from api.listener.chores import (
    BACKGROUND_EVERY_S,
    BOOKINGS_EVERY_S,
    CLOSE_BOOKS_EVERY_S,
    FOLLOW_EVERY_S,
    LIMITS_EVERY_S,
    LIVE_EVERY_S,
    MAIL_EVERY_S,
    PARTITIONS_EVERY_S,
    SETTLE_EVERY_S,
    SWEEP_EVERY_S,
    Follower,
    LiveKeeper,
    Sweeper,
    close_books,
    drop_expired,
    every,
    forget,
    keep_bookings,
    make_partitions,
    send_mails,
    settle_due,
    settle_no_shows,
    stop_at_limits,
    work_in_background,
)
from api.listener.dispatch import Dispatch
from api.listener.event_chores import (
    FORGET_EVERY_S,
    NUMBER_EVERY_S,
    TELL_EVERY_S,
    forget_events,
    number_events,
    tell_metered,
)
from api.listener.membership import Membership
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from api.listener.webhook_chores import DELIVER_EVERY_S, Postman
from api.logs import configure_logs
from api.settings import Settings, SettingsError, read_settings

log = structlog.get_logger(__name__)

YOUNG_OBJECTS: Final = 10_000
"""After so many new ones garbage is collected: after 700, Python's default, is once in a few messages."""
FINISH_TIMEOUT_S: Final = 20.0
"""What was taken is done or past its deadline of 15 s by then."""


async def run(settings: Settings, stop: asyncio.Event) -> int:
    """Serves until `stop`; then gives up the inbox, finishes what was taken, and sends the answers.

    Returns the exit status: 1 where a part of the process broke, so that whatever watches it starts a new one.
    """
    listener_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(listener_id=listener_id)
    if settings.listener_metrics_port:
        start_http_server(settings.listener_metrics_port, addr=settings.listener_metrics_host)
    bus, pool = make_bus(settings), await make_pool(settings)
    storage = Storage(pool)
    outbox = Outbox(bus)
    dispatch = Dispatch(storage, outbox, settings.database_pool_size)
    membership = Membership(bus, storage, bus.channels.listener_inbox(listener_id), dispatch.accept)
    vital = [asyncio.create_task(dispatch.run()), asyncio.create_task(storage.watch())]
    background = list(vital)
    postman = Postman(storage, loopback=settings.webhook_loopback)
    for task in vital:
        task.add_done_callback(lambda _: stop.set())

    async def start_chores() -> None:
        if background == vital:
            background.extend(chores(settings, storage, bus, outbox, listener_id))
            background.append(asyncio.create_task(every(DELIVER_EVERY_S, postman.deliver)))

    try:
        await membership.keep(stop, start_chores)
        broken = [task.exception() for task in vital if task.done()]
        log.info("stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if broken else FINISH_TIMEOUT_S):
                await dispatch.finish()
    finally:
        await end_tasks(*background)
        await postman.end()
        await bus.close()
        pool.terminate()
    if broken:
        log.critical("a part of the listener broke", exc_info=broken[0])
        return 1
    log.info("stopped")
    return 0


def chores(
    settings: Settings, storage: Storage, bus: Bus, outbox: Outbox, listener_id: str
) -> list[asyncio.Task[None]]:
    """The tasks that run by the clock, from the moment that the database is known to be migrated."""
    return [
        asyncio.create_task(every(SWEEP_EVERY_S, Sweeper(storage, bus).sweep)),
        asyncio.create_task(every(FOLLOW_EVERY_S, Follower(storage, settings).follow)),
        asyncio.create_task(every(SETTLE_EVERY_S, lambda: settle_due(storage, settings.platform_fee_bp))),
        asyncio.create_task(every(LIMITS_EVERY_S, lambda: stop_at_limits(storage))),
        asyncio.create_task(every(BOOKINGS_EVERY_S, lambda: keep_bookings(storage))),
        asyncio.create_task(every(SETTLE_EVERY_S, lambda: settle_no_shows(storage))),
        asyncio.create_task(every(CLOSE_BOOKS_EVERY_S, lambda: close_books(storage))),
        asyncio.create_task(every(LIVE_EVERY_S, LiveKeeper(storage, bus, listener_id).keep)),
        asyncio.create_task(every(BACKGROUND_EVERY_S, lambda: work_in_background(storage))),
        asyncio.create_task(every(NUMBER_EVERY_S, lambda: number_events(storage, bus))),
        asyncio.create_task(every(TELL_EVERY_S, lambda: tell_metered(outbox, bus))),
        asyncio.create_task(every(FORGET_EVERY_S, lambda: forget_events(storage))),
        asyncio.create_task(every(PARTITIONS_EVERY_S, lambda: make_partitions(storage))),
        asyncio.create_task(every(PARTITIONS_EVERY_S, lambda: drop_expired(storage, settings))),
        asyncio.create_task(every(MAIL_EVERY_S, lambda: send_mails(storage, settings))),
        asyncio.create_task(every(PARTITIONS_EVERY_S, lambda: forget(storage))),
    ]


async def serve(settings: Settings) -> int:
    """Runs until the first SIGTERM or SIGINT; returns the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await run(settings, stop)


def main() -> int:
    """The entry of the process; returns its exit status."""
    try:
        settings = read_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before the log is set up, for a person
        return 2
    configure_logs(settings)
    gc.set_threshold(YOUNG_OBJECTS)
    gc.collect()
    gc.freeze()  # what the imports made stays: every full collection went through it, for 50 to 90 ms between answers
    try:
        import uvloop  # noqa: PLC0415 - it has no build for every system
    except ImportError:
        return asyncio.run(serve(settings))
    return uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
