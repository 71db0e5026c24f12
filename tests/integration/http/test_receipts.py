"""Receipts over HTTP: for driver and owner alone, from the sealed settlement, numbered without gaps."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from api.settlement.settling import settle_next
from standalone.databases import DatabaseUrls, alembic
from tests.integration.http.site import Person, Site
from tests.integration.settlement.books import Box, add_box, add_session
from tests.unit.api.documents.reading import text_of

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
WHY = {"note": "Read on the spot."}


@pytest.fixture
async def driver(site: Site) -> Person:
    made = await site.person("driver")
    await site.execute("update users set display_name = 'Jiří Ďáblík' where id = $1", made.user_id)
    return made


@pytest.fixture
async def box(owner: Person, driver: Person) -> Box:
    created = await owner.charge_point(name="Garáž U Třešně")
    return Box(UUID(created["id"]), owner.user_id, driver.user_id)


async def settle(connection: asyncpg.Connection) -> bool:
    async with connection.transaction():
        return await settle_next(connection, 0, NOW) is not None


async def settled(site: Site, box: Box, energy_wh: int = 10_000, **columns: Any) -> str:
    """A session that is in the books."""
    async with site.sql() as connection:
        made = await add_session(connection, box, energy_wh, **columns)
        while await settle(connection):
            pass
    return str(made)


async def test_driver_and_owner_read_the_same_receipt(site: Site, owner: Person, driver: Person, box: Box) -> None:
    path = f"/transactions/{await settled(site, box)}/receipt"
    read = await owner.get(path, lang="cs")
    assert await driver.get(path, lang="cs") == read
    assert (read["number"], read["revision"], read["total"], read["kind"]) == ("000001", 0, "55.00", "receipt")
    assert (read["driver_name"], read["charge_point_name"]) == ("Jiří Ďáblík", "Garáž U Třešně")
    assert (read["meter_start_wh"], read["meter_stop_wh"], read["energy_wh"]) == (0, 10_000, 10_000)
    assert read["seller"] == {"name": "owner", "vat_status": "neplátce DPH", "vat_id": None}
    [line] = read["lines"]
    assert line["rule"].replace("\u00a0", " ") == "10,000 kWh × 5,50 Kč za kWh"


async def test_nobody_else_reads_it_not_even_an_operator(
    site: Site, owner: Person, operator: Person, stranger: Person, box: Box
) -> None:
    done = await settled(site, box)
    for other in (operator, stranger):
        for each in ("receipt", "receipts", "receipt.pdf"):
            await other.get(f"/transactions/{done}/{each}", 404)
    await owner.get(f"/transactions/{uuid4()}/receipt", 404)


async def test_the_pdf_says_the_same_in_the_language_that_is_asked_for(site: Site, driver: Person, box: Box) -> None:
    path = f"/transactions/{await settled(site, box)}/receipt.pdf"
    answer = await driver.http.get(path, headers={"Accept-Language": "cs-CZ,cs;q=0.9"})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="receipt-000001.pdf"'
    text = text_of(answer.content)
    for expected in ("Doklad o nabíjení", "Jiří Ďáblík", "Garáž U Třešně", "10,000 kWh × 5,50 Kč za kWh", "55,00 Kč"):
        assert expected in text
    again = await driver.http.get(path, params={"lang": "cs"})
    assert again.content == answer.content, "the same receipt is the same file"
    assert "CZK 55.00" in text_of((await driver.http.get(path)).content), "the account's language is English"
    await driver.get(path, 422, lang="de")


async def test_a_correction_is_a_credit_note_that_names_the_receipt(
    site: Site, driver: Person, owner: Person, operator: Person, box: Box
) -> None:
    done = await settled(site, box)
    path = f"/transactions/{done}/receipt"
    first = await driver.get(path, lang="en")
    await operator.post(f"/transactions/{done}/corrections", {"meter_stop_wh": 4_000, **WHY})
    credit = await driver.get(path, lang="en")
    assert (credit["kind"], credit["number"], credit["corrects_number"]) == ("credit_note", "000002", "000001")
    assert (credit["total_minor"], credit["difference_minor"]) == (2200, -3300)
    assert "Corrects receipt 000001" in credit["correction"]
    assert credit["meter_stop_wh"] == 4_000, "as it was billed, not as the wallbox said"
    assert await driver.get(path, lang="en", revision=0) == first, "what was issued stays"
    listed = (await owner.get(f"/transactions/{done}/receipts"))["items"]
    assert [(item["number"], item["total_minor"]) for item in listed] == [("000001", 5500), ("000002", 2200)]
    for wrong in (2, 10_000):
        await driver.get(path, 404, revision=wrong)
    await driver.get(path, 422, revision=-1)
    pdf = await driver.http.get(f"{path}.pdf", params={"lang": "cs"})
    assert "Dobropis" in text_of(pdf.content)


async def test_amounts_are_those_of_the_settlement_whatever_the_session_says_later(
    site: Site, driver: Person, box: Box
) -> None:
    done = await settled(site, box)
    before = await driver.get(f"/transactions/{done}/receipt")
    await site.execute("""update transactions set total_minor = 1, energy_wh = 1, meter_stop_wh = 1,
        charge_detail_record = null, started_at = now(), stopped_at = now()""")
    assert await driver.get(f"/transactions/{done}/receipt") == before


async def test_a_waived_session_has_a_receipt_of_nothing(site: Site, driver: Person, owner: Person, box: Box) -> None:
    async with site.sql() as connection:
        held = await add_session(connection, box, held_reasons=["second_start"])
    refused = await driver.get(f"/transactions/{held}/receipt", 409)
    assert "waits for a decision" in refused["detail"]
    await owner.post(f"/transactions/{held}/decisions", {"decision": "waive", **WHY})
    read = await driver.get(f"/transactions/{held}/receipt")
    assert (read["total_minor"], read["lines"], read["tariff"]) == (0, [], [])
    answer = await driver.http.get(f"/transactions/{held}/receipt.pdf")
    assert "Nothing is charged" in text_of(answer.content)


async def test_what_is_not_settled_yet_has_none(site: Site, driver: Person, owner: Person, box: Box) -> None:
    async with site.sql() as connection:
        running = await add_session(connection, box)
    for person in (driver, owner):
        assert "not settled yet" in (await person.get(f"/transactions/{running}/receipt", 409))["detail"]
        await person.get(f"/transactions/{running}/receipts", 409)


async def test_a_wallbox_that_changed_hands_leaves_receipts_with_who_sold(
    site: Site, owner: Person, stranger: Person, box: Box
) -> None:
    done = await settled(site, box)
    await site.execute("update charge_points set owner_id = $1", stranger.user_id)
    assert (await owner.get(f"/transactions/{done}/receipt"))["seller"]["name"] == "owner"
    await stranger.get(f"/transactions/{done}/receipt", 404)


async def test_an_owner_on_the_own_wallbox_gets_one_that_asks_for_nothing(site: Site, owner: Person, box: Box) -> None:
    done = await settled(site, box, driver=owner.user_id)
    assert (await owner.get(f"/transactions/{done}/receipt"))["is_own"] is True


async def test_numbers_have_no_gaps_whoever_settles_at_once_and_whatever_breaks_off(
    database: DatabaseUrls, site: Site
) -> None:
    async with site.sql() as connection:
        boxes = [await add_box(connection) for _ in range(2)]
        for number in range(24):
            await add_session(connection, boxes[number % 2])

    async def work(breaks_off: bool) -> None:
        connection = await asyncpg.connect(database.application)
        try:
            if breaks_off:
                transaction = connection.transaction()
                await transaction.start()
                await settle_next(connection, 0, NOW)
                await transaction.rollback()
            while await settle(connection):
                pass
        finally:
            await connection.close()

    await asyncio.gather(*(work(worker % 2 == 0) for worker in range(6)))
    async with site.sql() as connection:
        rows = await connection.fetch(
            "select array_agg(number order by number) as numbers from receipts group by owner_account_id"
        )
    assert [list(row["numbers"]) for row in rows] == [list(range(1, 13))] * 2


async def test_nobody_gives_or_changes_numbers_by_hand(site: Site, box: Box) -> None:
    await settled(site, box)
    for statement in (
        "update receipts set number = 7",
        "delete from receipts",
        "insert into receipts select id, owner_account_id, 9 from settlements",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await site.execute(statement)


async def test_settlements_from_before_get_numbers_too(site: Site, database: DatabaseUrls, box: Box) -> None:
    for _ in range(3):
        await settled(site, box)
    for arguments in (("downgrade", "a7d3e9b1c504"), ("upgrade", "head")):
        result = alembic(database, *arguments)
        assert result.returncode == 0, result.stderr
    async with site.sql() as connection:
        numbers = await connection.fetch(
            "select number from receipts r join settlements s on s.id = r.settlement_id order by s.posted_at, s.id"
        )
    assert [row["number"] for row in numbers] == [1, 2, 3]
