"""Registering with a proven address, new passwords, new addresses: secrets of mails count once, and tell nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.harness.stack import eventually
from tests.integration.http.site import Person, Site
from tests.integration.http.test_accounts import PASSWORD, log_in, registration

JANA = "jana@example.org"
NEW = "another battery staple"


async def register(client: httpx.AsyncClient, status: int = 202, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/auth/register", json=registration(**changes))
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def confirm(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/auth/register/verify", json={"token": token})


async def reset(client: httpx.AsyncClient, token: str, password: str = NEW) -> httpx.Response:
    return await client.post("/auth/reset", json={"token": token, "password": password})


async def allow_more_mails(site: Site) -> None:
    """Forgets how many were sent."""
    redis = site.app.state.bus.redis
    async for key in redis.scan_iter(f"{site.settings.redis_prefix}limits*"):
        await redis.delete(key)


@pytest.fixture
async def jana(strict_site: Site) -> Person:
    """Somebody with a password."""
    client = strict_site.client()
    await register(client)
    await confirm(client, await strict_site.mailed_code(JANA))
    tokens = (await log_in(client, JANA)).json()
    me = strict_site.client(Authorization=f"Bearer {tokens['access_token']}")
    found = await strict_site.value("select id from users")
    person = Person(found, JANA, me, None)  # type: ignore[arg-type]
    await allow_more_mails(strict_site)
    return person


class TestRegistration:
    async def test_there_is_no_account_before_the_mail_is_confirmed(self, strict_site: Site) -> None:
        client = strict_site.client()
        assert await register(client) == {"email": JANA, "status": "verification_sent"}
        assert await strict_site.value("select count(*) from users") == 0
        assert (await log_in(client, JANA)).status_code == 401
        [mail] = await strict_site.mails(JANA)
        assert mail["subject"] == "Voltuj: potvrďte svou e-mailovou adresu", "in the language that was asked for"
        assert "https://jedlickaf.test/verify-email#" in mail["body"]
        assert "Jana" not in mail["body"], "nothing that a stranger could have typed"
        created = await confirm(client, await strict_site.mailed_code(JANA))
        assert (created.status_code, created.json()["email"], created.json()["display_name"]) == (201, JANA, "Jana")
        assert (await log_in(client, JANA)).status_code == 200
        assert await strict_site.value("select email_verified_at is not null from users")

    async def test_the_secret_counts_once_and_is_stored_as_a_digest(self, strict_site: Site) -> None:
        client = strict_site.client()
        await register(client)
        code = await strict_site.mailed_code(JANA)
        stored = await strict_site.value("select row_to_json(email_tokens)::text from email_tokens")
        assert code not in stored
        assert PASSWORD not in stored
        answers = await asyncio.gather(*(confirm(client, code) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 410, 410, 410]
        assert await strict_site.value("select count(*) from users") == 1

    async def test_a_secret_that_expired_is_unknown_or_is_for_something_else(
        self, strict_site: Site, jana: Person
    ) -> None:
        client = strict_site.client()
        await register(client, email="b@example.org")
        code = await strict_site.mailed_code("b@example.org")
        assert (await reset(client, code)).status_code == 410
        assert (await client.post("/auth/change-email", json={"token": code})).status_code == 410
        await strict_site.execute("update email_tokens set expires_at = now()")
        refused = [await confirm(client, token) for token in (code, "unknown", code + "x")]
        assert {answer.json()["type"] for answer in refused} == {"/problems/link-expired"}
        await jana.get("/me")

    async def test_an_address_that_has_an_account_gets_the_same_answer_and_another_mail(
        self, strict_site: Site, jana: Person
    ) -> None:
        client = strict_site.client()
        unknown = await register(client, email="new@example.org")
        known = await register(client, email=JANA, password="something else entirely")
        assert {**unknown, "email": ""} == {**known, "email": ""}
        assert [mail["kind"] for mail in await strict_site.mails(JANA)] == ["verify", "registered_already"]
        assert (await log_in(client, JANA)).status_code == 200, "nothing was changed"

    async def test_who_confirms_gets_the_account_as_it_was_asked_for_there(self, strict_site: Site) -> None:
        """An account that somebody else prepared with my address is not the one that I confirm."""
        client = strict_site.client()
        await register(client, password="the stranger's password")
        strangers = await strict_site.mailed_code(JANA)
        await register(client)
        mine = await strict_site.mailed_code(JANA)
        await register(client, password="the stranger's password")
        assert (await confirm(client, mine)).status_code == 201
        assert (await confirm(client, strangers)).status_code == 410
        assert (await log_in(client, JANA)).status_code == 200
        assert (await log_in(client, JANA, "the stranger's password")).status_code == 401

    async def test_two_registrations_confirmed_at_once_make_one_account(self, strict_site: Site) -> None:
        client = strict_site.client()
        codes = []
        for _ in range(3):
            await register(client)
            codes.append(await strict_site.mailed_code(JANA))
        answers = await asyncio.gather(*(confirm(client, code) for code in codes))
        assert sorted(answer.status_code for answer in answers) == [201, 410, 410]

    async def test_mails_are_sent_again_but_not_without_end(self, strict_site: Site) -> None:
        client = strict_site.client()
        await register(client)
        first = await strict_site.mailed_code(JANA)
        for address in (JANA, "nobody@example.org"):
            for _ in range(2):
                again = await client.post("/auth/register/resend", json={"email": address})
                assert again.status_code == 202
        assert await strict_site.mails("nobody@example.org") == []
        assert len(await strict_site.mails(JANA)) == 3
        refused = await client.post("/auth/register/resend", json={"email": JANA})
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 600
        assert refused.json()["type"] == "/problems/too-many-requests"
        await register(client, 429)
        assert len(await strict_site.mails(JANA)) == 3
        assert (await confirm(client, first)).status_code == 201, "each of them counts"


async def test_a_password_that_is_guessed_early_is_refused_wherever_one_is_chosen(
    strict_site: Site, jana: Person
) -> None:
    client, weak = strict_site.client(), "password123"
    refused = await register(client, 422, email="new@example.org", password=weak)
    assert [each["field"] for each in refused["errors"]] == ["body.password"]
    assert "common" in refused["errors"][0]["message"]
    assert await strict_site.mails("new@example.org") == []
    changed = await jana.http.post("/me/password", json={"old_password": PASSWORD, "new_password": JANA})
    assert [each["field"] for each in changed.json()["errors"]] == ["body.new_password"]
    await client.post("/auth/reset-request", json={"email": JANA})
    code = await strict_site.mailed_code(JANA)
    assert (await reset(client, code, weak)).status_code == 422
    assert (await reset(client, code)).status_code == 204, "the secret still counts"


class TestReset:
    async def test_the_new_password_counts_and_every_log_in_ends(self, strict_site: Site, jana: Person) -> None:
        client = strict_site.client()
        for address in (JANA, "nobody@example.org"):
            asked = await client.post("/auth/reset-request", json={"email": address})
            assert (asked.status_code, "detail" in asked.json()) == (202, True)
        assert await strict_site.mails("nobody@example.org") == []
        code = await strict_site.mailed_code(JANA)
        assert (await reset(client, code, "too short")).status_code == 422
        assert (await reset(client, code)).status_code == 204
        assert (await reset(client, code, "a third battery staple")).status_code == 410
        await jana.get("/me", 401)
        assert (await log_in(client, JANA)).status_code == 401
        assert (await log_in(client, JANA, NEW)).status_code == 200
        assert (await strict_site.mails(JANA))[-1]["kind"] == "password_changed"

    async def test_of_two_mails_used_at_once_one_counts(self, strict_site: Site, jana: Person) -> None:
        client = strict_site.client()
        codes = []
        for _ in range(3):
            await client.post("/auth/reset-request", json={"email": JANA})
            codes.append(await strict_site.mailed_code(JANA))
        answers = await asyncio.gather(*(reset(client, code, NEW + code) for code in codes))
        assert sorted(answer.status_code for answer in answers) == [204, 410, 410]

    async def test_not_for_who_is_disabled(self, strict_site: Site, jana: Person) -> None:
        client = strict_site.client()
        await client.post("/auth/reset-request", json={"email": JANA})
        code = await strict_site.mailed_code(JANA)
        await strict_site.execute("update users set disabled_at = now()")
        assert (await reset(client, code)).status_code == 410
        before = len(await strict_site.mails(JANA))
        assert (await client.post("/auth/reset-request", json={"email": JANA})).status_code == 202
        assert len(await strict_site.mails(JANA)) == before


async def test_a_password_that_is_replaced_while_it_is_checked_opens_nothing(strict_site: Site, jana: Person) -> None:
    client = strict_site.client()
    bodies = {"old_password": PASSWORD, "new_password": NEW}
    attempts: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: log_in(client, JANA),
        lambda: jana.http.post("/me/password", json=bodies),
    ]
    for attempt, refused in zip(attempts, (401, 403), strict=True):
        before = await strict_site.value("select password_hash from users")
        async with strict_site.sql() as connection:
            async with connection.transaction():
                await connection.execute("update users set password_hash = 'replaced'")
                answer: asyncio.Task[httpx.Response] = asyncio.create_task(attempt())  # type: ignore[arg-type]

                async def is_waiting() -> bool:
                    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = $1"
                    name = await connection.fetchval("select current_database()")
                    return bool(await strict_site.value(waiting, name))

                await eventually(is_waiting, "the request to wait for the row")
            assert (await answer).status_code == refused
        await strict_site.execute("update users set password_hash = $1", before)
    assert await strict_site.value("select count(*) from sessions where revoked_at is null") == 1


class TestChangeOfPassword:
    async def test_needs_the_old_one_and_ends_the_other_log_ins(self, strict_site: Site, jana: Person) -> None:
        client = strict_site.client()
        other = (await log_in(client, JANA)).json()
        await client.post("/auth/reset-request", json={"email": JANA})
        link = await strict_site.mailed_code(JANA)
        wrong = await jana.post("/me/password", {"old_password": NEW, "new_password": NEW}, 403)
        assert wrong["type"] == "/problems/wrong-password"
        await jana.post("/me/password", {"old_password": PASSWORD, "new_password": NEW}, 204)
        await jana.get("/me")
        stale = strict_site.client(Authorization=f"Bearer {other['access_token']}")
        assert (await stale.get("/me")).status_code == 401
        renewed = await client.post("/auth/refresh", json={"refresh_token": other["refresh_token"]})
        assert renewed.status_code == 401
        assert (await log_in(client, JANA, NEW)).status_code == 200
        assert (await reset(client, link)).status_code == 410, "a link of before counts no more"

    async def test_guessing_the_old_one_is_throttled(self, strict_site: Site, jana: Person) -> None:
        body = {"old_password": "not this one", "new_password": NEW}
        statuses = [(await jana.http.post("/me/password", json=body)).status_code for _ in range(12)]
        assert statuses == [403] * 10 + [429] * 2


class TestChangeOfEmail:
    async def test_the_new_address_is_proven_and_the_old_one_told(self, strict_site: Site, jana: Person) -> None:
        client = strict_site.client()
        await client.post("/auth/reset-request", json={"email": JANA})
        link = await strict_site.mailed_code(JANA)
        await jana.post("/me/email", {"email": "jn@example.org", "password": "wrong"}, 403)
        await jana.post("/me/email", {"email": "JN@example.org", "password": PASSWORD}, 202)
        assert (await jana.get("/me"))["email"] == JANA, "until it is confirmed"
        code = await strict_site.mailed_code("jn@example.org")
        answers = await asyncio.gather(*(client.post("/auth/change-email", json={"token": code}) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [204, 410, 410]
        assert (await jana.get("/me"))["email"] == "jn@example.org"
        assert (await strict_site.mails(JANA))[-1]["kind"] == "email_changed"
        assert (await log_in(client, JANA)).status_code == 401
        assert (await log_in(client, "jn@example.org")).status_code == 200
        assert (await reset(client, link)).status_code == 410, "the old mailbox may be somebody else's by now"

    async def test_an_address_that_is_taken_tells_nothing(self, strict_site: Site, jana: Person) -> None:
        other = await strict_site.person("other")
        taken = await jana.post("/me/email", {"email": other.email, "password": PASSWORD}, 202)
        free = await jana.post("/me/email", {"email": "free@example.org", "password": PASSWORD}, 202)
        assert taken == free
        assert [mail["kind"] for mail in await strict_site.mails(other.email)] == ["registered_already"]
        code = await strict_site.mailed_code("free@example.org")
        await strict_site.execute("update users set email = 'free@example.org' where email = $1", other.email)
        late = await strict_site.client().post("/auth/change-email", json={"token": code})
        assert late.status_code == 409
        assert (await jana.get("/me"))["email"] == JANA
