"""A town with a past, made by the database itself: people, wallboxes, settled sessions, their samples and the ledger.

Rows are as the services would have left them, but nothing is checked or told on the way: triggers rest meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

from api.settlement.snapshots import close_what_is_over

SESSIONS_A_BOX: Final = 500
SESSIONS_A_DRIVER: Final = 200
BOXES_A_OWNER: Final = 4
QUIET: Final = 10
"""Each tenth wallbox, the last ones, is a quiet one"""
QUIET_SESSION: Final = 200
"""of which all together have one session of so many."""
SAMPLES_AT_ONCE: Final = 2_000_000
FILLED: Final = ("transactions", "settlements", "transfers", "grants")
"""Tables whose triggers rest."""

PEOPLE: Final = """
create temporary table people as
with made as (insert into users (email, password_hash)
    select 'synthetic' || n || '@bench', '!' from generate_series(1, $1::integer) n returning id)
select row_number() over () as n, id from made
"""
BOXES: Final = """
create temporary table boxes as
with made as (insert into charge_points (owner_id, identity, key_digest, registration)
    select p.id, 'SYNTHETIC-' || box, '', 'Accepted' from generate_series(1, $1::integer) box
    join people p on p.n = case when box <= $1 / 5 then 1 else 1 + (box - 1) / $2::integer end returning id, owner_id)
select row_number() over () as n, id, owner_id from made
"""
"""The first person has a fleet: every fifth wallbox."""
CONNECTORS: Final = """
insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch, sequence)
select id, 1, 'Available', 'NoError', now(), now(), 1, 1 from boxes
"""
PLACES: Final = """
with place as (
    insert into locations (owner_id, name, address, city, country, latitude, longitude)
    select owner_id, 'Place ' || n, 'Street ' || n, 'Praha', 'CZE', 50.0 + (n * 2473 % 4001 - 2000) / 10000.0,
        14.4 + (n * 2292 % 6001 - 3000) / 10000.0
    from boxes returning id, name
), spec as (
    insert into connector_specs (charge_point_id, connector_id, standard, format, power_type, max_power_w)
    select id, 1, 'IEC_62196_T2', 'CABLE', 'AC_3_PHASE', 11000 from boxes
), public as (
    insert into grants (charge_point_id, audience, valid_from) select id, 'public', $1 from boxes where n % 2 = 0
)
update charge_points c set location_id = place.id, visibility = case when b.n % 2 = 0 then 'public' else 'shared' end,
    connected_at = now()
from boxes b join place on place.name = 'Place ' || b.n where c.id = b.id
"""
"""All within some 30 km; every other one is public."""
GRANTS: Final = """
insert into grants (charge_point_id, user_id, valid_from)
select b.id, p.id, $1 from people p join boxes b on b.n = 1 + p.n % (select count(*) from boxes)
where p.id <> b.owner_id
"""
ACCOUNTS: Final = """
insert into ledger_accounts (kind, user_id)
select kind, id from people cross join unnest(array['driver', 'owner']) kind union all select 'platform', null
on conflict do nothing
"""
TARIFF: Final = (
    '{"currency": "CZK", "elements": [{"price_components": [{"type": "ENERGY", "price_e4": 55000, "step_size": 1}]}]}'
)
RECORD: Final = (
    '{"currency": "CZK", "net_minor": 5500, "vat_minor": 0, "total_minor": 5500, "lines": [{"type": "ENERGY", '
    '"amount_minor": 5500, "vat_bp": null, "element": 0, "used": 10000, "volume": 10000, "price_e4": 55000, '
    '"base_minor": 5500}]}'
)
SESSIONS: Final = """
insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, driver_id,
    owner_id, started_at, start_received_at, start_boot_count, meter_start_wh, status, stopped_at, stop_received_at,
    stop_reason, meter_stop_wh, energy_wh, held_reasons, tariff, currency, total_minor, charge_detail_record,
    settled_at)
select b.id, 1, number, 'SYNTHETIC', 'Accepted', p.id, b.owner_id, at, at, 1, number * 10, 'stopped',
    at + interval '1 hour', at + interval '1 hour', 'Local', number * 10 + 10000, 10000,
    case when number % 1000 = 0 then '{differing_stop}'::text[] else '{}' end, $3::text::jsonb, 'CZK', 5500,
    $4::text::jsonb, at + interval '1 hour'
from generate_series(1, $1::integer) number
cross join (select count(*) as boxes, count(*) - count(*) / $6::integer as busy from boxes) of
join boxes b on b.n = 1 + case when number % $7 = 0 then busy + number / $7 % (boxes - busy) else number % busy end
join people p on p.n = 1 + (number::bigint * 7919) % (select count(*) from people) and p.id <> b.owner_id
cross join lateral (select $2::timestamptz + number * ($5::interval / $1) as at) t
"""
SETTLEMENTS: Final = """
insert into settlements (transaction_id, revision, driver_account_id, owner_account_id, currency, net_minor, vat_minor,
    fee_bp, charge_detail_record, posted_at)
select t.id, 0, d.id, o.id, 'CZK', 5500, 0, 500, t.charge_detail_record, t.settled_at
from transactions t
join ledger_accounts d on d.user_id = t.driver_id and d.kind = 'driver'
join ledger_accounts o on o.user_id = t.owner_id and o.kind = 'owner'
order by t.id
"""
TRANSFERS: Final = """
insert into transfers (settlement_id, debit_account_id, credit_account_id, amount_minor, currency, kind, is_reversal,
    booked_on, posted_at)
select s.id, k.debit, k.credit, k.amount, 'CZK', k.kind, false, s.posted_at::date, s.posted_at
from settlements s cross join (select id from ledger_accounts where kind = 'platform') house
cross join lateral (values (s.driver_account_id, s.owner_account_id, 5500, 'charge'),
    (s.owner_account_id, house.id, 275, 'platform_fee')) as k (debit, credit, amount, kind)
order by s.posted_at
"""
SAMPLES: Final = """
insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, ocpp_transaction_id,
    received_at, energy_wh, power_w, samples)
select t.charge_point_id, t.started_at + k * (interval '1 hour' / $3::integer), 1, k, t.id, t.ocpp_transaction_id,
    t.started_at, t.meter_start_wh + k * 10000 / $3, 10000, '[{"value": "1000"}]'
from transactions t cross join generate_series(1, $3) k where t.id between $1 and $2
"""


@dataclass(frozen=True, slots=True)
class Town:
    """How much of everything."""

    sessions: int
    samples_a_session: int
    days: int = 180
    """Over so many the sessions are spread, the last one today."""

    @property
    def boxes(self) -> int:
        """Wallboxes."""
        return max(10, self.sessions // SESSIONS_A_BOX)

    @property
    def people(self) -> int:
        """Drivers, of whom the first also own wallboxes."""
        return max(self.boxes // BOXES_A_OWNER + 2, self.sessions // SESSIONS_A_DRIVER, 10)


async def fill(connection: asyncpg.Connection, town: Town, tell: Callable[[str], None]) -> None:
    """Makes the town, as the owner of the tables, and lets the planner know it."""
    since = datetime.now(UTC) - timedelta(days=town.days)
    for table in FILLED:
        await connection.execute(f"alter table {table} disable trigger user")
    tell("people and wallboxes")
    await connection.execute(PEOPLE, town.people)
    await connection.execute(BOXES, town.boxes, BOXES_A_OWNER)
    await connection.execute(CONNECTORS)
    await connection.execute(GRANTS, since)
    await connection.execute(PLACES, since)
    await connection.execute(ACCOUNTS)
    tell("sessions")
    spread = (timedelta(days=town.days), QUIET, QUIET_SESSION)
    await connection.execute(SESSIONS, town.sessions, since, TARIFF, RECORD, *spread, timeout=None)
    tell("the ledger")
    await connection.execute(SETTLEMENTS, timeout=None)
    await connection.execute(TRANSFERS, timeout=None)
    for table in FILLED:
        await connection.execute(f"alter table {table} enable trigger user")
    await _close_books(connection, since.date())
    await _sample(connection, town, tell)
    await connection.execute("drop table people, boxes")
    await connection.execute("vacuum (analyze)", timeout=None)


async def _close_books(connection: asyncpg.Connection, since: date) -> None:
    """The listener does it day by day."""
    now = datetime.now(UTC)
    for days in range((now.date() - since).days, -1, -1):
        await close_what_is_over(connection, now - timedelta(days=days))


async def _sample(connection: asyncpg.Connection, town: Town, tell: Callable[[str], None]) -> None:
    last = await connection.fetchval("select coalesce(max(id), 0) from transactions")
    step = max(1, SAMPLES_AT_ONCE // town.samples_a_session)
    for first in range(1, last + 1, step):
        tell(f"samples of sessions from {first:,}")
        await connection.execute(SAMPLES, first, first + step - 1, town.samples_a_session, timeout=None)
