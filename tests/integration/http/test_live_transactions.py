"""What a running session shows: to its driver and the owner, from what PostgreSQL has."""

import uuid
from datetime import UTC, datetime, timedelta

from tests.integration.http.site import Person, Site

ADD = """insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
        energy_wh, power_w, samples)
    select $1, $2, 1, $3, t.id, now(), $4, $5, '[]' from transactions t where t.charge_point_id = $1"""

PRICED = """update transactions t set currency = v.currency, tariff_version_id = v.id,
        tariff = jsonb_build_object('currency', v.currency, 'elements', v.elements)
    from tariff_versions v where t.charge_point_id = $1"""


async def test_a_session_from_its_start_to_its_end(site: Site, owner: Person, stranger: Person) -> None:
    wallbox = uuid.UUID((await owner.charge_point())["id"])
    driver, now = await site.person("driver"), datetime.now(UTC)
    started = now - timedelta(hours=1)
    number = await site.transaction(str(wallbox), driver_id=driver.user_id, started_at=started, meter_start_wh=1000)
    path = f"/transactions/{number}/live"
    empty = await owner.get(path)
    assert (empty["energy_wh"], empty["power_w"], empty["read_at"], empty["status"]) == (None, None, None, "active")
    await site.execute(ADD, wallbox, now - timedelta(minutes=2), 1, 3500, 7200)
    await site.execute(ADD, wallbox, now - timedelta(minutes=1), 2, 3700, None)
    live = await driver.get(path)
    assert (live["energy_wh"], live["power_w"]) == (2700, 7200)
    assert 3600 <= live["duration_s"] < 3700
    assert datetime.fromisoformat(live["read_at"]) == now - timedelta(minutes=1)
    await stranger.get(path, 404)
    await site.execute(
        "update transactions set status = 'stopped', stopped_at = $2, energy_wh = 2800 where charge_point_id = $1",
        wallbox, now,
    )  # fmt: skip
    over = await driver.get(path)
    assert (over["status"], over["energy_wh"], over["power_w"], over["duration_s"]) == ("stopped", 2800, None, 3600)


async def test_the_cost_so_far_and_the_total_in_the_end(site: Site, owner: Person) -> None:
    wallbox = uuid.UUID((await owner.charge_point(price_per_kwh="5.50"))["id"])
    now = datetime.now(UTC)
    started = now - timedelta(hours=1)
    number = await site.transaction(str(wallbox), started_at=started, meter_start_wh=1000)
    path = f"/transactions/{number}/live"
    assert [(await owner.get(path))[name] for name in ("currency", "cost_minor", "cost")] == [None, None, None]
    await site.execute(PRICED, wallbox)
    assert (await owner.get(path))["cost"] == "0.00"
    await site.execute(ADD, wallbox, now - timedelta(minutes=1), 1, 3000, 7200)
    live = await owner.get(path)
    assert (live["currency"], live["cost_minor"], live["cost"]) == ("CZK", 1100, "11.00")
    await site.execute("update transactions set status = 'stopped', stopped_at = $1, total_minor = 1650", now)
    assert (await owner.get(path))["cost"] == "16.50"


async def test_a_register_that_is_below_the_start_is_no_energy(site: Site, owner: Person) -> None:
    wallbox = uuid.UUID((await owner.charge_point())["id"])
    number = await site.transaction(str(wallbox), meter_start_wh=1000)
    await site.execute(ADD, wallbox, datetime.now(UTC), 1, 999, 0)
    live = await owner.get(f"/transactions/{number}/live")
    assert (live["energy_wh"], live["power_w"]) == (None, 0)
