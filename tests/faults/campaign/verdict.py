"""What must hold after a campaign: journals against database and ledger. Queries only; each finding is a sentence."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg

from standalone.databases import REPOSITORY
from tests.faults.campaign.fleet import ChargePoint
from tests.faults.campaign.journal import Journal, Session
from tests.faults.campaign.stage import Stage
from tests.harness.campaigns import MOST_SHOWN
from tests.harness.person import Person
from tests.harness.stack import eventually

PRICE_MINOR_PER_WH: Final = 100
"""1,000.00 CZK a kWh: every Wh shows in the bill."""
LIVE_DEADLINE_S: Final = 10.0
DRAIN_DEADLINE_S: Final = 60.0

TRANSACTIONS: Final = """
select t.charge_point_id::text as charge_point_id, t.connector_id, t.id_tag, t.ocpp_transaction_id, t.started_at,
    t.meter_start_wh, t.meter_stop_wh, t.energy_wh, t.status, t.held_reasons, t.total_minor, t.id,
    (select count(*) from settlements s where s.transaction_id = t.id) as settlements,
    (select coalesce(sum(case when r.is_reversal then -r.amount_minor else r.amount_minor end), 0)
        from transfers r join settlements s on s.id = r.settlement_id
        where s.transaction_id = t.id and r.kind = 'charge')::bigint as charged_minor
from transactions t
"""
STOPS: Final = "select transaction_id, count(*) as stops from transaction_stops group by transaction_id"
SAMPLES: Final = "select transaction_id, sampled_at, energy_wh from meter_values"
QUEUES: Final = """
select (select count(*) from commands where status in ('queued', 'sent')) as commands,
    (select count(*) from transactions where status = 'stopped' and settled_at is null and total_minor is not null
        and cardinality(held_reasons) = 0) as settlements,
    (select count(*) from events where position is null) as events,
    (select count(*) from webhook_deliveries where status = 'pending') as webhook_deliveries,
    (select count(*) from mails where status = 'queued') as mails,
    (select count(*) from holds where released_at is null) as holds
"""
TOP_UPS: Final = """
select m.reference, a.user_id::text as user_id,
    sum(case when a.id = t.credit_account_id then t.amount_minor else -t.amount_minor end)::bigint as credited_minor
from bank_movements m
left join bank_postings p on p.movement_id = m.id
left join transfers t on t.bank_posting_id = p.id
left join ledger_accounts a on a.kind = 'driver' and a.id in (t.credit_account_id, t.debit_account_id)
group by m.id, m.reference, a.user_id
"""
LEDGER: Final = """
select coalesce(sum(case when a.id = t.credit_account_id then t.amount_minor else -t.amount_minor end), 0)::bigint
from ledger_accounts a join transfers t on a.id in (t.credit_account_id, t.debit_account_id)
"""


async def drained(connection: asyncpg.Connection, deadline_s: float = DRAIN_DEADLINE_S) -> None:
    """Waits until nothing is left to do.

    Raises:
        AssertionError: something is; it says in which queue.
    """
    left: dict[str, int] = {}

    async def nothing_left() -> bool:
        left.update(await connection.fetchrow(QUEUES))
        return not any(left.values())

    try:
        await eventually(nothing_left, "every queue to be drained", deadline_s)
    except AssertionError as late:
        raise AssertionError(f"{late}; left: {left}") from None


async def live_state_is_true(owner: Person, fleet: list[ChargePoint], deadline_s: float = LIVE_DEADLINE_S) -> None:
    """Waits until the api shows of every charge point what is true.

    Raises:
        AssertionError: it shows something else; it says of which charge point.
    """
    wrong: list[str] = []

    async def true() -> bool:
        wrong[:] = [difference for box in fleet for difference in await _live_differences(owner, box)]
        return not wrong

    try:
        await eventually(true, "the live state to be true", deadline_s)
    except AssertionError as late:
        raise AssertionError(f"{late}; {wrong[:MOST_SHOWN]}") from None


async def _live_differences(owner: Person, box: ChargePoint) -> list[str]:
    seen = await owner.get(f"/charge-points/{box.id}")
    connectors = (await owner.get(f"/charge-points/{box.id}/connectors"))["items"]
    shown: dict[str, Any] = next((item for item in connectors if item["connector_id"] == 1), {})
    expected = {"online": True, "status": box.status, "is_charging": box.charging is not None}
    found = {
        "online": seen["online"], "status": shown.get("status"),
        "is_charging": shown.get("transaction_id") is not None,
    }  # fmt: skip
    if box.charging is not None:
        expected["energy_wh"], found["energy_wh"] = box.register_wh, shown.get("energy_wh")
    return [] if found == expected else [f"{box.identity} is shown as {found}, not {expected}"]


async def examine(stage: Stage, journal: Journal) -> list[str]:
    """Everything that is wrong; empty where the promise held."""
    connection = await asyncpg.connect(stage.stack.database.owner)
    try:
        return [*journal.violations, *await of_database(connection, journal), *await _books(stage)]
    finally:
        await connection.close()


async def of_database(connection: asyncpg.Connection, journal: Journal) -> list[str]:
    """What is wrong in the database, by what charge points and people were told."""
    return [
        *await _sessions(connection, journal.sessions),
        *await _commands(connection, journal),
        *await _top_ups(connection, journal),
        *await _ledger(connection),
        *await _strays(connection),
    ]


async def _sessions(connection: asyncpg.Connection, sessions: list[Session]) -> list[str]:
    found = {
        (row["charge_point_id"], row["ocpp_transaction_id"]): dict(row) for row in await connection.fetch(TRANSACTIONS)
    }
    stops = {row["transaction_id"]: row["stops"] for row in await connection.fetch(STOPS)}
    samples: dict[Any, Counter[tuple[datetime, int]]] = {}
    for row in await connection.fetch(SAMPLES):
        samples.setdefault(row["transaction_id"], Counter())[row["sampled_at"], row["energy_wh"]] += 1
    wrong = []
    for session in sessions:
        row = found.pop((session.charge_point_id, session.ocpp_transaction_id), None)
        if row is None:
            wrong.append(f"transaction {session.ocpp_transaction_id} was acknowledged and is not there")
            continue
        differences = [
            *_of(session, row),
            *_evidence(session, stops.get(row["id"], 0), samples.get(row["id"], Counter())),
        ]
        wrong += [f"transaction {session.ocpp_transaction_id}: {difference}" for difference in differences]
    wrong += [f"transaction {row['ocpp_transaction_id']} is nobody's session" for row in found.values()]
    return wrong


def _of(session: Session, row: Mapping[str, Any]) -> list[str]:
    energy_wh = session.meter_stop_wh - session.meter_start_wh
    bills = session.is_guest and not session.has_wrong_clock
    expected = {
        "status": "stopped",
        "id_tag": session.id_tag,
        "started_at": datetime.fromisoformat(session.started_at),
        "meter_start_wh": session.meter_start_wh,
        "meter_stop_wh": session.meter_stop_wh,
        "energy_wh": energy_wh,
        "held_reasons": ["implausible_time"] if session.has_wrong_clock else [],
        "settlements": 0 if session.has_wrong_clock else 1,
        "charged_minor": energy_wh * PRICE_MINOR_PER_WH if bills else 0,
    }
    return [f"{name} is {row[name]!r}, not {value!r}" for name, value in expected.items() if row[name] != value]


def _evidence(session: Session, stops: int, samples: Counter[tuple[datetime, int]]) -> list[str]:
    expected = Counter((datetime.fromisoformat(at), energy_wh) for at, energy_wh in session.sampled)
    wrong = [] if stops == 1 else [f"{stops} stops are stored"]
    return wrong if samples == expected else [*wrong, f"meter values are {samples}, not {expected}"]


async def _commands(connection: asyncpg.Connection, journal: Journal) -> list[str]:
    rows = await connection.fetch("select id::text as id, status, finished_at, user_id from commands")
    there = {row["id"] for row in rows}
    lost = [f"command {name} was acknowledged and is not there" for name in journal.commands if name not in there]
    open_ones = [
        f"command {row['id']} is {row['status']}"
        for row in rows
        if row["finished_at"] is None or row["status"] in {"queued", "sent"}
    ]
    of_people = sum(row["user_id"] is not None for row in rows)
    if of_people > journal.commands_asked:
        lost.append(f"{of_people} commands are there, {journal.commands_asked} were asked for")
    return [*lost, *open_ones]


async def _top_ups(connection: asyncpg.Connection, journal: Journal) -> list[str]:
    found: dict[str, list[tuple[str, int]]] = {}
    for row in await connection.fetch(TOP_UPS):
        found.setdefault(row["reference"], []).append((row["user_id"], row["credited_minor"]))
    lost = [f"movement {name} was acknowledged and is not there" for name in journal.credited if name not in found]
    due = {name: [(top_up.user_id, top_up.amount_minor)] for name, top_up in journal.paid_in.items()}
    wrong = [
        f"movement {name} credited {credited}, not {due.get(name)}"
        for name, credited in found.items()
        if credited != due.get(name)
    ]
    return [*lost, *wrong]


async def _ledger(connection: asyncpg.Connection) -> list[str]:
    total = await connection.fetchval(LEDGER)
    return [] if total == 0 else [f"the ledger sums up to {total}"]


async def _strays(connection: asyncpg.Connection) -> list[str]:
    count = await connection.fetchval("select count(*) from unprocessed")
    return [f"{count} messages lie in unprocessed"] if count else []


async def _books(stage: Stage) -> list[str]:
    environment = {**os.environ, "DATABASE_URL": stage.stack.database.application, "JWT_SECRET": "x" * 32}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli", "check-books"),
        cwd=REPOSITORY,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return [] if process.returncode == 0 else [f"check-books: {output.decode(errors='replace').strip()}"]
