"""Reading transactions: what an owner and a driver see."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from api.accounting.rating import rate, record_to_json
from api.accounting.tariff import flat_tariff, tariff_to_json
from tests.integration.http.site import START, Person, Site

RATED: dict[str, Any] = {
    "status": "stopped",
    "stopped_at": START + timedelta(hours=2),
    "stop_reason": "EVDisconnected",
    "meter_stop_wh": 23300,
    "energy_wh": 22300,
    "currency": "CZK",
    "total_minor": 12265,
}


async def test_a_finished_session_carries_energy_price_and_the_lines_that_add_up(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    tariff = flat_tariff(55000, "CZK")
    record = rate(
        tariff, meter_start_wh=1000, meter_stop_wh=23300, started_at=START, stopped_at=START + timedelta(hours=2)
    )
    transaction = await site.transaction(created["id"], **RATED)
    await site.execute(
        "update transactions set tariff = $1, charge_detail_record = $2",
        json.dumps(tariff_to_json(tariff)),
        json.dumps(record_to_json(record)),
    )
    read = await owner.get(f"/transactions/{transaction}")
    assert (read["energy_wh"], read["total_minor"], read["total"], read["currency"]) == (22300, 12265, "122.65", "CZK")
    assert sum(line["amount_minor"] for line in read["charge_detail_record"]["lines"]) == 12265
    assert read["tariff"]["elements"][0]["price_components"][0]["price_e4"] == 55000
    [summary] = (await owner.get("/transactions"))["items"]
    assert "charge_detail_record" not in summary
    assert {**read, **summary} == read


async def test_filters(site: Site, owner: Person) -> None:
    first, second = await owner.charge_point(), await owner.charge_point()
    ids = {
        "active": await site.transaction(first["id"], number=1),
        "stopped": await site.transaction(first["id"], number=2, **RATED),
        "held": await site.transaction(second["id"], number=3, held_reasons=["energy_above_rated_power"], **RATED),
    }
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["held", "stopped", "active"]),
        ({"charge_point_id": first["id"]}, ["stopped", "active"]),
        ({"status": "active"}, ["active"]),
        ({"held": True}, ["held"]),
        ({"held": False}, ["stopped", "active"]),
        ({"from": (START + timedelta(minutes=2)).isoformat()}, ["held", "stopped"]),
        ({"to": (START + timedelta(minutes=2)).isoformat()}, ["active"]),
        ({"status": "abandoned"}, []),
    ]
    for parameters, names in expected:
        items = (await owner.get("/transactions", **parameters))["items"]
        assert [item["id"] for item in items] == [ids[name] for name in names], parameters
    for wrong in ({"status": "running"}, {"held": "maybe"}, {"charge_point_id": "1"}, {"from": "yesterday"}):
        await owner.get("/transactions", 422, **wrong)


async def test_a_driver_sees_own_sessions_and_not_those_of_others(site: Site, owner: Person) -> None:
    driver = await site.person("driver")
    created = await owner.charge_point()
    own = await site.transaction(created["id"], number=1, driver_id=driver.user_id)
    other = await site.transaction(created["id"], number=2)
    assert [item["id"] for item in (await driver.get("/transactions"))["items"]] == [own]
    await driver.get(f"/transactions/{own}/meter-values")
    await driver.get(f"/transactions/{other}", 404)
    await driver.get(f"/transactions/{other}/meter-values", 404)
    assert len((await owner.get("/transactions"))["items"]) == 2


async def test_meter_values_are_read_oldest_first_page_by_page(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    transaction = await site.transaction(created["id"])
    async with site.sql() as connection:
        key = await connection.fetchval("select id from transactions")
        await connection.executemany(
            """insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
               energy_wh, power_w, samples) values ($1, $2, 1, $3, $4, $2, $5, 7360, '[{"value": "1"}]')""",
            [
                (UUID(created["id"]), START + timedelta(seconds=n // 2), n - 3, key, 1000 + n)
                for n in range(7)  # two have the same moment
            ],
        )
    path, seen, cursor = f"/transactions/{transaction}/meter-values", [], None
    while True:
        page = await owner.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["energy_wh"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(1000, 1007))
    assert page["items"][0]["samples"] == [{"value": "1"}]
