"""The fee for a booking that nobody came for: from the booking to a revision in the ledger. Nothing here commits.

The caller holds the row of the booking; a unique constraint on (booking, revision) backs that up.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from api.accounting.postings import correct, post_no_show
from api.settlement.ledger import NoShow, add_no_show, open_parties, posted_for_booking

DELAY: Final = timedelta(minutes=15)
"""A Start that is on its way when a booking ends still uses it."""
DUE: Final = """
select b.id, b.user_id, b.owner_id, b.currency, case when b.is_no_show then b.no_show_fee_minor else 0 end as due_minor,
    c.time_zone
from bookings b join charge_points c on c.id = b.charge_point_id
where b.settled_minor <> case when b.is_no_show then b.no_show_fee_minor else 0 end
    and b.ended_at < $1::timestamptz - $2::interval
order by b.id limit 1 for update of b skip locked
"""
SETTLED: Final = "update bookings set settled_minor = $2 where id = $1"


async def settle_next_no_show(connection: asyncpg.Connection, now: datetime) -> UUID | None:
    """Settles a booking whose fee is due, or was and turned out not to be; None where there is none."""
    row = await connection.fetchrow(DUE, now, DELAY)
    if row is None:
        return None
    booking_id: UUID = row["id"]
    parties = await open_parties(connection, row["user_id"], row["owner_id"], 0)
    due = post_no_show(row["due_minor"], row["currency"], str(parties.driver), str(parties.owner))
    transfers = correct(await posted_for_booking(connection, booking_id), due)
    booked_on = now.astimezone(ZoneInfo(row["time_zone"])).date()
    await add_no_show(connection, NoShow(booking_id, parties, row["currency"], row["due_minor"]), transfers, booked_on)
    await connection.execute(SETTLED, booking_id, row["due_minor"])
    return booking_id
