"""Webhooks of a user: rules and queries. Nothing here commits or sends."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, Invalid
from api.events.addresses import RefusedError, parse_url
from api.events.audience import PERSON
from api.events.catalogue import PING
from api.events.numbering import GIVE_UP_AFTER
from api.paging import PageRequest, read_page
from api.schema import events, webhook_deliveries, webhooks

MOST_OF_ONE_USER: Final = 20
SWITCHED_OFF: Final = "Switched off by its owner."


async def list_own(
    connection: AsyncConnection, user_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The webhooks of a user, newest first."""
    query = select(webhooks).where(webhooks.c.user_id == user_id)
    return await read_page(connection, query, [webhooks.c.created_at, webhooks.c.id], paging)


async def find_own(connection: AsyncConnection, user_id: UUID, webhook_id: UUID) -> Row[Any]:
    """One webhook.

    Raises:
        NotFound: the user has no such one.
    """
    query = select(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.user_id == user_id)
    return await find_one(connection, query)


async def create(
    connection: AsyncConnection,
    user_id: UUID,
    *,
    url: str,
    types: Sequence[str],
    charge_point_ids: Sequence[UUID],
    loopback: bool,
    now: datetime,
) -> Row[Any]:
    """A new webhook with its secret.

    Raises:
        Invalid: the URL may not be one.
        Conflict: the user has as many as one may have.
    """
    try:
        target = parse_url(url, loopback=loopback)
    except RefusedError as error:
        raise Invalid.field("body.url", str(error)) from None
    mine = select(func.count()).select_from(webhooks).where(webhooks.c.user_id == user_id)
    if (await connection.execute(mine)).scalar_one() >= MOST_OF_ONE_USER:
        raise Conflict(f"There are {MOST_OF_ONE_USER} webhooks already. Remove one.")
    wanted = {"types": sorted(set(types)), "charge_point_ids": sorted(set(charge_point_ids))}
    values = {"user_id": user_id, "url": url, "host": target.host, "secret": secrets.token_urlsafe(32), **wanted}
    statement = insert(webhooks).values(**values, created_at=now).returning(webhooks)
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def edit(
    connection: AsyncConnection, webhook: Row[Any], changes: dict[str, Any], *, enabled: bool | None, now: datetime
) -> Row[Any]:
    """Changes the filter; enables it again, or disables it, and then nothing more is tried of what waits."""
    if enabled is True:
        changes = {**changes, "disabled_at": None, "disabled_reason": None}
    elif enabled is False and webhook.disabled_at is None:
        changes = {**changes, "disabled_at": now, "disabled_reason": SWITCHED_OFF}
        pending = (webhook_deliveries.c.webhook_id == webhook.id, webhook_deliveries.c.status == "pending")
        failed = {"status": "failed", "error": "the webhook was disabled"}
        await connection.execute(update(webhook_deliveries).where(*pending).values(**failed))
    if changes:
        await connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(**changes))
    return await find_own(connection, webhook.user_id, webhook.id)


async def remove(connection: AsyncConnection, user_id: UUID, webhook_id: UUID) -> None:
    """Removes it with its deliveries.

    Raises:
        NotFound: the user has no such one.
    """
    webhook = await find_own(connection, user_id, webhook_id)
    await connection.execute(delete(webhooks).where(webhooks.c.id == webhook.id))


def _deliveries() -> Any:  # noqa: ANN401 - a Select of mixed columns
    columns = (webhook_deliveries, events.c.type, events.c.public_id.label("public_event_id"))
    return select(*columns).join(events, events.c.id == webhook_deliveries.c.event_id)


async def list_deliveries(
    connection: AsyncConnection, webhook_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """What was sent to a webhook or waits, newest first."""
    table = webhook_deliveries
    query = _deliveries().where(table.c.webhook_id == webhook_id)
    return await read_page(connection, query, [table.c.created_at, table.c.id], paging)


async def ping(connection: AsyncConnection, webhook: Row[Any], now: datetime) -> Row[Any]:
    """A delivery of an event that means nothing.

    Raises:
        Conflict: the webhook is disabled.
    """
    _check_enabled(webhook)
    values = {"type": PING, "at": now, "person_id": webhook.user_id, "audience": PERSON}
    data = {"webhook_id": str(webhook.id)}
    event_id = (
        await connection.execute(insert(events).values(**values, data=data).returning(events.c.id))
    ).scalar_one()
    waiting = {"next_at": now, "give_up_at": now + GIVE_UP_AFTER, "created_at": now}
    statement = insert(webhook_deliveries).values(webhook_id=webhook.id, event_id=event_id, **waiting)
    delivery_id = (await connection.execute(statement.returning(webhook_deliveries.c.id))).scalar_one()
    return await _read_delivery(connection, webhook.id, delivery_id)


async def redeliver(connection: AsyncConnection, webhook: Row[Any], delivery_id: UUID, now: datetime) -> Row[Any]:
    """Sends once more what was delivered or given up.

    Raises:
        NotFound: the webhook has no such delivery.
        Conflict: the webhook is disabled, or the delivery waits already.
    """
    if (await _read_delivery(connection, webhook.id, delivery_id)).status == "pending":
        raise Conflict("This delivery waits for its turn already.")
    _check_enabled(webhook)
    again = {"status": "pending", "attempts": 0, "next_at": now, "give_up_at": now + GIVE_UP_AFTER}
    cleared = {"error": None, "response_status": None}
    this = webhook_deliveries.c.id == delivery_id
    await connection.execute(update(webhook_deliveries).where(this).values(**again, **cleared))
    return await _read_delivery(connection, webhook.id, delivery_id)


async def _read_delivery(connection: AsyncConnection, webhook_id: UUID, delivery_id: UUID) -> Row[Any]:
    query = _deliveries().where(webhook_deliveries.c.id == delivery_id, webhook_deliveries.c.webhook_id == webhook_id)
    return await find_one(connection, query)


def _check_enabled(webhook: Row[Any]) -> None:
    if webhook.disabled_at is not None:
        raise Conflict("This webhook is disabled. Enable it first.")
