"""The books over HTTP: balances, transfers, statements; held sessions decided by people, corrections by operators."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.settlement.settling import settle_next
from api.settlement.snapshots import take_snapshots
from standalone.databases import DatabaseUrls
from tests.integration.http.site import Person, Site
from tests.integration.settlement.books import STOP, Box, add_session, check_books
from tests.unit.api.documents.reading import text_of

MAY = datetime(2026, 5, 31, 21, 59, tzinfo=UTC)
JUNE = datetime(2026, 5, 31, 22, 1, tzinfo=UTC)
"""Two minutes, and in Prague two months."""
WHY = {"note": "Seen on the spot."}


@pytest.fixture
async def box(owner: Person, driver: Person) -> Box:
    created = await owner.charge_point(name="=HYPERLINK(1)")
    return Box(UUID(created["id"]), owner.user_id, driver.user_id)


async def session(site: Site, box: Box, energy_wh: int = 10_000, **columns: Any) -> str:
    async with site.sql() as connection:
        return str(await add_session(connection, box, energy_wh, **columns))


async def settle(site: Site, now: datetime = MAY, fee_bp: int = 0) -> None:
    async with site.sql() as connection:
        while True:
            async with connection.transaction():
                if await settle_next(connection, fee_bp, now) is None:
                    break
        await check_books(connection)


async def standing(person: Person, **parameters: Any) -> dict[str, int]:
    """By kind of account, what it holds of CZK."""
    items = (await person.get("/accounts", **parameters))["items"]
    return {item["kind"]: sum(each["balance_minor"] for each in item["balances"]) for item in items}


async def account(person: Person) -> str:
    return str((await person.get("/accounts"))["items"][0]["id"])


async def pages_of(person: Person, path: str, limit: int, **parameters: str) -> list[dict[str, Any]]:
    """All of them, by their cursors."""
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["next_cursor"] is not None:
        cursor = {"cursor": pages[-1]["next_cursor"]} if pages else {}
        pages.append(await person.get(path, limit=limit, **parameters, **cursor))
        assert len(pages[-1]["items"]) <= limit
    return pages


async def checked(site: Site) -> None:
    async with site.sql() as connection:
        await check_books(connection)


class TestReading:
    """Accounts, transfers, statements."""

    async def test_each_sees_the_own_accounts_and_operators_those_of_the_house(
        self, site: Site, owner: Person, driver: Person, operator: Person, box: Box
    ) -> None:
        assert await standing(owner) == {}
        await session(site, box)
        await settle(site, fee_bp=1000)
        assert await standing(owner) == {"owner": 4950}
        assert await standing(driver) == {"driver": -5500}
        assert await standing(operator) == {"platform": 550, "bank": 0}
        own = await account(driver)
        assert (await operator.get(f"/accounts/{own}"))["balances"] == [
            {"currency": "CZK", "balance_minor": -5500, "balance": "-55.00"}
        ]
        for path in ("", "/transfers", "/statement", "/statement.csv"):
            await owner.get(f"/accounts/{own}{path}", 404)

    async def test_balances_at_the_end_of_a_day_by_the_clock_at_the_charge_point(
        self, site: Site, owner: Person, box: Box
    ) -> None:
        await session(site, box, 1_000)
        await settle(site, MAY)
        await session(site, box, 2_000)
        await settle(site, JUNE)
        days = {"2026-05-30": 0, "2026-05-31": 550, "2026-06-01": 1650, "9999-12-31": 1650}
        for day, expected in days.items():
            assert await standing(owner, on=day) == {"owner": expected}, day
        await owner.get("/accounts", 422, on="yesterday")

    async def test_transfers_are_read_newest_first_page_by_page(self, site: Site, owner: Person, box: Box) -> None:
        for number in range(1, 6):
            await session(site, box, 1_000 * number)
        await settle(site, fee_bp=1000)
        path, seen, cursor = f"/accounts/{await account(owner)}/transfers", [], None
        while True:
            page = await owner.get(path, limit=3, **({"cursor": cursor} if cursor else {}))
            seen += [item["amount_minor"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [sign * part * n for n in (5, 4, 3, 2, 1) for sign, part in ((-1, 55), (1, 550))]
        assert page["items"][-1]["charge_point_name"] == "=HYPERLINK(1)"
        await owner.get(path, 422, cursor="x")

    async def test_a_statement_opens_with_the_month_before_and_adds_up(
        self, site: Site, owner: Person, box: Box
    ) -> None:
        await session(site, box, 1_000)
        await settle(site, MAY)
        await session(site, box, 2_000)
        await settle(site, JUNE, fee_bp=1000)
        path = f"/accounts/{await account(owner)}/statement"
        june = await owner.get(path, month="2026-06")
        [section] = june["sections"]
        figures = [section[f"{name}_minor"] for name in ("opening", "credited", "debited", "closing")]
        assert figures == [550, 1100, 110, 1540]
        assert [line["balance_minor"] for line in june["items"]] == [1650, 1540]
        july = await owner.get(path, month="2026-07")
        assert [(section["opening"], section["closing"]) for section in july["sections"]] == [("15.40", "15.40")]
        assert (july["items"], july["next_cursor"]) == ([], None)
        april = await owner.get(path, month="2026-04")
        assert (april["sections"], april["items"]) == ([], [])
        for wrong in ("2026-13", "2026", "9999-12", "2026-1"):
            await owner.get(path, 422, month=wrong)

    async def test_the_pages_of_a_statement_are_the_statement(self, site: Site, owner: Person, box: Box) -> None:
        for number, currency in ((1, "CZK"), (2, "EUR"), (3, "CZK"), (4, "CZK"), (5, "EUR")):
            await session(site, box, 1_000 * number, currency=currency)
        await settle(site, MAY, fee_bp=1000)
        await session(site, box, 6_000)
        await settle(site, JUNE, fee_bp=1000)
        path = f"/accounts/{await account(owner)}/statement"
        for month in ("2026-05", "2026-06"):
            whole = await owner.get(path, month=month)
            assert whole["next_cursor"] is None
            for limit in (1, 3, 9, 10, 1000):
                pages = await pages_of(owner, path, limit, month=month)
                assert [item for page in pages for item in page["items"]] == whole["items"]
                assert all(page["sections"] == whole["sections"] for page in pages)
        for section in (await owner.get(path, month="2026-05"))["sections"]:
            items = [item for page in await pages_of(owner, path, 2, month="2026-05") for item in page["items"]]
            lines = [item for item in items if item["currency"] == section["currency"]]
            amounts = [line["amount_minor"] for line in lines]
            assert sum(amount for amount in amounts if amount > 0) == section["credited_minor"] > 0
            assert -sum(amount for amount in amounts if amount < 0) == section["debited_minor"] > 0
            assert lines[-1]["balance_minor"] == section["closing_minor"]
        rows = csv.DictReader(io.StringIO((await owner.http.get(f"{path}.csv", params={"month": "2026-05"})).text))
        lines = [row for row in rows if row["kind"] not in {"opening", "closing"}]
        in_csv = sorted(lines, key=lambda row: row["currency"] == "EUR")
        in_json = sorted(items, key=lambda item: item["currency"] == "EUR")
        assert [row["balance"] for row in in_csv] == [item["balance"] for item in in_json]

    async def test_a_session_that_is_settled_between_two_pages_comes_last(
        self, site: Site, owner: Person, box: Box
    ) -> None:
        for number in (1, 2, 3):
            await session(site, box, 1_000 * number)
        await settle(site, MAY)
        path = f"/accounts/{await account(owner)}/statement"
        first = await owner.get(path, month="2026-05", limit=2)
        await session(site, box, 4_000)
        await settle(site, MAY)
        second = await owner.get(path, month="2026-05", limit=2, cursor=first["next_cursor"])
        assert [item["amount_minor"] for item in first["items"] + second["items"]] == [550, 1100, 1650, 2200]
        assert [item["balance_minor"] for item in second["items"]] == [3300, 5500]
        assert (first["sections"][0]["closing_minor"], second["sections"][0]["closing_minor"]) == (3300, 5500)

    async def test_a_cursor_opens_nothing_of_anybody_elses(
        self, site: Site, owner: Person, driver: Person, box: Box
    ) -> None:
        for number in (1, 2):
            await session(site, box, 1_000 * number)
        await settle(site, MAY)
        of_driver = f"/accounts/{await account(driver)}/statement"
        of_owner = f"/accounts/{await account(owner)}/statement"
        cursor = (await driver.get(of_driver, month="2026-05", limit=1))["next_cursor"]
        await owner.get(of_driver, 404, month="2026-05", cursor=cursor)
        for month, amounts in (("2026-05", {1100}), ("2026-04", set())):
            page = await owner.get(of_owner, month=month, cursor=cursor)
            assert {item["amount_minor"] for item in page["items"]} <= amounts, "what the owner was credited"
        later = await owner.get(of_owner, month="2026-04", cursor=cursor)
        assert (later["sections"], later["items"]) == ([], [])
        for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 1001}):
            await owner.get(of_owner, 422, month="2026-05", **wrong)

    async def test_a_statement_says_the_same_before_and_after_its_month_is_closed(
        self, site: Site, owner: Person, box: Box
    ) -> None:
        for energy_wh, currency, now in (
            (1_000, "CZK", MAY), (2_000, "CZK", JUNE), (3_000, "CZK", JUNE), (4_000, "EUR", JUNE),
        ):  # fmt: skip
            await session(site, box, energy_wh, currency=currency)
            await settle(site, now, fee_bp=1000)
        path, months = f"/accounts/{await account(owner)}/statement", ("2026-05", "2026-06", "2026-07")

        async def read() -> list[list[dict[str, Any]]]:
            return [await pages_of(owner, path, limit, month=month) for limit in (2, 100) for month in months]

        before = await read()
        async with site.sql() as connection:
            for month in (5, 6, 7):
                await take_snapshots(connection, datetime(2026, month, 5, tzinfo=UTC))
                assert await read() == before
            await check_books(connection)
        assert await site.value("select count(distinct day) from balance_snapshots") == 2

    async def test_the_figures_of_a_closed_month_are_those_of_its_snapshot(
        self, site: Site, owner: Person, box: Box, database: DatabaseUrls
    ) -> None:
        """Where an older release closed it, they are added up."""
        for now, month in ((MAY, 6), (JUNE, 7)):
            await session(site, box, 1_000)
            await settle(site, now)
            async with site.sql() as connection:
                await take_snapshots(connection, datetime(2026, month, 5, tzinfo=UTC))
        path = f"/accounts/{await account(owner)}/statement"

        async def credited_after(sql: str) -> list[int]:
            hand = await asyncpg.connect(database.owner)
            await hand.execute(sql)
            await hand.close()
            figures = [(await owner.get(path, month=month))["sections"] for month in ("2026-05", "2026-06")]
            return [section["credited_minor"] for [section] in figures]

        assert await credited_after("update balance_snapshots set credited_minor = 7 where credited_minor = 550") == [
            550, 7,
        ]  # fmt: skip
        assert await credited_after("update balance_snapshots set credited_minor = null") == [550, 550]

    async def test_the_csv_has_the_same_figures_and_no_formula(self, site: Site, owner: Person, box: Box) -> None:
        await session(site, box, 1_000)
        await settle(site, MAY, fee_bp=1000)
        answer = await owner.http.get(f"/accounts/{await account(owner)}/statement.csv", params={"month": "2026-05"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "statement-2026-05.csv" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(row["kind"], row["amount"], row["balance"]) for row in rows] == [
            ("opening", "", "0.00"),
            ("charge", "5.50", "5.50"),
            ("platform_fee", "-0.55", "4.95"),
            ("closing", "", "4.95"),
        ]
        assert {row["charge_point"] for row in rows} == {"", "'=HYPERLINK(1)"}

    async def test_the_pdf_is_for_those_who_see_the_account(
        self, site: Site, owner: Person, driver: Person, operator: Person, box: Box
    ) -> None:
        await session(site, box, 1_000)
        await settle(site, MAY)
        path = f"/accounts/{await account(driver)}/statement.pdf"
        answer = await driver.http.get(path, params={"month": "2026-05", "lang": "cs"})
        assert answer.headers["content-type"] == "application/pdf"
        assert "statement-2026-05.pdf" in answer.headers["content-disposition"]
        text = text_of(answer.content)
        assert "Výpis účtu řidiče" in text
        assert "Konečný zůstatek -5,50 Kč" in text
        assert (await operator.http.get(path)).status_code == 200
        await owner.get(path, 404)
        house = next(item["id"] for item in (await operator.get("/accounts"))["items"] if item["kind"] == "platform")
        assert "Statement of the platform" in text_of(
            (await operator.http.get(f"/accounts/{house}/statement.pdf")).content
        )


HELD: dict[str, Any] = {"held_reasons": ["energy_above_rated_power"], "total_minor": None, "charge_detail_record": None}


class TestDeciding:
    """Held sessions."""

    async def test_the_owner_bills_a_held_session_by_its_rating(
        self, site: Site, owner: Person, driver: Person, operator: Person, box: Box
    ) -> None:
        held = await session(site, box, **HELD)
        await settle(site)
        assert [item["id"] for item in (await operator.get("/transactions", held=True))["items"]] == [held]
        made = await owner.post(f"/transactions/{held}/decisions", {"decision": "bill", **WHY})
        assert made["held_reasons"] == HELD["held_reasons"]
        assert made["decided_by"] == str(owner.user_id)
        read = await owner.get(f"/transactions/{held}")
        assert (read["held_reasons"], read["total_minor"]) == ([], 5500)
        assert sum(line["amount_minor"] for line in read["charge_detail_record"]["lines"]) == 5500
        await settle(site)
        assert await standing(driver) == {"driver": -5500}
        assert (await operator.get(f"/transactions/{held}/decisions"))["items"] == [made]
        assert (await owner.get("/transactions", held=True))["items"] == []
        await owner.post(f"/transactions/{held}/decisions", {"decision": "waive", **WHY}, 409)

    async def test_a_waived_session_costs_nothing(self, site: Site, owner: Person, driver: Person, box: Box) -> None:
        held = await session(site, box, **HELD)
        await owner.post(f"/transactions/{held}/decisions", {"decision": "waive", **WHY})
        assert (await driver.get(f"/transactions/{held}"))["total_minor"] == 0
        await settle(site)
        assert await standing(driver) == {"driver": 0}

    async def test_waiving_what_was_settled_takes_it_back_and_billing_it_leaves_it(
        self, site: Site, owner: Person, driver: Person, box: Box
    ) -> None:
        """A Stop that differs holds a session that is in the books already."""
        one, other = await session(site, box, 1_000), await session(site, box, 2_000)
        await settle(site, fee_bp=1000)
        await site.execute("update transactions set held_reasons = '{differing_stop}'")
        await owner.post(f"/transactions/{one}/decisions", {"decision": "waive", **WHY})
        await owner.post(f"/transactions/{other}/decisions", {"decision": "bill", **WHY})
        assert await standing(driver) == {"driver": -1100}
        assert await standing(owner) == {"owner": 990}
        assert await site.value("select count(*) from settlements") == 3
        await checked(site)

    async def test_drivers_do_not_decide_nor_read_decisions(self, site: Site, driver: Person, box: Box) -> None:
        held = await session(site, box, **HELD)
        await driver.post(f"/transactions/{held}/decisions", {"decision": "waive", **WHY}, 403)
        await driver.post(f"/transactions/{held}/corrections", {"meter_stop_wh": 0, **WHY}, 403)
        await driver.get(f"/transactions/{held}/decisions", 403)
        assert await site.value("select count(*) from decisions") == 0

    async def test_of_decisions_at_once_one_counts(self, site: Site, owner: Person, box: Box) -> None:
        held = await session(site, box, **HELD)
        path = f"/transactions/{held}/decisions"
        bodies = [{"decision": decision, **WHY} for decision in ("bill", "waive", "bill", "waive")]
        answers = await asyncio.gather(*(owner.http.post(path, json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert await site.value("select count(*) from settlements") == 1
        await checked(site)

    async def test_the_same_decision_sent_again_has_the_same_answer(self, site: Site, owner: Person, box: Box) -> None:
        held = await session(site, box, **HELD)
        path, body = f"/transactions/{held}/decisions", {"decision": "bill", **WHY}
        first = await owner.post(path, body, Idempotency_Key="once")
        assert await owner.post(path, body, Idempotency_Key="once") == first
        assert await site.value("select count(*) from decisions") == 1

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            ({"status": "active"}, "still running"),
            ({"held_reasons": []}, "not held"),
            ({"driver_id": None}, "nobody to bill"),
            ({"meter_start_wh": 20_000}, "cannot be priced"),
            ({"meter_stop_wh": None, "stopped_at": None, "status": "abandoned"}, "never stopped"),
        ],
    )
    async def test_what_cannot_be_billed_stays_as_it_is(
        self, site: Site, owner: Person, box: Box, columns: dict[str, Any], says: str
    ) -> None:
        held = await session(site, box, **HELD)
        for name, value in columns.items():
            await site.execute(f"update transactions set {name} = $1", value)
        answer = await owner.post(f"/transactions/{held}/decisions", {"decision": "bill", **WHY}, 409)
        assert says in answer["detail"]
        for table in ("decisions", "settlements"):
            assert await site.value(f"select count(*) from {table}") == 0
        assert await site.value("select held_reasons from transactions") == columns.get(
            "held_reasons", HELD["held_reasons"]
        )

    async def test_a_session_without_a_price_is_released_and_costs_nothing(
        self, site: Site, owner: Person, box: Box
    ) -> None:
        held = await session(site, box, **HELD)
        await site.execute("update transactions set tariff = null, currency = null")
        await owner.post(f"/transactions/{held}/decisions", {"decision": "bill", **WHY})
        read = await owner.get(f"/transactions/{held}")
        assert (read["held_reasons"], read["total_minor"]) == ([], None)
        assert await site.value("select count(*) from settlements") == 0


class TestCorrecting:
    """Corrections by operators."""

    async def test_a_correction_takes_back_what_stood_and_posts_what_is_due(
        self, site: Site, owner: Person, driver: Person, operator: Person, box: Box
    ) -> None:
        done = await session(site, box, 10_000)
        await settle(site, fee_bp=1000)
        path = f"/transactions/{done}/corrections"
        await owner.post(path, {"meter_stop_wh": 1, **WHY}, 403)
        made = await operator.post(path, {"meter_stop_wh": 4_000, **WHY})
        assert (made["decision"], made["meter_stop_wh"]) == ("correct", 4_000)
        assert await standing(driver) == {"driver": -2200}
        assert await standing(owner) == {"owner": 1980}, "by the fee of the first settlement"
        read = await driver.get(f"/transactions/{done}")
        assert (read["energy_wh"], read["total_minor"], read["meter_stop_wh"]) == (4_000, 2200, 10_000)
        items = (await driver.get(f"/accounts/{await account(driver)}/transfers"))["items"]
        assert [(item["amount_minor"], item["is_reversal"]) for item in items] == [
            (-2200, False), (5500, True), (-5500, False),
        ]  # fmt: skip
        await operator.post(path, {"meter_stop_wh": 4_000, "note": "Again."})
        assert await site.value("select count(*) from settlements") == 2, "nothing changed the second time"
        await operator.post(path, {"meter_stop_wh": -1, **WHY}, 422)
        await checked(site)

    async def test_a_session_that_never_stopped_gets_its_end(
        self, site: Site, operator: Person, driver: Person, box: Box
    ) -> None:
        held = await session(site, box, **HELD)
        await site.execute("update transactions set status = 'abandoned', meter_stop_wh = null, stopped_at = null")
        ends = {"meter_stop_wh": 3_000, "stopped_at": STOP.isoformat()}
        await operator.post(f"/transactions/{held}/corrections", {**ends, **WHY})
        assert await standing(driver) == {"driver": -1650}
        assert (await driver.get(f"/transactions/{held}"))["held_reasons"] == []
        await checked(site)
