"""A tariff with terms is frozen whole at the start, and its session is rated from the meter values in between."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from api.accounting.ocpi import tariff_from_ocpi
from api.accounting.tariff import elements_to_json, tariff_to_json, terms_to_json
from api.transactions.meter_values import meter_values
from api.transactions.start import start
from api.transactions.stop import stop
from tests.integration.listener.gateway import call, give_card, give_tariff, iso, make_charge_point

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
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
