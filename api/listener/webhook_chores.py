"""Delivers webhooks beside everything else that a listener does. Which are due and may be sent is `api.events`'s.

Bounded in all and for each host, so that a receiver that is slow harms nobody else.
"""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import structlog

from api.events.catalogue import Event
from api.events.deliveries import MOST_OF_HOST, MOST_UNDER_WAY, Delivery, delivered, take_due, undelivered
from api.events.posting import UndeliveredError, post, signature
from api.listener.storage import Storage

log = structlog.get_logger(__name__)

DELIVER_EVERY_S: Final = 0.25


class Postman:
    """Takes deliveries that are due and sees each through in a task of its own."""

    def __init__(self, storage: Storage, *, loopback: bool) -> None:
        self._storage = storage
        self._loopback = loopback
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_host: Counter[str] = Counter()

    async def deliver(self) -> None:
        """One turn: takes what there is room for."""
        if len(self._tasks) >= MOST_UNDER_WAY:
            return
        now = datetime.now(UTC)
        busy = [host for host, count in self._of_host.items() if count >= MOST_OF_HOST]
        for delivery in await self._storage.attempt(lambda connection: take_due(connection, busy, now)):
            self._of_host[delivery.host] += 1
            task = asyncio.create_task(self._see_through(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _see_through(self, delivery: Delivery) -> None:
        try:
            await self._deliver(delivery)
        except Exception as error:  # noqa: BLE001 - its lease ends, and it is tried again
            log.warning("a delivery could not be written down", delivery_id=str(delivery.id), error=str(error))
        finally:
            self._of_host[delivery.host] -= 1
            if not self._of_host[delivery.host]:
                del self._of_host[delivery.host]

    async def _deliver(self, delivery: Delivery) -> None:
        body = delivery.event.envelope()
        try:
            status = await post(delivery.url, body, headers(delivery, delivery.event, body), loopback=self._loopback)
        except UndeliveredError as error:
            reason, answered, now = str(error), error.status, datetime.now(UTC)
            log.info(
                "webhook not delivered", webhook_id=str(delivery.webhook_id), attempts=delivery.attempts, why=reason
            )
            await self._storage.attempt(lambda connection: undelivered(connection, delivery, reason, answered, now))
        else:
            await self._storage.attempt(lambda connection: delivered(connection, delivery, status))

    async def end(self) -> None:
        """Gives up what is under way; its leases end, and another listener delivers it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def headers(delivery: Delivery, event: Event, body: bytes) -> dict[str, str]:
    """What says whose event this is, and that it is from us."""
    return {
        "Voltuj-Signature": signature(delivery.secret, int(time.time()), body),
        "Voltuj-Event": event.type,
        "Voltuj-Event-Id": str(event.public_id),
        "Voltuj-Delivery-Id": str(delivery.id),
    }
