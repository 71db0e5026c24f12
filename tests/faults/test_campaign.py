"""A small fault campaign, and proof that its checker sees each kind of damage."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from standalone.databases import with_parts
from tests.faults.campaign import campaign, fleet, people, verdict
from tests.faults.campaign.fleet import ChargePoint, Quota
from tests.faults.campaign.journal import Journal
from tests.faults.campaign.stage import set_up
from tests.harness.person import Person
from tests.harness.stack import eventually

SESSIONS = 300
SEED = 24
CHARGE_POINTS = 24
DEADLINE_S = 400.0

FORGERIES = {
    "a lost session": "delete from transactions where id = (select max(id) from transactions)",
    "a session that is nobody's": """
        insert into transactions (charge_point_id, owner_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status,
            started_at, start_received_at, start_boot_count, meter_start_wh)
        select charge_point_id, owner_id, 1, 4711, 'X', 'Accepted', now(), now(), 1, 0 from transactions limit 1""",
    "a session that is held": "update transactions set held_reasons = '{never_stopped}'",
    "a lost Stop": "delete from transaction_stops where id = (select max(id) from transaction_stops)",
    "a second Stop": """
        insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied,
            meter_stop_wh, stopped_at, reason, received_at)
        select charge_point_id, ocpp_transaction_id, '\\x00', transaction_id, false, 1, now(), 'Local', now()
        from transaction_stops limit 1""",
    "a lost meter value": "delete from meter_values where energy_wh = (select max(energy_wh) from meter_values)",
    "a meter value twice": """
        insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
            energy_wh, samples)
        select charge_point_id, sampled_at, connector_id, digest + 1, transaction_id, received_at, energy_wh, samples
        from meter_values limit 1""",
    "energy that is off": "update transactions set energy_wh = energy_wh + 1 where status = 'stopped'",
    "a session that is not settled": "delete from settlements where id = (select id from settlements limit 1)",
    "a session that is billed twice": """
        insert into transfers (settlement_id, debit_account_id, credit_account_id, amount_minor, currency, kind,
            is_reversal, booked_on)
        select settlement_id, debit_account_id, credit_account_id, amount_minor, currency, kind, false, booked_on
        from transfers where kind = 'charge' limit 1""",
    "a ledger that is not zero": "update transfers set debit_account_id = gen_random_uuid() where kind = 'top_up'",
    "a lost command": "delete from commands where id = (select id from commands where user_id is not null limit 1)",
    "a command that nobody asked for": """
        insert into commands (charge_point_id, user_id, action, payload, status, epoch, deadline_at, finished_at)
        select charge_point_id, user_id, action, payload, 'accepted', epoch, now(), now()
        from commands, generate_series(1, 10) where user_id is not null""",
    "a command without an end": "update commands set status = 'sent', finished_at = null",
    "a lost top-up": "delete from bank_movements where reference = (select max(reference) from bank_movements)",
    "a top-up that credits nobody": "update bank_postings set movement_id = gen_random_uuid()",
    "a top-up that credits twice": """
        insert into transfers (bank_posting_id, debit_account_id, credit_account_id, amount_minor, currency, kind,
            is_reversal, booked_on)
        select bank_posting_id, debit_account_id, credit_account_id, amount_minor, currency, kind, false, booked_on
        from transfers where kind = 'top_up' limit 1""",
    "a message that was set aside": """
        insert into unprocessed (charge_point_id, epoch, message_id, action, payload, digest, received_at, reason)
        select id, 1, 'm', 'StartTransaction', '\\x00', '\\x00', now(), 'bug' from charge_points limit 1""",
}
"""What may be wrong, and how a row looks then."""
BACKLOGS = {
    "commands": "update commands set status = 'queued', finished_at = null",
    "settlements": "update transactions set settled_at = null, total_minor = coalesce(total_minor, 0)",
    "events": "update events set position = null",
    "webhook_deliveries": """
        insert into webhook_deliveries (webhook_id, event_id, next_at, give_up_at)
        values (gen_random_uuid(), 1, now(), now())""",
    "mails": "insert into mails (kind, recipient, subject, body) values ('top_up', 'a@example.org', 'Hello', 'Hello')",
    "holds": """
        insert into holds (user_id, command_id, currency, amount_minor, placed_at)
        values (gen_random_uuid(), gen_random_uuid(), 'CZK', 1, now())""",
}
"""What may be left to do, by the name of its queue."""


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


@asynccontextmanager
async def forged(connection: asyncpg.Connection, forgery: str) -> AsyncIterator[None]:
    """Rows are wrong in the block, and right again after it."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("set local session_replication_role = replica")  # no trigger and no foreign key objects
    assert not (await connection.execute(forgery)).endswith(" 0"), f"nothing was forged by {forgery}"
    yield
    await transaction.rollback()


async def see_damage(connection: asyncpg.Connection, journal: Journal) -> None:
    await verdict.drained(connection)
    assert await verdict.of_database(connection, journal) == []
    for name, forgery in FORGERIES.items():
        async with forged(connection, forgery):
            assert await verdict.of_database(connection, journal), f"{name} was not seen"
    for queue, forgery in BACKLOGS.items():
        async with forged(connection, forgery):
            with pytest.raises(AssertionError, match=f"'{queue}': [1-9]"):
                await verdict.drained(connection, deadline_s=0)


async def see_a_false_live_state(owner: Person, box: ChargePoint) -> None:
    await box.begin()
    await box.meter()
    await verdict.live_state_is_true(owner, [box])
    for name, value in {"status": "Faulted", "register_wh": 0, "charging": None}.items():
        truth = getattr(box, name)
        setattr(box, name, value)
        with pytest.raises(AssertionError, match=box.identity):
            await verdict.live_state_is_true(owner, [box], deadline_s=0)
        setattr(box, name, truth)
    await box.end()
    await verdict.live_state_is_true(owner, [box])
    await box.leave()

    async def offline() -> bool:
        with suppress(AssertionError):
            await verdict.live_state_is_true(owner, [box], deadline_s=0)
            return False
        return True

    await eventually(offline, "a charge point that left to be seen as offline")


@pytest.mark.slow
async def test_the_checker_sees_what_is_wrong(own_folder: Path) -> None:
    journal = Journal(own_folder / "journal.jsonl")
    async with set_up(own_folder, f"faults-{uuid.uuid4().hex[:8]}:") as stage:
        cast = await campaign.gather_cast(stage, 2, journal, seed=1)
        for box in cast.boxes:
            box.habits.wrong_clock = 0
        await fleet.hurry(cast.boxes, Quota(6))
        await people.send_command(cast.owner, cast.boxes[0], journal)
        await cast.bank.send_statement()
        await cast.bank.send_statement()
        await see_a_false_live_state(cast.owner, cast.boxes[0])
        connection = await asyncpg.connect(with_parts(stage.servers.postgres.url, database="voltuj"))
        await see_damage(connection, journal)
        assert await verdict.examine(stage, journal) == []
        journal.violate("W0", "an answer that nobody should get")
        assert await verdict.examine(stage, journal)
        await connection.close()
        await cast.leave()
    journal.close()
