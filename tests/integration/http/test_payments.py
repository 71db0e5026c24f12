"""Money from and to the bank over HTTP: instructions, statements, movements decided by people, payouts."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from api.database import raw
from tests.integration.http.site import Person, Site, make_settings, open_site
from tests.integration.http.test_books import account, checked, settle, standing
from tests.integration.settlement.books import Box, add_session

HEAD = "id,date,amount,currency,variable_symbol,name\n"
IBAN = "CZ6508000000192000145399"


async def take(operator: Person, lines: str, status: int = 201) -> Any:
    """Imports lines under our head."""
    return await operator.send("POST", "/operator/bank-statements", status, content=(HEAD + lines).encode())


async def symbol(person: Person) -> str:
    return str((await person.get("/top-up"))["variable_symbol"])


class TestTopUps:
    """Drivers pay in."""

    async def test_the_instructions_are_the_drivers_own_and_stay(self, owner: Person, stranger: Person) -> None:
        first = await owner.get("/top-up", amount_minor=50_000)
        assert (first["iban"], first["account_number"]) == (IBAN, "19-2000145399/0800")
        assert f"AM:500.00*CC:CZK*RN:Voltuj*MSG:Voltuj*X-VS:{first['variable_symbol']}" in first["payment_code"]
        again, other = await owner.get("/top-up"), await stranger.get("/top-up")
        assert again["variable_symbol"] == first["variable_symbol"] != other["variable_symbol"]
        assert again["amount"] is None
        for wrong in (0, -1, 10**9):
            await owner.get("/top-up", 422, amount_minor=wrong)

    async def test_asked_by_many_at_once_there_is_one_symbol(self, owner: Person) -> None:
        assert len(set(await asyncio.gather(*(symbol(owner) for _ in range(5))))) == 1

    @pytest.mark.parametrize(
        ("image", "kind", "begins"), [("svg", "image/svg+xml", b"<?xml"), ("png", "image/png", b"\x89PNG")]
    )
    async def test_the_code_as_an_image(self, owner: Person, image: str, kind: str, begins: bytes) -> None:
        answer = await owner.http.get("/top-up/qr", params={"image": image, "amount_minor": 100})
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content.startswith(begins)

    async def test_without_a_bank_account_nobody_can_pay(self, site: Site, redis_url: str, redis_prefix: str) -> None:
        settings = make_settings(site.database, redis_url, redis_prefix, bank_account="")
        async with open_site(site.database, settings) as other:
            person = await other.person()
            assert "BANK_ACCOUNT" in (await person.get("/top-up", 409))["detail"]


class TestStatements:
    """Operators import what the bank says."""

    async def test_a_payment_is_seen_by_its_driver(self, site: Site, owner: Person, operator: Person) -> None:
        lines = f"1,2026-05-04,500.00,CZK,{await symbol(owner)},=1+1\n2,2026-05-04,7.00,CZK,,\n"
        assert await take(operator, lines) == {"new": 2, "known": 0, "matched": 1, "open": 1}
        assert await take(operator, lines) == {"new": 0, "known": 2, "matched": 0, "open": 0}
        assert await standing(owner) == {"driver": 50_000}
        [item] = (await owner.get(f"/accounts/{await account(owner)}/transfers"))["items"]
        assert (item["kind"], item["amount_minor"], item["transaction_id"]) == ("top_up", 50_000, None)
        statement = await owner.http.get(f"/accounts/{await account(owner)}/statement.csv")
        assert "top_up,no,,,CZK,500.00,500.00" in statement.text
        await checked(site)

    async def test_a_wrong_line_is_named_and_nothing_is_done(self, site: Site, owner: Person, operator: Person) -> None:
        lines = f"1,2026-05-04,500.00,CZK,{await symbol(owner)},\n2,2026-05-04,5 0,CZK,,\n"
        refused = await take(operator, lines, 422)
        assert refused["errors"] == [{"field": "body.line 3", "message": "'5 0' is not an amount", "code": "statement"}]
        assert await site.value("select count(*) from bank_movements") == 0
        await take(operator, "x" * 2_000_000, 413)

    async def test_only_operators_see_the_bank(self, owner: Person) -> None:
        await take(owner, "", 404)
        await owner.get("/operator/bank-movements", 404)
        await owner.post("/operator/payout-runs", {"currency": "CZK", "least_minor": 1}, 404)

    async def test_what_waits_is_decided(self, site: Site, owner: Person, operator: Person) -> None:
        await take(operator, "1,2026-05-04,500.00,CZK,,\n2,2026-05-04,-7.00,CZK,,\n")
        waiting = (await operator.get("/operator/bank-movements", open=True))["items"]
        paid = next(item for item in waiting if item["reference"] == "1")
        path = f"/operator/bank-movements/{paid['id']}/decisions"
        payout = {"meaning": "payout", "payout_id": str(uuid4())}
        nobody = {"meaning": "person", "email": "nobody@example.org"}
        for wrong in ({"meaning": "person"}, nobody, {"meaning": "payout"}, payout, {"meaning": "x"}):
            await operator.post(path, {**wrong, "note": "why"}, 422)
        body = {"meaning": "person", "email": owner.email, "note": "why"}
        made = await operator.post(path, body, Idempotency_Key="once")
        assert made["meaning"] == "top_up"
        assert await operator.post(path, body, Idempotency_Key="once") == made
        assert await site.value("select count(*) from bank_postings") == 1
        assert await standing(owner) == {"driver": 50_000}
        [waits] = (await operator.get("/operator/bank-movements", open=True))["items"]
        assert waits["reference"] == "2"
        assert len((await operator.get("/operator/bank-movements", open=False))["items"]) == 1
        await operator.post(path, {"meaning": "open", "note": "It was somebody else."})
        assert await standing(owner) == {"driver": 0}
        assert (await operator.get(f"/operator/bank-movements/{paid['id']}"))["meaning"] is None
        await checked(site)


class TestPayouts:
    """Owners are paid."""

    @pytest.fixture
    async def earned(self, site: Site, owner: Person, stranger: Person) -> None:
        """55.00 on the owner's account."""
        created = await owner.charge_point()
        async with site.sql() as connection:
            await add_session(connection, Box(created["id"], owner.user_id, stranger.user_id))
        await settle(site)

    async def test_the_payout_account_is_checked(self, owner: Person) -> None:
        await owner.get("/payout-account", 404)
        await owner.send("PUT", "/payout-account", 422, json={"iban": IBAN[:-1] + "8", "holder_name": "Jana"})
        body = {"iban": "cz65 0800 0000 1920 0014 5399", "holder_name": "Jana"}
        assert (await owner.send("PUT", "/payout-account", 200, json=body))["iban"] == IBAN
        assert await owner.get("/payout-account") == {"iban": IBAN, "holder_name": "Jana"}
        await owner.send("DELETE", "/payout-account", 204)
        await owner.get("/payout-account", 404)

    async def test_from_the_run_to_the_statement(
        self, site: Site, owner: Person, stranger: Person, operator: Person, earned: None
    ) -> None:
        await owner.send("PUT", "/payout-account", 200, json={"iban": IBAN, "holder_name": "Jana"})
        run = {"currency": "CZK", "least_minor": 5000}
        [payout] = (await operator.post("/operator/payout-runs", run, Idempotency_Key="once"))["items"]
        assert (await operator.post("/operator/payout-runs", run, Idempotency_Key="once"))["items"] == [payout]
        assert (await operator.post("/operator/payout-runs", run))["items"] == []
        assert (payout["amount"], payout["user_id"], payout["status"]) == ("55.00", str(owner.user_id), "open")
        assert f"X-VS:{payout['variable_symbol']}" in payout["payment_code"]
        image = await operator.http.get(f"/payouts/{payout['id']}/qr", params={"image": "png"})
        assert image.content.startswith(b"\x89PNG")
        await owner.post(f"/payouts/{payout['id']}/confirm", None, 403)
        taken = await take(operator, f"1,2026-05-04,-55.00,CZK,{payout['variable_symbol']},\n")
        assert taken["matched"] == 1
        assert await standing(owner) == {"owner": 0}
        assert [item["status"] for item in (await owner.get("/payouts", status="paid"))["items"]] == ["paid"]
        await operator.post(f"/payouts/{payout['id']}/cancel", None, 409)
        await checked(site)

    async def test_confirmed_or_cancelled_by_an_operator(
        self, site: Site, owner: Person, operator: Person, earned: None
    ) -> None:
        await owner.send("PUT", "/payout-account", 200, json={"iban": IBAN, "holder_name": "Jana"})
        run = {"currency": "CZK", "least_minor": 1}
        for end in ("cancel", "confirm"):
            [payout] = (await operator.post("/operator/payout-runs", run))["items"]
            ended = await operator.post(f"/payouts/{payout['id']}/{end}", None, Idempotency_Key=end)
            assert await operator.post(f"/payouts/{payout['id']}/{end}", None, Idempotency_Key=end) == ended
        assert ended["status"] == "paid"
        assert await standing(owner) == {"owner": 0}
        await checked(site)


async def test_the_drivers_connection_is_in_the_requests_transaction(site: Site) -> None:
    async with site.app.state.database.transaction() as transaction:
        assert (await raw(transaction)).is_in_transaction()
