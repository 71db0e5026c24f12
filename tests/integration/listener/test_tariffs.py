"""Which tariff is frozen at the start, whole, and how its session is rated from the meter values in between."""

import itertools
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from api.accounting.ocpi import tariff_from_ocpi
from api.accounting.tariff import elements_to_json, flat_tariff, tariff_to_json, terms_to_json
from api.transactions.meter_values import meter_values
from api.transactions.start import start
from api.transactions.stop import stop
from tests.integration.listener.gateway import call, give_card, give_tariff, iso, make_charge_point

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
registers = itertools.count(1000)
PRAGUE = zoneinfo.ZoneInfo("Europe/Prague")


async def test_energy_is_billed_by_the_price_of_its_hour(connection: asyncpg.Connection) -> None:
    """The first hour at 2 CZK a kWh, what follows at 6; 3 kWh of 5 flowed in the first."""
    wallbox = await make_charge_point(connection, rated_power_w=11000)
    await give_card(connection, wallbox)
    change = (START + timedelta(hours=1)).astimezone(PRAGUE).strftime("%H:%M")
    begun = (START - timedelta(hours=1)).astimezone(PRAGUE).strftime("%H:%M")
    tariff = tariff_from_ocpi(
        {
            "currency": "CZK",
            "elements": [
                {
                    "price_components": [{"type": "ENERGY", "price": "2.00", "step_size": 1}],
                    "restrictions": {"start_time": begun, "end_time": change},
                },
                {"price_components": [{"type": "ENERGY", "price": "6.00", "step_size": 1}]},
            ],
            "max_price": {"excl_vat": "100.00"},
        }
    )
    since = START - timedelta(days=1)
    await give_tariff(connection, wallbox, elements_to_json(tariff), terms_to_json(tariff), since)
    begin = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": iso(START)}
    started = await start(connection, call(wallbox, "StartTransaction", begin), datetime.now(UTC))
    transaction_id = orjson.loads(started.payload)["transactionId"]

    # the change of price falls on a whole local minute, up to a minute before the hour is over
    at_change = datetime.combine(START.astimezone(PRAGUE).date(), datetime.min.time(), PRAGUE)
    hour, minute = map(int, change.split(":"))
    at_change = at_change.replace(hour=hour, minute=minute).astimezone(UTC)
    at_change += timedelta(days=1) if at_change < START else timedelta(0)
    sample: dict[str, Any] = {"timestamp": iso(at_change), "sampledValue": [{"value": "4000", "unit": "Wh"}]}
    values = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sample]}
    await meter_values(connection, call(wallbox, "MeterValues", values), datetime.now(UTC))

    finish = {"transactionId": transaction_id, "meterStop": 6000, "timestamp": iso(START + timedelta(hours=2))}
    await stop(connection, call(wallbox, "StopTransaction", finish), datetime.now(UTC))
    row = await connection.fetchrow("select * from transactions")
    assert row["held_reasons"] == []
    assert row["tariff"] == tariff_to_json(tariff)
    assert [line["used_wh"] for line in row["charge_detail_record"]["lines"]] == [3000, 2000]
    assert row["total_minor"] == 600 + 1200


async def frozen(connection: asyncpg.Connection, wallbox: str, started_at: datetime, tag: str = "CARD1") -> int | None:
    """Starts a session of its own by card; the price of a kWh that it keeps."""
    begin = {"connectorId": 1, "idTag": tag, "meterStart": next(registers), "timestamp": iso(started_at)}
    await start(connection, call(wallbox, "StartTransaction", begin), datetime.now(UTC))
    row = await connection.fetchrow("select tariff, tariff_version_id from transactions order by id desc limit 1")
    if row["tariff"] is None:
        return None
    kept = await connection.fetchval("select elements from tariff_versions where id = $1", row["tariff_version_id"])
    assert row["tariff"]["elements"] == kept
    price: int = kept[0]["price_components"][0]["price_e4"]
    return price


async def named(connection: asyncpg.Connection, price_e4: int, since: datetime) -> Any:
    """A tariff of the wallbox's owner that is no charge point's own."""
    return await connection.fetchval(
        """with made as (insert into tariffs (owner_id, name) select owner_id, 'Named' from charge_points returning id)
           insert into tariff_versions (tariff_id, currency, elements, valid_from)
           select id, 'CZK', $1, $2 from made returning tariff_id""",
        elements_to_json(flat_tariff(price_e4, "CZK")),
        since,
    )


async def test_a_late_start_gets_the_tariff_that_was_assigned_at_it(connection: asyncpg.Connection) -> None:
    wallbox = await make_charge_point(connection)
    await give_card(connection, wallbox)
    own = elements_to_json(flat_tariff(50_000, "CZK"))
    await give_tariff(connection, wallbox, own, {}, START - timedelta(days=1))
    cheap = await named(connection, 20_000, START - timedelta(days=2))
    assign = "insert into tariff_assignments (charge_point_id, tariff_id, assigned_at) values ($1, $2, $3)"
    await connection.execute(assign, wallbox, cheap, START)
    await connection.execute(assign, wallbox, None, START + timedelta(hours=1))
    for minutes, price in ((-25 * 60, None), (-1, 50_000), (0, 20_000), (59, 20_000), (60, None)):
        assert await frozen(connection, wallbox, START + timedelta(minutes=minutes)) == price, minutes


async def test_a_guest_gets_the_tariff_of_the_grant_while_it_has_a_version(connection: asyncpg.Connection) -> None:
    wallbox = await make_charge_point(connection)
    own = elements_to_json(flat_tariff(50_000, "CZK"))
    await give_tariff(connection, wallbox, own, {}, START - timedelta(days=1))
    friends = await named(connection, 20_000, START)
    await connection.execute(
        """with guest as (insert into users (email, password_hash) values ('guest@example.org', '!') returning id),
               tag as (insert into id_tags (user_id, tag, kind) select id, 'GUEST', 'card' from guest)
           insert into grants (charge_point_id, user_id, valid_from, tariff_id) select $1, id, $2, $3 from guest""",
        *(wallbox, START - timedelta(days=1), friends),
    )
    await give_card(connection, wallbox)
    assert await frozen(connection, wallbox, START + timedelta(minutes=1), "GUEST") == 20_000
    assert await frozen(connection, wallbox, START - timedelta(hours=1), "GUEST") == 50_000
    assert await frozen(connection, wallbox, START + timedelta(minutes=2)) == 50_000
    await connection.execute("update grants set revoked_at = $1", START + timedelta(minutes=2))
    assert await frozen(connection, wallbox, START + timedelta(minutes=3), "GUEST") == 50_000


async def test_a_first_price_made_just_after_the_start_was_in_force_at_it(connection: asyncpg.Connection) -> None:
    wallbox = await make_charge_point(connection)
    await give_card(connection, wallbox)
    own = elements_to_json(flat_tariff(50_000, "CZK"))
    await give_tariff(connection, wallbox, own, {}, START)
    assert await frozen(connection, wallbox, START - timedelta(minutes=9)) == 50_000
    assert await frozen(connection, wallbox, START - timedelta(minutes=11)) is None
