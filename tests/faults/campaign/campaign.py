"""One campaign from its seed: the fleet charges, troubles happen, everything calms down, and the checker looks."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.faults.campaign import fleet, people, verdict
from tests.faults.campaign.fleet import Card, ChargePoint, Quota
from tests.faults.campaign.journal import Journal
from tests.faults.campaign.people import Bank
from tests.faults.campaign.stage import Stage, set_up
from tests.faults.campaign.traps import Moment
from tests.faults.campaign.troubles import Failpoints, Plan, calm, flush_redis
from tests.harness.person import Person
from tests.harness.stack import eventually

GUESTS = 3
ENOUGH_SESSIONS = 1000
"""From here on a campaign is to cover every failpoint."""
PROGRESS_EVERY_S = 2.0
READY_DEADLINE_S = 90.0
LAST_SESSIONS_S = 300.0
"""For those that go on when the deadline comes: each of their messages may have to be sent many times."""
ARRIVAL_DEADLINE_S = 60.0
"""A charge point that waits for an answer that was lost asks again after 40 s."""


@dataclass
class Report:
    """What happened and what is wrong."""

    seed: int
    wanted: int
    """Sessions that were asked for."""
    seconds: float = 0.0
    sessions: int = 0
    acknowledged: int = 0
    commands: int = 0
    troubles: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    top_ups: int = 0
    failpoints: Counter[Moment] = field(default_factory=Counter)
    missed: list[Moment] = field(default_factory=list)
    collapses: list[str] = field(default_factory=list)
    """Processes that ended without being killed: no loss, but each is worth a look."""
    problems: list[str] = field(default_factory=list)


@dataclass
class Cast:
    """Who takes part."""

    owner: Person
    boxes: list[ChargePoint]
    bank: Bank
    journal: Journal

    async def leave(self) -> None:
        """Everybody hangs up."""
        for box in self.boxes:
            await box.leave()
        for person in (self.owner, self.bank.operator):
            await person.close()


async def run(
    *, sessions: int, seed: int, charge_points: int, deadline_s: float, folder: Path, progress: Callable[[str], None]
) -> Report:
    """Runs it on servers and processes of its own, which end with it."""
    report, plan = Report(seed, sessions), Plan(seed)
    began = time.monotonic()
    journal = Journal(folder / "journal.jsonl")
    async with set_up(folder, f"faults-{uuid.uuid4().hex[:8]}:") as stage:
        cast = await gather_cast(stage, charge_points, journal, seed)
        await _under_fire(stage, plan, cast, sessions=sessions, deadline_s=deadline_s, progress=progress)
        report.problems += await _after(stage, cast)
        report.collapses += stage.collapses
        report.deaths.update(
            {f"{slot.name} {code}": count for slot in stage.slots.values() for code, count in slot.deaths.items()}
        )
        await cast.leave()
    journal.close()
    report.seconds = time.monotonic() - began
    report.sessions, report.acknowledged = len(journal.sessions), journal.acknowledged
    report.commands, report.top_ups, report.troubles = len(journal.commands), len(journal.credited), plan.done
    report.failpoints, report.missed = plan.failpoints.hits, plan.failpoints.missed
    if report.sessions < sessions:
        report.problems.append(f"only {report.sessions} of {sessions} sessions came to their end")
    return report


async def gather_cast(stage: Stage, charge_points: int, journal: Journal, seed: int) -> Cast:
    """Charge points of one owner, shared with guests who pay, and the operator's bank."""
    owner = await Person.register(stage.api_port)
    operator = await Person.register(stage.api_port, "operator")
    guests = [await Person.register(stage.api_port, f"guest{number}") for number in range(GUESTS)]
    made = await _make_wallboxes(owner, guests, charge_points)
    boxes = [
        ChargePoint(box["id"], box["identity"], box["key"], stage.fronts, cards, journal, random.Random(f"{seed}-{n}"))
        for n, (box, cards) in enumerate(made)
    ]
    bank = await Bank.open(stage.stack.database.owner, guests, operator, journal, seed)
    for guest in guests:
        await guest.close()
    stage.opened_at = time.monotonic()
    return Cast(owner, boxes, bank, journal)


async def _make_wallboxes(owner: Person, guests: list[Person], count: int) -> list[tuple[dict[str, Any], list[Card]]]:
    """Each with cards of its own, since a card charges at one place at a time (ConcurrentTx)."""
    cards = [Card(await guest.card(), is_guest=True) for guest in guests for _ in range(count)]
    made = []
    for number in range(count):
        box = await owner.wallbox(name=f"W{number}", price_per_kwh="1000.00")
        for guest in guests:
            await owner.post(f"/charge-points/{box['id']}/grants", {"email": guest.email})
        made.append((box, [Card(await owner.card(), is_guest=False), *cards[number::count]]))
    return made


async def _under_fire(
    stage: Stage, plan: Plan, cast: Cast, *, sessions: int, deadline_s: float, progress: Callable[[str], None]
) -> None:
    source = random.Random(0)
    beside = [
        asyncio.create_task(plan.run(stage)),
        asyncio.create_task(people.command(cast.owner, cast.boxes, cast.journal, source)),
        asyncio.create_task(cast.bank.send()),
        asyncio.create_task(_show(cast.journal, plan, sessions, progress)),
    ]
    charging = _charge(cast.boxes, sessions, deadline_s, plan.failpoints)
    try:
        async with asyncio.timeout(deadline_s + LAST_SESSIONS_S):
            await _first_failure(charging, *beside)
    except TimeoutError:
        progress("the fleet could not end its sessions")
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await calm(stage)


async def _charge(boxes: list[ChargePoint], sessions: int, deadline_s: float, failpoints: Failpoints) -> None:
    """`sessions` sessions, fewer where the deadline comes first; half a fleet of them go on when it returns.

    A large campaign goes on until something was killed at every failpoint, with up to as many sessions again.
    """
    running = boxes[::2]
    quotas = [Quota(max(0, sessions - len(running)))]
    if sessions >= ENOUGH_SESSIONS:
        quotas.append(Quota(sessions, lambda: bool(failpoints.missed)))
    for quota in quotas:
        asyncio.get_running_loop().call_later(deadline_s, quota.end)
    for quota in quotas:
        await fleet.hurry(boxes, quota)
    await fleet.begin_to_charge(running)


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


async def _show(journal: Journal, plan: Plan, sessions: int, progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        last = plan.done[-1] if plan.done else "-"
        progress(f"{len(journal.sessions)} of {sessions} sessions, {len(plan.done)} troubles, last: {last}")


async def _after(stage: Stage, cast: Cast) -> list[str]:
    """Calm has returned: all must be well within its deadlines."""
    late = [
        *await _lateness(_live_state(stage, cast)),
        *await _lateness(_end_charging(cast)),
        *await _lateness(_drain(stage)),
    ]
    return [*late, *await verdict.examine(stage, cast.journal)]


async def _lateness(step: Coroutine[Any, Any, None]) -> list[str]:
    """What was not reached in time."""
    try:
        await step
    except (AssertionError, TimeoutError) as error:
        return [str(error) or "the fleet was not answered in time"]
    return []


async def _end_charging(cast: Cast) -> None:
    async with asyncio.timeout(LAST_SESSIONS_S):
        await fleet.end_charging(cast.boxes)


async def _drain(stage: Stage) -> None:
    connection = await asyncpg.connect(stage.stack.database.owner)
    try:
        await verdict.drained(connection)
    finally:
        await connection.close()


async def _live_state(stage: Stage, cast: Cast) -> None:
    """Everybody is back, and Redis is empty: what is true must be seen within its deadline."""
    await eventually(stage.all_ready, "the stack to be ready again", READY_DEADLINE_S)
    await cast.owner.log_in()
    async with asyncio.timeout(ARRIVAL_DEADLINE_S):
        await fleet.arrive(cast.boxes)
    resting = asyncio.create_task(fleet.idle(cast.boxes))
    try:
        await flush_redis(stage, random.Random(), 0)
        await verdict.live_state_is_true(cast.owner, cast.boxes)
    finally:
        resting.cancel()
        await asyncio.gather(resting, return_exceptions=True)
