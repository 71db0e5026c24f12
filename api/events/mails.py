"""Which events are mailed as notices, and to whom: one table. What the mails say is in `api.mail.texts`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import orjson

from api.events.audience import Seen
from api.events.catalogue import Event
from api.mail.notices import Notice, post_notice
from api.mail.texts import plain

WANTED: Final = """
select d.user_id, d.kind, d.charge_point_id, c.name
from unnest($1::uuid[], $2::text[], $3::uuid[]) with ordinality as d (user_id, kind, charge_point_id, number)
join users u on u.id = d.user_id and d.kind = any(u.mail_notices) join charge_points c on c.id = d.charge_point_id
order by d.number
"""


@dataclass(frozen=True, slots=True)
class Mailed:
    """A notice, to whom, and which field of the event's data has to be true for it, if any."""

    notice: Notice
    to: Literal["owner", "person"]
    if_true: str | None = None


MAILED: Final[dict[str, Mailed]] = {
    "security.event": Mailed("security", "owner", "is_critical"),
    "transaction.held": Mailed("held", "owner"),
    "transaction.settled": Mailed("receipt", "person"),
}
"""By the type of the event."""


async def post_mails(connection: asyncpg.Connection, events: Sequence[Event], seen: Seen, now: datetime) -> None:
    """Writes the notices of events that are numbered, once each, in this transaction."""
    due = [
        (reader, mailed.notice, event.charge_point_id)
        for event in events
        if (mailed := MAILED.get(event.type)) is not None
        and _is_met(mailed, event)
        and (reader := _reader(mailed, event, seen)) is not None
    ]
    if not due:
        return
    for row in await connection.fetch(WANTED, *(list(column) for column in zip(*due, strict=True))):
        place = plain(row["name"])
        await post_notice(connection, row["kind"], row["user_id"], now, row["charge_point_id"], place=place)


def _is_met(mailed: Mailed, event: Event) -> bool:
    return mailed.if_true is None or orjson.loads(event.data).get(mailed.if_true) is True


def _reader(mailed: Mailed, event: Event, seen: Seen) -> UUID | None:
    viewers = seen.get(event.charge_point_id) if event.charge_point_id is not None else None
    if mailed.to == "owner":
        return viewers.owner_id if viewers is not None else None
    return event.person_id
