"""Log-ins of one's own, the export of all one's data, and erasure: complete, and never at the cost of the books."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.administration.personal_data import EXPORTED
from api.identity.passwords import Passwords
from api.schema import metadata
from tests.integration.http.site import Person, Site

PASSWORD = "correct horse battery"
PERSONS_IBAN = "CZ5508000000001234567899"
TRACES = (
    "SECRETCARD", "My label", "Person's", "Secret Lane", "49.19", PERSONS_IBAN, "Person Secretname", "persons-home",
)  # fmt: skip
HOLD = """insert into holds (user_id, command_id, currency, amount_minor, placed_at, released_at)
    select $1, id, 'CZK', 5, now(), $2::timestamptz from commands"""
TARIFF = {
    "name": "Person's tariff",
    "currency": "CZK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "5.50", "step_size": 1}]}],
}
SECRETS = ("secret", "password_hash", "digest", "key_digest", "body", "registration")


async def give_password(site: Site, person: Person) -> None:
    passwords = Passwords()
    hashed = await passwords.hash(PASSWORD)
    passwords.close()
    await site.execute("update users set password_hash = $1 where id = $2", hashed, person.user_id)


async def settle(site: Site, transaction: str, driver: Person, owner: Person, amount_minor: int, *, back: bool) -> None:
    """What settling would have posted; `back`: and taken back, so that the balances are zero."""
    async with site.sql() as connection, connection.transaction():
        ids = [
            await account_of(connection, person.user_id, kind)
            for person, kind in ((driver, "driver"), (owner, "owner"))
        ]  # fmt: skip
        number = await connection.fetchval("select id from transactions where public_id = $1", UUID(transaction))
        settlement = await connection.fetchval(
            "insert into settlements (transaction_id, revision, driver_account_id, owner_account_id, currency,"
            " net_minor, vat_minor, fee_bp) values ($1, 0, $2, $3, 'CZK', $4, 0, 0) returning id",
            number, *ids, amount_minor,
        )  # fmt: skip
        for debit, credit in (ids, reversed(ids)) if back else (ids,):
            await connection.execute(
                "insert into transfers (settlement_id, debit_account_id, credit_account_id, amount_minor, currency,"
                " kind, is_reversal, booked_on) values ($1, $2, $3, $4, 'CZK', 'charge', $5, current_date)",
                settlement, debit, credit, amount_minor, debit != ids[0],
            )  # fmt: skip
    await site.execute(
        "update transactions set status = 'stopped', total_minor = $2, settled_at = now() where public_id = $1",
        UUID(transaction), amount_minor,
    )  # fmt: skip


async def account_of(connection: asyncpg.Connection, user_id: UUID, kind: str) -> UUID:
    """The account of a person, made where there is none."""
    await connection.execute(
        "insert into ledger_accounts (user_id, kind) values ($1, $2) on conflict do nothing", user_id, kind
    )
    found: UUID = await connection.fetchval(
        "select id from ledger_accounts where user_id = $1 and kind = $2", user_id, kind
    )
    return found


async def whole_database(site: Site) -> dict[str, str]:
    """Every row of every table as text."""
    async with site.sql() as connection:
        tables = [name for name in metadata.tables if name != "certificate_authority"]
        return {
            name: "\n".join(str(row[0]) for row in await connection.fetch(f"select t::text from {name} t"))
            for name in tables
        }


class TestSessions:
    async def test_are_listed_and_ended_one_by_one_or_all_others(self, site: Site, owner: Person) -> None:
        await give_password(site, owner)
        others = []
        for agent in ("phone", "tablet", "laptop"):
            form = {"username": owner.email, "password": PASSWORD}
            answer = await site.client().post("/auth/token", data=form, headers={"User-Agent": agent})
            others.append(site.client(Authorization=f"Bearer {answer.json()['access_token']}"))
        listed = (await owner.get("/me/sessions"))["items"]
        assert [(each["user_agent"], each["current"]) for each in listed] == [
            ("laptop", False), ("tablet", False), ("phone", False), ("tests", True)
        ]  # fmt: skip
        await owner.send("DELETE", f"/me/sessions/{listed[2]['id']}", 204)
        await owner.send("DELETE", f"/me/sessions/{listed[2]['id']}", 404)
        assert [(await other.get("/me")).status_code for other in others] == [401, 200, 200]
        await owner.send("DELETE", "/me/sessions", 204)
        assert [(await other.get("/me")).status_code for other in others] == [401, 401, 401]
        assert [each["current"] for each in (await owner.get("/me/sessions"))["items"]] == [True]


async def live_a_little(site: Site, person: Person, owner: Person) -> str:
    """A bit of everything: a card, a wallbox, a grant, a session at somebody's wallbox, a command, a mail."""
    await give_password(site, person)
    await person.post("/id-tags", {"tag": "SECRETCARD", "label": "My label"}, Idempotency_Key="k1")
    box = await person.charge_point(name="Person's garage")
    await site.accept(box["id"])
    await person.post(f"/charge-points/{box['id']}/start", {"id_tag": "SECRETCARD"})
    shared = await owner.charge_point()
    await site.accept(shared["id"])
    await owner.post(f"/charge-points/{shared['id']}/grants", {"email": person.email})
    transaction = await site.transaction(shared["id"], driver_id=person.user_id, id_tag="SECRETCARD")
    await site.execute(
        """insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied, id_tag,
               meter_stop_wh, stopped_at, reason, received_at)
           select charge_point_id, 1, '', id, true, 'SECRETCARD', 1, now(), 'Local', now() from transactions"""
    )
    await site.execute(
        """insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
               energy_wh, samples) select charge_point_id, now(), 1, 1, id, now(), 4242, '[]' from transactions"""
    )
    await site.client().post("/auth/reset-request", json={"email": person.email})
    await share_a_little(site, person, owner, box["id"])
    await pay_a_little(site, person)
    return transaction


async def share_a_little(site: Site, person: Person, owner: Person, box_id: str) -> None:
    """A place, a group, a tariff, webhooks, invitations and offers, both ways."""
    place = {"name": "Person's yard", "address": "Secret Lane 7", "city": "Brno", "country": "CZE"}
    location = await person.post("/locations", place | {"latitude": "49.1951", "longitude": "16.6068"})
    await person.send("PUT", f"/charge-points/{box_id}/location", 204, json={"location_id": location["id"]})
    await person.post("/grants", {"location_id": location["id"], "email": "third@example.net"})
    mine = await person.post("/groups", {"name": "Person's family"})
    theirs = await owner.post("/groups", {"name": "Neighbours"})
    await person.post(f"/groups/{mine['id']}/members", {"email": owner.email})
    await owner.post(f"/groups/{theirs['id']}/members", {"email": person.email})
    await site.execute(
        """with made as (insert into webhooks (user_id, url, host, secret)
               values ($1, 'https://persons-home.example', 'persons-home.example', 'whsec') returning id)
           insert into webhook_deliveries (webhook_id, event_id, next_at, give_up_at)
           select made.id, e.id, now(), now() from made, (select id from events limit 1) e""",
        person.user_id,
    )
    await person.post("/tariffs", TARIFF)
    sent = "update mails set status = 'sent', body = null, finished_at = now() where recipient = 'third@example.net'"
    await site.execute(sent)
    offered = await owner.charge_point()
    await owner.post(f"/charge-points/{offered['id']}/handover", {"email": person.email})
    await site.execute(
        "insert into grants (charge_point_id, audience, invited_email) values ($1, 'invitation', $2)",
        UUID(offered["id"]), person.email,
    )  # fmt: skip


async def pay_a_little(site: Site, person: Person) -> None:
    """A bank account to be paid on; a payment that came, and went back; a credit limit; a hold that is over."""
    await person.send("PUT", "/payout-account", json={"iban": PERSONS_IBAN, "holder_name": "Person Secretname"})
    operator = await site.person("operator", operator=True)
    symbol = (await person.get("/top-up"))["variable_symbol"]
    lines = f"1,2026-05-04,500.00,CZK,{symbol},Payer\n2,2026-05-05,-500.00,CZK,,Payer\n3,2026-05-05,7.00,CZK,,Other\n"
    statement = "id,date,amount,currency,variable_symbol,name\n" + lines
    await operator.send("POST", "/operator/bank-statements", 201, content=statement.encode())
    waiting = (await operator.get("/operator/bank-movements", open=True))["items"]
    [back] = [each for each in waiting if each["reference"] == "2"]
    meaning = {"meaning": "person", "email": person.email, "note": "sent back"}
    await operator.post(f"/operator/bank-movements/{back['id']}/decisions", meaning)
    await site.execute(
        "insert into credit_limits (user_id, currency, limit_minor, note, set_by, set_at)"
        " values ($1, 'EUR', 1, '', $2, now())",
        person.user_id, operator.user_id,
    )  # fmt: skip
    await site.execute(HOLD, person.user_id, datetime.now(UTC))


class TestExport:
    async def test_has_everything_of_the_person_and_nothing_else(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        transaction = await live_a_little(site, stranger, owner)
        await settle(site, transaction, stranger, owner, 1650, back=False)
        exported = await stranger.get("/me/export")
        tables: dict[str, list[dict[str, Any]]] = exported["tables"]
        assert set(tables) == set(EXPORTED)
        counts = {name: len(rows) for name, rows in tables.items()}
        assert counts == counts | {
            "users": 1, "sessions": 1, "id_tags": 2, "charge_points": 1, "grants": 1, "commands": 1, "transactions": 1,
            "meter_values": 1, "mails": 4, "email_tokens": 1, "ledger_accounts": 1, "transfers": 3, "settlements": 1,
            "idempotency_keys": 1, "refresh_tokens": 1, "transaction_stops": 1, "receipts": 1, "locations": 1,
            "groups": 1, "group_members": 1, "handovers": 1, "tariffs": 1, "tariff_versions": 1, "webhooks": 1,
            "webhook_deliveries": 1, "payment_symbols": 1, "payout_accounts": 1, "bank_movements": 2,
            "bank_postings": 2, "credit_limits": 1, "holds": 1,
        }  # fmt: skip
        assert tables["transactions"][0]["public_id"] == transaction
        assert tables["meter_values"][0]["energy_wh"] == 4242
        assert not [name for rows in tables.values() for row in rows for name in row if name in SECRETS]
        assert owner.email not in str(exported)
        nothing = (await (await site.person("new")).get("/me/export"))["tables"]
        assert {name for name, rows in nothing.items() if rows} == {"users", "sessions", "refresh_tokens", "id_tags"}

    async def test_a_long_one_is_whole(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        await site.transaction(box["id"], driver_id=owner.user_id)
        await site.execute(
            """insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
                   samples)
               select charge_point_id, now() - n * interval '1 second', 1, n, id, now(), '[]'
               from transactions, generate_series(1, 5000) n"""
        )
        assert len((await owner.get("/me/export"))["tables"]["meter_values"]) == 5000


class TestErasure:
    async def test_leaves_nothing_but_opaque_ids_and_amounts(self, site: Site, owner: Person, stranger: Person) -> None:
        transaction = await live_a_little(site, stranger, owner)
        await settle(site, transaction, stranger, owner, 1650, back=True)
        [box] = [each for each in (await stranger.get("/charge-points"))["items"] if each["role"] == "owner"]
        await stranger.send("DELETE", f"/charge-points/{box['id']}", 204)
        await owner.post("/auth/logout", status=204)
        before = await whole_database(site)
        for trace in (stranger.email, *TRACES):
            assert any(trace in text for text in before.values()), f"{trace}: the test can see nothing vanish"
        await stranger.post("/me/erasure", {"password": PASSWORD}, 204)
        after = await whole_database(site)
        for trace in (stranger.email, *TRACES):
            assert [name for name, text in after.items() if trace in text] == [], trace
        assert after["transfers"] == before["transfers"]
        await stranger.get("/me", 401)
        [kept] = [line for line in after["users"].splitlines() if str(stranger.user_id) in line]
        assert f"{stranger.user_id}@erased.invalid" in kept
        assert "user.erased" in after["audit_log"]
        for kept in ("bank_movements", "bank_postings", "holds", "payment_symbols", "credit_limits", "settlements"):
            assert after[kept] == before[kept], kept
        assert await site.value(
            "select count(*) from grants where revoked_at is null and coalesce(user_id, $1) = $1", stranger.user_id
        ) == 0  # fmt: skip
        assert after["group_members"] == ""
        assert "third@example.net" not in after["grants"]

    async def test_the_address_is_free_again_and_the_old_password_worth_nothing(
        self, site: Site, stranger: Person
    ) -> None:
        await give_password(site, stranger)
        await stranger.post("/me/erasure", {"password": "wrong password"}, 403)
        await stranger.post("/me/erasure", {"password": PASSWORD}, 204)
        client = site.client()
        for email in (stranger.email, f"{stranger.user_id}@erased.invalid"):
            form = {"username": email, "password": PASSWORD}
            assert (await client.post("/auth/token", data=form)).status_code == 401
        again = {"email": stranger.email, "password": PASSWORD, "display_name": "Me again"}
        assert (await client.post("/auth/register", json=again)).status_code == 201

    async def test_is_refused_with_each_reason_and_then_changes_nothing(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        await give_password(site, stranger)
        mine, theirs = await stranger.charge_point(), await owner.charge_point()
        running = await site.transaction(mine["id"], number=1)
        held = await site.transaction(theirs["id"], number=2, driver_id=stranger.user_id, status="stopped",
                                      total_minor=5, held_reasons=["energy_above_rated_power"])  # fmt: skip
        refused = await stranger.post("/me/erasure", {"password": PASSWORD}, 409)
        assert refused["type"] == "/problems/erasure-refused"
        assert refused["reasons"] == ["charge_points", "open_sessions", "unsettled_sessions"]
        await stranger.get("/me")
        for transaction in (running, held):
            await site.execute(
                "update transactions set status = 'stopped', settled_at = now() where public_id = $1", UUID(transaction)
            )
        await stranger.send("DELETE", f"/charge-points/{mine['id']}", 204)
        await settle(site, held, stranger, owner, 500, back=False)
        refused = await stranger.post("/me/erasure", {"password": PASSWORD}, 409)
        assert refused["reasons"] == ["balance"]

    async def test_is_refused_while_money_is_kept_or_on_its_way(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        await live_a_little(site, stranger, owner)
        [box] = [each for each in (await stranger.get("/charge-points"))["items"] if each["role"] == "owner"]
        await stranger.send("DELETE", f"/charge-points/{box['id']}", 204)
        await site.execute("update transactions set status = 'stopped', settled_at = now()")
        async with site.sql() as connection:
            account_id = await account_of(connection, stranger.user_id, "owner")
        await site.execute(
            "insert into payouts (account_id, iban, holder_name, amount_minor, currency, created_by)"
            " values ($1, 'CZ1', 'x', 1, 'CZK', $2)",
            account_id, stranger.user_id,
        )  # fmt: skip
        await site.execute("update commands set status = 'queued'")
        await site.execute("update holds set released_at = null")
        refused = await stranger.post("/me/erasure", {"password": PASSWORD}, 409)
        assert refused["reasons"] == ["holds", "open_payout"]
        await site.execute("update payouts set status = 'cancelled', ended_at = now()")
        await site.execute("update commands set status = 'rejected', finished_at = now()")
        await stranger.post("/me/erasure", {"password": PASSWORD}, 204)
        assert await site.value("select count(*) from holds where released_at is null") == 0, "it was for nothing"

    async def test_a_wallbox_that_was_taken_over_keeps_no_address(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        await give_password(site, owner)
        await give_password(site, stranger)
        box = await owner.charge_point()
        offer = await owner.post(f"/charge-points/{box['id']}/handover", {"email": stranger.email})
        await stranger.post(f"/handovers/{offer['id']}/accept")
        await owner.post("/me/erasure", {"password": PASSWORD}, 204)
        assert (await stranger.get("/handovers"))["items"][0]["email"] == stranger.email
        await stranger.send("DELETE", f"/charge-points/{box['id']}", 204)
        await stranger.post("/me/erasure", {"password": PASSWORD}, 204)
        after = await whole_database(site)
        for email in (owner.email, stranger.email):
            assert [name for name, text in after.items() if email in text] == []
        assert await site.value("select status from handovers") == "accepted"

    async def test_twice_at_once(self, site: Site, stranger: Person) -> None:
        await give_password(site, stranger)
        answers = await asyncio.gather(
            *(stranger.http.post("/me/erasure", json={"password": PASSWORD}) for _ in range(3))
        )
        assert 204 in {answer.status_code for answer in answers}
        assert {answer.status_code for answer in answers} <= {204, 401, 403}
        assert await site.value("select count(*) from audit_log") >= 1


@pytest.mark.parametrize(
    "statement", ["update audit_log set action = 'x'", "delete from audit_log", "truncate audit_log"]
)
async def test_the_audit_log_cannot_be_changed_by_the_services(site: Site, statement: str) -> None:
    with pytest.raises(Exception, match="permission denied"):
        await site.execute(statement)
