"""A small fault campaign, and proof that its checker sees what is wrong: rows that were touched behind its back."""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from standalone.databases import with_parts
from tests.faults.campaign import campaign, fleet, verdict
from tests.faults.campaign.journal import Journal
from tests.faults.campaign.stage import set_up
from tests.harness.person import Person

SESSIONS = 300
SEED = 20
CHARGE_POINTS = 24
DEADLINE_S = 400.0

FORGERIES = {
    "a lost meter value": "delete from meter_values where energy_wh = (select max(energy_wh) from meter_values)",
    "energy that is off": "update transactions set energy_wh = energy_wh + 1 where status = 'stopped'",
    "a second Stop": """
        insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied,
            meter_stop_wh, stopped_at, reason, received_at)
        select charge_point_id, ocpp_transaction_id, '\\x00', transaction_id, false, 1, now(), 'Local', now()
        from transaction_stops limit 1""",
    "a command without an end": "update commands set status = 'sent', finished_at = null",
    "a session that is nobody's": """
        insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, started_at,
            start_received_at, start_boot_count, meter_start_wh)
        select charge_point_id, 1, 4711, 'X', 'Accepted', now(), now(), 1, 0 from transactions limit 1""",
    "a session that is held": "update transactions set held_reasons = '{never_stopped}'",
}


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """Outside of pytest's own folders, through which PostgreSQL's user may not pass."""
    folder = Path(os.environ["TEST_FOLDER"]) / f"faults-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 180)
async def test_nothing_is_lost_under_fire(own_folder: Path) -> None:
    report = await campaign.run(
        sessions=SESSIONS,
        seed=SEED,
        charge_points=CHARGE_POINTS,
        deadline_s=DEADLINE_S,
        folder=own_folder,
        progress=print,
    )
    assert report.problems == []
    assert report.sessions >= SESSIONS
    assert report.failpoints, "nothing was killed at a failpoint"


@pytest.mark.slow
async def test_the_checker_sees_what_is_wrong(own_folder: Path) -> None:
    journal = Journal(own_folder / "journal.jsonl")
    async with set_up(own_folder, f"faults-{uuid.uuid4().hex[:8]}:") as stage:
        owner = await Person.register(stage.api_port)
        boxes = await campaign.make_fleet(stage, owner, 2, journal, seed=1)
        for box in boxes:
            box.habits.wrong_clock = 0
        await fleet.hurry(boxes, 4)
        await campaign.send_command(owner, boxes[0], journal)
        connection = await asyncpg.connect(with_parts(stage.servers.postgres.url, database="voltuj"))
        await verdict.drained(connection)
        assert await verdict.examine(stage, journal) == []
        for name, forgery in FORGERIES.items():
            before = set(await verdict.examine(stage, journal))
            await connection.execute(forgery)
            assert set(await verdict.examine(stage, journal)) - before, f"{name} was not seen"
        await connection.close()
        await asyncio.gather(*(box.leave() for box in boxes))
        await owner.close()
    journal.close()
