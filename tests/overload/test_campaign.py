"""A small overload, and proof that its checks see what is wrong."""

from pathlib import Path

import asyncpg
import pytest

from standalone.databases import DatabaseUrls
from tests.overload import campaign, checks
from tests.overload.campaign import Sizes
from tests.overload.watchers import Inboxes, Memory
from wire.messages import ChargePointCall, encode

SEED = 7
SMALL = Sizes(seconds=2.0, in_flight=2, charge_points=2)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_ten_times_too_much(own_folder: Path) -> None:
    report = await campaign.run(sizes=SMALL, seed=SEED, folder=own_folder, progress=print)
    assert report.problems == []
    assert report.sessions >= SMALL.sessions
    assert report.refusals["503"] > 0
    assert report.acknowledged > campaign.GATEWAYS * SMALL.flood


def call(charge_point_id: str, action: str) -> ChargePointCall:
    return ChargePointCall(f"{charge_point_id}-{action}", charge_point_id, 1, 1, "m", action, b"{}", 0, 0, "gateway")


@pytest.mark.parametrize(
    ("order", "problems"),
    [
        (["boot", "start", "values", "values-2"], 0),
        (["values", "start", "values-2"], 1),
        (["values", "values-2"], 1),
    ],
)
def test_readings_before_a_start_are_seen(order: list[str], problems: int) -> None:
    calls = {
        "start": call("S", "StartTransaction"),
        "values": call("V", "MeterValues"),
        "values-2": call("W", "MeterValues"),
        "boot": call("B", "BootNotification"),
    }
    inboxes = Inboxes()
    for name in order:
        inboxes.take("inbox", encode([calls[name]]))
        inboxes.take("inbox", encode([calls[name]]))
    assert len(checks.starts_first(inboxes, {"S"})) == problems


def test_a_process_that_grows_is_seen() -> None:
    most = 100 + checks.ROOM_MIB
    memory = Memory({"listener-0": 100.0, "gateway-0": 100.0}, {"listener-0": most, "gateway-0": most + 1})
    assert checks.bounded(memory, connections=1024, pushy=0) == []
    memory.highest = {"listener-0": most + 1, "gateway-0": most + 65}
    assert len(checks.bounded(memory, connections=1024, pushy=0)) == 2


async def test_a_reading_that_was_acknowledged_and_is_not_there_is_seen(database: DatabaseUrls) -> None:
    connection = await asyncpg.connect(database.owner)
    lost = await checks.committed(connection, {"nobody": 3}, 0)
    assert lost == ["nobody: 3 readings were acknowledged and 0 are there"]
    assert await checks.committed(connection, {"nobody": 0}, 0) == []
    await connection.close()
