"""Operators look after accounts, and the audit log tells who did what: in the same transaction, by opaque ids."""

from typing import Any
from uuid import UUID

from tests.integration.http.site import Person, Site
from tests.integration.http.test_accounts import registration


async def entries(operator: Person, **wanted: Any) -> list[tuple[Any, ...]]:
    """Actor, action and subject of the audit log, oldest first."""
    items = (await operator.get("/operator/audit-log", **wanted))["items"]
    return [(each["actor_id"], each["action"], each["subject_id"]) for each in reversed(items)]


async def test_accounts_are_found_by_name_and_state(site: Site, operator: Person, owner: Person) -> None:
    await site.execute("update users set display_name = 'Žofie 100%_' where id = $1", owner.user_id)

    async def found(**wanted: Any) -> list[str]:
        return [each["email"] for each in (await operator.get("/operator/users", **wanted))["items"]]

    assert await found() == [owner.email, operator.email]
    assert await found(search="ŽOFIE") == await found(search="%_") == await found(search=owner.email[:9].upper())
    assert await found(search="%_") == [owner.email]
    assert await found(role="operator") == [operator.email]
    assert await found(disabled=True) == []
    page = await operator.get("/operator/users", limit=1)
    rest = await operator.get("/operator/users", limit=1, cursor=page["next_cursor"])
    assert [each["email"] for each in (*page["items"], *rest["items"])] == [owner.email, operator.email]
    assert (await operator.get(f"/operator/users/{owner.user_id}"))["display_name"] == "Žofie 100%_"


async def test_disable_enable_log_out_and_roles_are_written_down(site: Site, operator: Person, owner: Person) -> None:
    path = f"/operator/users/{owner.user_id}"
    assert (await operator.send("PATCH", path, json={"disabled": True}))["disabled_at"]
    await owner.get("/me", 401)
    assert (await operator.send("PATCH", path, json={"disabled": True, "role": None}))["role"] == "user"
    assert (await operator.send("PATCH", path, json={"disabled": False, "role": "operator"}))["disabled_at"] is None
    await owner.get("/me", 401)
    other = await site.person("other")
    await operator.send("DELETE", f"/operator/users/{other.user_id}/sessions", 204)
    await other.get("/me", 401)
    actor, subject = str(operator.user_id), str(owner.user_id)
    assert await entries(operator) == [
        (actor, "user.disabled", subject),
        (actor, "user.role_changed", subject),
        (actor, "user.enabled", subject),
        (actor, "user.sessions_ended", str(other.user_id)),
    ]
    assert len(await entries(operator, subject_id=subject)) == 3
    assert await entries(operator, actor_id=subject) == []
    assert "@" not in str(await site.value("select string_agg(t::text, '') from audit_log t"))


async def test_nobody_changes_the_own_account_so_that_an_operator_is_left(site: Site, operator: Person) -> None:
    path = f"/operator/users/{operator.user_id}"
    for change in ({"role": "user"}, {"disabled": True}):
        await operator.send("PATCH", path, 409, json=change)
    await operator.get("/operator/users")
    assert await entries(operator) == []


async def test_commands_to_others_wallboxes_and_decisions_are_written_down(
    site: Site, operator: Person, owner: Person
) -> None:
    box = await owner.charge_point()
    await site.accept(box["id"])
    send = {"action": "ClearCache", "payload": {}}
    await owner.post(f"/charge-points/{box['id']}/commands", send)
    sent = await operator.post(f"/charge-points/{box['id']}/commands", send)
    held = await site.transaction(
        box["id"], status="stopped", total_minor=5, currency="CZK", held_reasons=["energy_above_rated_power"]
    )
    await owner.post(f"/transactions/{held}/decisions", {"decision": "waive", "note": "A gift."})
    assert await entries(operator) == [
        (str(operator.user_id), "command.sent", sent["id"]),
        (str(owner.user_id), "transaction.waive", held),
    ]


async def test_a_registration_that_waits_gets_another_mail(strict_site: Site) -> None:
    operator = await strict_site.person("operator", operator=True)
    await strict_site.client().post("/auth/register", json=registration())
    [waiting] = (await operator.get("/operator/registrations"))["items"]
    assert waiting["email"] == "jana@example.org"
    await operator.post(f"/operator/registrations/{waiting['id']}/resend", status=204)
    assert len(await strict_site.mails("jana@example.org")) == 2
    [mail, _] = (await operator.get("/operator/mails", status="queued"))["items"]
    assert (mail["recipient"], "body" in mail) == ("jana@example.org", False)
    assert (await operator.get("/operator/mails", status="failed"))["items"] == []
    assert [each[1] for each in await entries(operator)] == ["registration.resent"]


async def test_none_of_it_is_there_for_others(site: Site, owner: Person, stranger: Person) -> None:
    for path in ("users", f"users/{owner.user_id}", "registrations", "audit-log", "mails"):
        await stranger.get(f"/operator/{path}", 404)
    await stranger.send("PATCH", f"/operator/users/{stranger.user_id}", 404, json={"role": "operator"})
    assert await site.value("select role from users where id = $1", UUID(str(stranger.user_id))) == "user"
