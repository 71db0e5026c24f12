"""Stores transactions that begin: each with its number, the command that caused it, its price and its limits.

Whether a Start begins one is `start`'s to know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.charge_points import reservations
from api.sharing import booking_keeping
from api.sharing.decision import Decision
from api.tariffs.in_force import RULE, VERSION_COLUMNS, Version, find_version
from api.transactions.arrivals import CLOCK_DIFFERENCE, Arrival
from api.transactions.limits import limits_at_start
from api.transactions.transaction_id import ocpp_transaction_id

REMOTE_START_WINDOW: Final = timedelta(minutes=15)
"""Longest time from a RemoteStartTransaction to the Start that it caused: the person still has to plug in."""
LINK: Final = """
update commands set transaction_id = $1, note = case when gave_up_at is null then note end, gave_up_at = null
where id = $2
"""
PRICE: Final = RULE.format(
    charge_point_id="s.charge_point_id",
    grant_id="s.grant_id",
    at="coalesce(m.created_at, s.priced_at)",
    late="case when m.id is null then $8::interval else interval '0' end",
)
NUMBERS_COMMANDS_AND_PRICES: Final = f"""
select nextval(pg_get_serial_sequence('transactions', 'id')) as number, i.transaction_id_key as key,
    m.id as command_id, m.tariff_version_id as shown, m.currency as credit_currency, m.credit_minor,
    v.id, v.tariff_id, v.currency, v.elements::text as elements, v.terms::text as terms
from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[], $5::uuid[], $6::timestamptz[]) with ordinality
    as s (charge_point_id, id_tag, connector_id, at, grant_id, priced_at, place)
cross join installation i left join lateral (
    select c.id, c.created_at, c.tariff_version_id, h.currency, h.spendable_minor - coalesce((
        select sum(x.total_minor) from transactions x
        where x.driver_id = h.user_id and x.owner_id <> x.driver_id and x.currency = h.currency
            and x.stop_received_at > h.placed_at and x.stop_received_at <= s.at), 0)::bigint as credit_minor
    from commands c left join holds h on h.command_id = c.id
    where c.charge_point_id = s.charge_point_id and c.action = 'RemoteStartTransaction' and c.transaction_id is null
        and c.status in ('queued', 'sent', 'accepted', 'unknown')
        and upper(c.payload ->> 'idTag') = s.id_tag
        and coalesce((c.payload ->> 'connectorId')::integer, s.connector_id) = s.connector_id
        and c.created_at between s.at - $7::interval and s.at
    order by c.created_at desc limit 1
) m on true left join lateral ({PRICE}) v on m.tariff_version_id is null
order by s.place
"""  # noqa: S608 - our own statements
"""Of each Start the transaction's number, and the RemoteStartTransaction that caused it, where there is one (5.11),
with what the driver had to charge with then, less what sessions came to that have ended since. The price is the one in
force when the app started it, else at the start; none where the app showed one."""
INSERT: Final = f"""
with started as (
    insert into transactions (id, charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, driver_id,
        started_at, start_received_at, start_boot_count, meter_start_wh, occurrence, reservation_id, status,
        held_reasons, tariff_version_id, tariff, currency, grant_id, limit_energy_wh, limit_amount_minor,
        limit_credit_minor)
    overriding system value
    select s.id, s.charge_point_id, s.connector_id, s.ocpp_transaction_id, s.id_tag, s.id_tag_status, s.driver_id,
        s.started_at, s.received_at, s.boot_count, s.meter_start_wh, s.occurrence, s.reservation_id, s.status,
        string_to_array(s.held_reasons, ','), s.tariff_version_id, s.tariff, s.currency, s.grant_id, s.energy_wh,
        s.amount_minor, s.credit_minor
    from unnest($1::bigint[], $2::uuid[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::uuid[],
        $8::timestamptz[], $9::timestamptz[], $10::integer[], $11::bigint[], $12::integer[], $13::bigint[], $14::text[],
        $15::text[], $16::uuid[], $17::jsonb[], $18::text[], $19::uuid[], $20::bigint[], $21::bigint[], $22::bigint[])
        as s (id, charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, driver_id, started_at,
        received_at, boot_count, meter_start_wh, occurrence, reservation_id, status, held_reasons, tariff_version_id,
        tariff, currency, grant_id, energy_wh, amount_minor, credit_minor)
    on conflict on constraint uq_transactions_start do nothing
    returning *
), used as ({booking_keeping.used_by("started", now="t.start_received_at", late="$23")})
select id, ocpp_transaction_id, public_id, id_tag_status, status, held_reasons from started
"""  # noqa: S608 - our own statements
"""Stores transactions; bookings of their drivers' are used by them."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A Start that begins a transaction, and what that finds on its connector: its own status, and why it is held."""

    arrival: Arrival
    decision: Decision
    occurrence: int
    status: str
    held_reasons: list[str]


async def begin(connection: asyncpg.Connection, beginning: Sequence[Beginning]) -> dict[UUID, Mapping[str, Any]]:
    """The transactions that were made, by charge point; one is missing where the same Start has come meanwhile."""
    if not beginning:
        return {}
    found = await connection.fetch(
        NUMBERS_COMMANDS_AND_PRICES, *zip(*map(_asking, beginning), strict=True), REMOTE_START_WINDOW, CLOCK_DIFFERENCE
    )
    rows = [await _row(connection, new, its) for new, its in zip(beginning, found, strict=True)]
    made = {row["id"]: row for row in await connection.fetch(INSERT, *zip(*rows, strict=True), booking_keeping.LATE)}
    begun: dict[UUID, Mapping[str, Any]] = {}
    for new, its in zip(beginning, found, strict=True):
        if its["number"] in made:
            begun[new.arrival.charge_point_id] = made[its["number"]]
            await _link(connection, new, its["number"], its["command_id"])
    return begun


def _asking(new: Beginning) -> tuple[Any, ...]:
    """The row of `NUMBERS_COMMANDS_AND_PRICES`."""
    arrival, request = new.arrival, new.arrival.request
    priced_at = request.started_at if arrival.is_plausible else arrival.at
    return (
        *(arrival.charge_point_id, request.tag, request.connector_id, arrival.at),
        *(new.decision.grant_id, priced_at),
    )


async def _row(connection: asyncpg.Connection, new: Beginning, found: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row of `INSERT`."""
    arrival, request, decision, number = new.arrival, new.arrival.request, new.decision, found["number"]
    version = await _price(connection, found)
    return (
        *(number, arrival.charge_point_id, request.connector_id, ocpp_transaction_id(found["key"], number)),
        *(request.tag, decision.status, decision.driver_id, request.started_at, arrival.at, arrival.boot_count),
        *(request.meter_start, new.occurrence, request.reservation_id, new.status, ",".join(new.held_reasons)),
        *((version.id, version.document, version.currency) if version else (None, None, None)),
        decision.grant_id,
        *_limits(decision, version, found),
    )


async def _link(connection: asyncpg.Connection, new: Beginning, number: int, command_id: UUID | None) -> None:
    """To the command that caused it, and to the reservation that it names."""
    arrival = new.arrival
    if command_id is not None:
        await connection.execute(LINK, number, command_id)
    await reservations.used(connection, arrival.charge_point_id, arrival.request.reservation_id, number, arrival.at)


async def _price(connection: asyncpg.Connection, found: Mapping[str, Any]) -> Version | None:
    """The price that was shown to who started by the app; else the one that is in force; None: it has no price."""
    if found["shown"] is not None:
        return await find_version(connection, found["shown"])
    return None if found["id"] is None else Version.from_row({name: found[name] for name in VERSION_COLUMNS})


def _limits(
    decision: Decision, version: Version | None, command: Mapping[str, Any]
) -> tuple[int | None, int | None, int | None]:
    """What the session may reach, as columns."""
    currency = version.currency if version else None
    credit_minor = command["credit_minor"] if command["credit_currency"] == currency else None
    limits = limits_at_start(decision, currency, credit_minor)
    return limits.energy_wh, limits.amount_minor, limits.credit_minor
