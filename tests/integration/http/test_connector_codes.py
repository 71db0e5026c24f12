"""Connector codes over HTTP: unguessable, renewable, and nothing about who owns what they lead to."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.http.site import Person, Site
from tests.unit.api.documents.reading import page_count, text_of

STATUS = """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch,
    sequence) values ($1, $2, 'Charging', 'NoError', now(), now(), 1, 1)"""


@pytest.fixture
async def box(site: Site, owner: Person) -> str:
    """A wallbox of two connectors."""
    created = str((await owner.charge_point(name="Garáž U Třešně"))["id"])
    for connector_id in (0, 1, 2):
        await site.execute(STATUS, UUID(created), connector_id)
    return created


async def codes(person: Person, box: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await person.get(f"/charge-points/{box}/connector-codes"))["items"]
    return items


async def scanned(site: Site, code: str) -> Any:
    answer = await site.client(base="http://voltuj.test").get(f"/c/{code}")
    return answer.json() if answer.status_code == 200 else answer.status_code


async def test_each_connector_has_a_code_that_stays(site: Site, owner: Person, box: str) -> None:
    made = await codes(owner, box)
    assert [item["connector_id"] for item in made] == [1, 2]
    assert all(re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){2}[2-9A-HJ-NP-Z]{4}", item["code"]) for item in made)
    assert made[0]["url"] == "https://jedlickaf.test/c/" + made[0]["code"].replace("-", "")
    assert await codes(owner, box) == made
    fresh = str((await owner.charge_point())["id"])
    assert [item["connector_id"] for item in await codes(owner, fresh)] == [1], "before it ever said anything"


async def test_whoever_looks_first_all_see_the_same_code(owner: Person, box: str) -> None:
    seen = await asyncio.gather(*(codes(owner, box) for _ in range(5)))
    assert all(each == seen[0] for each in seen)


async def test_a_code_leads_to_what_one_stands_before_and_to_nothing_about_its_owner(
    site: Site, owner: Person, box: str
) -> None:
    code = (await codes(owner, box))[1]["code"]
    place = await scanned(site, code)
    assert place == {
        "code": code, "name": "Garáž U Třešně", "connector_id": 2, "status": "Charging", "online": False,
        "login_required": True,
    }  # fmt: skip
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " ")):
        assert await scanned(site, typed) == place


async def test_codes_that_lead_nowhere_all_look_the_same(site: Site, owner: Person, box: str) -> None:
    [old, gone] = [item["code"] for item in await codes(owner, box)]
    await owner.post(f"/charge-points/{box}/connectors/1/code")
    await site.execute("delete from connectors where connector_id = 2")
    other = str((await owner.charge_point())["id"])
    gone = (await codes(owner, other))[0]["code"]
    await owner.send("DELETE", f"/charge-points/{other}", 204)
    answers = set()
    client = site.client(base="http://voltuj.test")
    for code in (old, gone, "2222-2222-2222", "0000-0000-0000", "short", "x" * 3000, str(uuid4()), "%00", "Ž"):
        answer = await client.get(f"/c/{code}")
        body = answer.json()
        answers.add((answer.status_code, body["type"], body["title"], body["detail"], tuple(sorted(body))))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404


async def test_a_renewed_code_ends_the_old_one(site: Site, owner: Person, box: str) -> None:
    before = await codes(owner, box)
    path = f"/charge-points/{box}/connectors/1/code"
    renewed = await owner.post(path, Idempotency_Key="once")
    assert await owner.post(path, Idempotency_Key="once") == renewed
    assert renewed["code"] != before[0]["code"]
    assert await codes(owner, box) == [renewed, before[1]]
    assert await scanned(site, before[0]["code"]) == 404
    assert (await scanned(site, renewed["code"]))["connector_id"] == 1
    await owner.post(f"/charge-points/{box}/connectors/7/code", status=404)
    await owner.post(f"/charge-points/{box}/connectors/0/code", status=422)


async def test_of_renewals_at_once_one_code_is_left(site: Site, owner: Person, box: str) -> None:
    path = f"/charge-points/{box}/connectors/1/code"
    made = await asyncio.gather(*(owner.post(path) for _ in range(5)))
    left = [item["code"] for item in made if await scanned(site, item["code"]) != 404]
    assert left == [(await codes(owner, box))[0]["code"]]


async def test_a_guest_may_charge_and_not_print(site: Site, owner: Person, stranger: Person, box: str) -> None:
    await owner.post(f"/charge-points/{box}/grants", {"email": stranger.email})
    for path in ("connector-codes", "connectors/1/sticker"):
        await stranger.get(f"/charge-points/{box}/{path}", 403)
    await stranger.post(f"/charge-points/{box}/connectors/1/code", status=403)
    await stranger.get("/stickers.pdf", 403, charge_point_id=box)


async def test_stickers_as_image_drawing_and_page(owner: Person, box: str) -> None:
    code = (await codes(owner, box))[0]["code"]
    path = f"/charge-points/{box}/connectors/1/sticker"
    for form, media_type, start in (
        ("png", "image/png", b"\x89PNG"),
        ("svg", "image/svg+xml", b"<svg"),
        ("pdf", "application/pdf", b"%PDF"),
    ):
        answer = await owner.http.get(path, params={"format": form, "lang": "cs"})
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, media_type)
        assert answer.content.startswith(start)
    text = text_of(answer.content)
    assert code in text
    assert "Garáž U Třešně" in text
    await owner.get(path, 422, format="gif")
    await owner.get(f"/charge-points/{box}/connectors/9/sticker", 404)


async def test_a_sheet_of_all_connectors_of_several_wallboxes(owner: Person, stranger: Person, box: str) -> None:
    other = str((await owner.charge_point(name="Zahrada"))["id"])
    answer = await owner.http.get("/stickers.pdf", params={"charge_point_id": [box, other, box], "lang": "cs"})
    assert answer.headers["content-type"] == "application/pdf"
    text = text_of(answer.content)
    assert page_count(answer.content) == 1
    for item in [*await codes(owner, box), *await codes(owner, other)]:
        assert text.count(item["code"]) == 1
    foreign = str((await stranger.charge_point())["id"])
    await owner.get("/stickers.pdf", 404, charge_point_id=[box, foreign])
    await owner.get("/stickers.pdf", 422)


async def test_the_database_takes_no_second_code_and_no_ambiguous_letter(site: Site, owner: Person, box: str) -> None:
    await codes(owner, box)
    insert = "insert into connector_codes (charge_point_id, connector_id, code) values ($1, $2, $3)"
    with pytest.raises(asyncpg.UniqueViolationError):
        await site.execute(insert, UUID(box), 1, "234567892345")
    with pytest.raises(asyncpg.CheckViolationError):
        await site.execute(insert, UUID(box), 3, "O00000000000")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await site.execute("delete from connector_codes")
