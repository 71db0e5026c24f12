"""One campaign from its seed: the fleet charges, troubles happen, everything calms down, and the checker looks."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.faults.campaign import fleet, verdict
from tests.faults.campaign.fleet import Card, ChargePoint
from tests.faults.campaign.journal import Journal
from tests.faults.campaign.stage import Stage, set_up
from tests.faults.campaign.troubles import Plan, calm
from tests.harness.person import Person
from tests.harness.stack import eventually

GUESTS = 3
PROGRESS_EVERY_S = 2.0
COMMAND_EVERY_S = 0.5
READY_DEADLINE_S = 90.0


@dataclass
class Report:
    """What happened and what is wrong."""

    seed: int
    seconds: float = 0.0
    sessions: int = 0
    acknowledged: int = 0
    commands: int = 0
    troubles: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    failpoints: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def run(
    *, sessions: int, seed: int, charge_points: int, deadline_s: float, folder: Path, progress: Callable[[str], None]
) -> Report:
    """Runs it on servers and processes of its own, which end with it."""
    report, plan = Report(seed), Plan(seed)
    began = time.monotonic()
    journal = Journal(folder / "journal.jsonl")
    async with set_up(folder, f"faults-{uuid.uuid4().hex[:8]}:") as stage:
        owner = await Person.register(stage.api_port)
        boxes = await make_fleet(stage, owner, charge_points, journal, seed)
        await _under_fire(stage, plan, boxes, journal=journal, owner=owner, sessions=sessions, deadline_s=deadline_s,
                          progress=progress)  # fmt: skip
        report.problems += await _after(stage, owner, boxes, journal)
        report.deaths.update(
            {f"{slot.name} {code}": count for slot in stage.slots.values() for code, count in slot.deaths.items()}
        )
        await owner.close()
    journal.close()
    report.seconds = time.monotonic() - began
    report.sessions, report.acknowledged = len(journal.sessions), journal.acknowledged
    report.commands, report.troubles = len(journal.commands), plan.done
    report.failpoints, report.missed = plan.failpoints.hits, plan.failpoints.missed
    if report.sessions < sessions:
        report.problems.append(f"only {report.sessions} of {sessions} sessions came to their end")
    return report


async def make_fleet(stage: Stage, owner: Person, count: int, journal: Journal, seed: int) -> list[ChargePoint]:
    """Charge points of one owner, shared with guests who pay."""
    guests = [await Person.register(stage.api_port, f"guest{number}") for number in range(GUESTS)]
    cards = [Card(await owner.card(), is_guest=False)]
    cards += [Card(await guest.card(), is_guest=True) for guest in guests for _ in range(count)]
    boxes = []
    for number in range(count):
        made = await owner.wallbox(name=f"W{number}", price_per_kwh="1000.00")
        for guest in guests:
            await owner.post(f"/charge-points/{made['id']}/grants", {"email": guest.email})
        # a card charges at one place at a time (ConcurrentTx): every charge point has cards of its own
        own = [Card(await owner.card(), is_guest=False), *cards[1 + number :: count]]
        source = random.Random(f"{seed}-{number}")
        boxes.append(ChargePoint(made["id"], made["identity"], made["key"], stage.fronts, own, journal, source))
    for guest in guests:
        await guest.close()
    return boxes


async def _under_fire(
    stage: Stage,
    plan: Plan,
    boxes: list[ChargePoint],
    *,
    journal: Journal,
    owner: Person,
    sessions: int,
    deadline_s: float,
    progress: Callable[[str], None],
) -> None:
    troubling = asyncio.create_task(plan.run(stage))
    commanding = asyncio.create_task(_command(owner, boxes, journal))
    showing = asyncio.create_task(_show(journal, plan, sessions, progress))
    try:
        async with asyncio.timeout(deadline_s):
            await _first_failure(fleet.hurry(boxes, sessions), troubling, commanding)
    except TimeoutError:
        progress("the deadline has passed")
    finally:
        for task in (troubling, commanding, showing):
            task.cancel()
        await asyncio.gather(troubling, commanding, showing, return_exceptions=True)
        await calm(stage)


async def _first_failure(work: Coroutine[Any, Any, None], *beside: asyncio.Task[None]) -> None:
    """Runs `work` to its end; a task beside it that fails ends it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *beside}, return_when=asyncio.FIRST_COMPLETED)
        for ended in (other for other in beside if other.done()):
            ended.result()
        await task
    finally:
        task.cancel()


async def _command(owner: Person, boxes: list[ChargePoint], journal: Journal) -> None:
    """The owner sends commands; one without an answer is asked for again by its Idempotency-Key."""
    source = random.Random(0)
    while True:
        await asyncio.sleep(COMMAND_EVERY_S)
        await send_command(owner, source.choice(boxes), journal)


async def send_command(owner: Person, box: ChargePoint, journal: Journal) -> None:
    """One command, asked for until the api says that it has it."""
    body, key = {"action": "GetConfiguration", "payload": {}, "wait_s": 0}, uuid.uuid4().hex
    while True:
        with suppress(httpx.HTTPError):
            path = f"/charge-points/{box.id}/commands"
            answer = await owner.http.post(path, json=body, headers={"Idempotency-Key": key}, timeout=10)
            if answer.status_code == 201:
                journal.commands.append(answer.json()["id"])
                return
            if answer.status_code == 401:
                await owner.log_in()
        await asyncio.sleep(COMMAND_EVERY_S)


async def _show(journal: Journal, plan: Plan, sessions: int, progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        last = plan.done[-1] if plan.done else "-"
        progress(f"{len(journal.sessions)} of {sessions} sessions, {len(plan.done)} troubles, last: {last}")


async def _after(stage: Stage, owner: Person, boxes: list[ChargePoint], journal: Journal) -> list[str]:
    """Calm has returned: all must be well within its deadlines."""
    resting = asyncio.create_task(fleet.idle(boxes))
    connection = None
    try:
        await eventually(stage.all_ready, "the stack to be ready again", READY_DEADLINE_S)
        await owner.log_in()
        await verdict.live_state_is_true(owner, boxes)
        connection = await asyncpg.connect(stage.stack.database.owner)
        await verdict.drained(connection)
    except AssertionError as late:
        return [str(late), *await verdict.examine(stage, journal)]
    finally:
        resting.cancel()
        await asyncio.gather(resting, return_exceptions=True)
        for box in boxes:
            await box.leave()
        if connection is not None:
            await connection.close()
    return await verdict.examine(stage, journal)
