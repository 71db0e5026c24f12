"""The register continuity report over HTTP: pairs of sessions at each connector, for those who own the wallbox."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.http.site import START, Person, Site


@pytest.fixture
async def box(owner: Person) -> str:
    return str((await owner.charge_point())["id"])


async def session(site: Site, box: str, hour: int, start_wh: int, stop_wh: int | None, *, connector_id: int = 1) -> str:
    """An hour of charging."""
    began = START + timedelta(hours=hour)
    ended: dict[str, Any] = {"status": "abandoned"} if stop_wh is None else {
        "status": "stopped", "stopped_at": began + timedelta(hours=1), "meter_stop_wh": stop_wh,
    }  # fmt: skip
    return await site.transaction(
        box, number=hour * 10 + connector_id, started_at=began, meter_start_wh=start_wh, connector_id=connector_id,
        **ended,
    )  # fmt: skip


def shape(pair: dict[str, Any]) -> tuple[Any, ...]:
    findings = [(each["kind"], each["energy_wh"]) for each in pair["findings"]]
    return pair["connector_id"], pair["next_meter_start_wh"], pair["gap_wh"], findings


@pytest.fixture
async def sessions(site: Site, box: str) -> list[str]:
    """At connector 1: what fits, a gap, a fall, one that never ended; at connector 2 another meter."""
    rows = ((0, 1000, 2000), (2, 2000, 3000), (4, 3500, 4000), (6, 100, None), (8, 400, 500))
    made = [await session(site, box, *row) for row in rows]
    await session(site, box, 1, 90_000, 91_000, connector_id=2)
    await session(site, box, 3, 91_000, 92_000, connector_id=2)
    return made


async def test_each_session_is_held_against_the_one_before_it_at_its_connector(
    owner: Person, box: str, sessions: list[str]
) -> None:
    items = (await owner.get(f"/charge-points/{box}/register-continuity"))["items"]
    assert [shape(pair) for pair in items] == [
        (1, 2000, 0, []),
        (2, 91_000, 0, []),
        (1, 3500, 500, [("unbilled", 500)]),
        (1, 100, -3900, [("backwards", 3900)]),
        (1, 400, None, [("not_stopped", 300)]),
    ]
    assert (items[0]["transaction_id"], items[0]["next_transaction_id"]) == (sessions[0], sessions[1])
    assert (items[4]["stopped_at"], items[4]["meter_stop_wh"]) == (None, None)


async def test_it_is_read_page_by_page_in_a_range_of_time(owner: Person, box: str, sessions: list[str]) -> None:
    path = f"/charge-points/{box}/register-continuity"
    whole, cursor = [], None
    while True:
        page = await owner.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
        whole += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert whole == (await owner.get(path))["items"]
    begins, ends = (START + timedelta(hours=hour) for hour in (4, 8))
    part = (await owner.get(path, **{"from": begins.isoformat(), "to": ends.isoformat()}))["items"]
    assert [shape(pair)[1] for pair in part] == [3500, 100], "the session before the range is the first's other half"
    await owner.get(path, 422, **{"from": "yesterday"})


async def test_the_csv_has_the_same_rows(owner: Person, box: str, sessions: list[str]) -> None:
    answer = await owner.http.get(f"/charge-points/{box}/register-continuity.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["gap_wh"], row["findings"]) for row in rows] == [
        ("0", ""), ("0", ""), ("500", "unbilled"), ("-3900", "backwards"), ("", "not_stopped"),
    ]  # fmt: skip
    assert datetime.fromisoformat(rows[0]["next_started_at"]) == START + timedelta(hours=2)


async def test_guests_and_strangers_do_not_read_it(site: Site, owner: Person, stranger: Person, box: str) -> None:
    operator = await site.person("operator", operator=True)
    for path in ("register-continuity", "register-continuity.csv"):
        await stranger.get(f"/charge-points/{box}/{path}", 404)
        assert (await operator.http.get(f"/charge-points/{box}/{path}")).status_code == 200
    await owner.post(f"/charge-points/{box}/grants", {"email": stranger.email})
    for path in ("register-continuity", "register-continuity.csv"):
        await stranger.get(f"/charge-points/{box}/{path}", 403)


async def test_sessions_of_another_wallbox_are_not_among_them(site: Site, owner: Person, box: str) -> None:
    other = str((await owner.charge_point())["id"])
    await session(site, box, 0, 0, 1000)
    await session(site, other, 2, 5000, 6000)
    for each in (box, other):
        assert (await owner.get(f"/charge-points/{each}/register-continuity"))["items"] == []
