"""One overload from its seed: a flood talks, sessions go on in it, half of it storms back, all must be well again."""

import asyncio
import math
import random
import secrets
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from bench.stack import insert_charge_points
from standalone.databases import REPOSITORY
from tests.faults.campaign import fleet, verdict
from tests.faults.campaign.campaign import gather_cast
from tests.faults.campaign.fleet import ChargePoint, Quota
from tests.faults.campaign.journal import Journal, Session
from tests.faults.campaign.stage import Slot, Stage, set_up
from tests.harness.person import Person
from tests.harness.scripted import ScriptedChargePoint
from tests.harness.stack import eventually
from tests.integration.events.reader import Reader, reading
from tests.overload import checks
from tests.overload.watchers import Inboxes, Memory, deaf_stream, frozen, metric, overhearing

GATEWAYS, LISTENERS = 2, 2
TIMES: Final = 10
"""As many talk at once as there are slots, times this."""
PUSHY: Final = 10
"""For each gateway: charge points that send large messages without waiting, and do not read."""
STARTERS: Final = 8
SESSION_S: Final = 12.0
"""About what a session takes under overload."""
LONGEST_LINE: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    seconds: float
    in_flight: int
    """Slots of a gateway at a listener."""
    charge_points: int
    """Whose sessions are judged."""

    @property
    def slots(self) -> int:
        """Of one gateway."""
        return self.in_flight * LISTENERS

    @property
    def flood(self) -> int:
        """Of one gateway."""
        return TIMES * self.slots

    @property
    def sessions(self) -> int:
        return self.charge_points * max(1, math.ceil(self.seconds / SESSION_S))


@dataclass
class Report:
    """What happened and what is wrong."""

    seed: int
    sizes: Sizes
    seconds: float = 0.0
    capacity_per_s: float = 0.0
    overloaded_per_s: float = 0.0
    acknowledged: int = 0
    sessions: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    pauses_s: set[int] = field(default_factory=set)
    storm_s: float = 0.0
    recovery_s: float = 0.0
    memory: Memory = field(default_factory=Memory)
    problems: list[str] = field(default_factory=list)


class Flood:
    """The flood's process for one gateway."""

    def __init__(self, process: asyncio.subprocess.Process, size: int) -> None:
        self._process, self.size = process, size

    async def do(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Its answer to one order."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(orjson.dumps({"do": order, **arguments}) + b"\n")
        line = await stdout.readline()
        assert line, f"the flood ended with {await self._process.wait()}"
        return dict(orjson.loads(line))


@asynccontextmanager
async def flooding(**settings: Any) -> AsyncIterator[Flood]:
    """Its process ends with the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.overload.flood"), cwd=REPOSITORY, stdin=pipe, stdout=pipe, limit=LONGEST_LINE
    )
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(settings) + b"\n")
    try:
        yield Flood(process, settings["count"])
    finally:
        process.stdin.close()
        await process.wait()


def _port(gateway: Slot) -> int:
    """Its own, past the link in front of it."""
    return int(gateway.settings["GATEWAY_PORT"])


class Campaign:
    """One run. `run` does everything in order."""

    def __init__(self, stage: Stage, report: Report, journal: Journal, progress: Callable[[str], None]) -> None:
        self.stage, self.report, self.journal, self.progress = stage, report, journal, progress
        self.sizes = report.sizes
        self.gateways, self.listeners = stage.of_kind("gateway"), stage.of_kind("listener")
        self.floods: list[Flood] = []
        self.clock_ms = int(time.time() * 1000) - 10 * 24 * 3600 * 1000

    async def run(self, exits: AsyncExitStack) -> None:
        """From the first connection to the last check."""
        key = secrets.token_urlsafe(15)
        await self._start_floods(exits, key)
        cast = await gather_cast(self.stage, self.sizes.charge_points, self.journal, self.report.seed)
        exits.push_async_callback(cast.leave)
        owner, boxes = cast.owner, cast.boxes
        for box in boxes:
            box.habits.wrong_clock = box.habits.lost_answer = 0.0
        await asyncio.gather(*(box.boot() for box in boxes))
        starters = [await self._starter(exits, owner, number) for number in range(STARTERS)]
        self.report.memory.weigh([*self.gateways, *self.listeners])
        watching = asyncio.create_task(self.report.memory.watch([*self.gateways, *self.listeners]))
        exits.callback(watching.cancel)
        await self._overload(exits, owner, boxes, starters)
        await self._judge(owner, boxes)

    async def _start_floods(self, exits: AsyncExitStack, key: str) -> None:
        size = self.sizes.flood + PUSHY
        connection = await asyncpg.connect(self.stage.stack.database.owner)
        await insert_charge_points(connection, key, range(GATEWAYS * size))
        await connection.close()
        for place, gateway in enumerate(self.gateways):
            numbers = {"first": place * size, "count": self.sizes.flood, "pushy": PUSHY}
            more = {"key": key, "clock_ms": self.clock_ms, "seed": self.report.seed + place}
            self.floods.append(await exits.enter_async_context(flooding(port=_port(gateway), **numbers, **more)))
        self.progress(f"{GATEWAYS * self.sizes.flood} charge points connect")
        connected = await self._all("connect")
        self._expect(all(each["resting"] == self.sizes.flood for each in connected), "not all could connect at first")

    async def _starter(self, exits: AsyncExitStack, owner: Person, number: int) -> "Starter":
        made = await owner.wallbox(name=f"S{number}", price_per_kwh="1000.00")
        url = f"ws://127.0.0.1:{_port(self.gateways[number % GATEWAYS])}"
        box = await exits.enter_async_context(ScriptedChargePoint(url, made["identity"], made["key"]))
        await box.boot()
        return Starter(made["id"], box, await owner.card())

    async def _overload(
        self, exits: AsyncExitStack, owner: Person, boxes: list[ChargePoint], starters: list["Starter"]
    ) -> None:
        seconds = self.sizes.seconds
        self.progress("as many talk as there are slots")
        calm_s = max(1.0, seconds / 5)
        talked = await self._all("talk", count=self.sizes.slots, seconds=calm_s)
        self.report.capacity_per_s = sum(each["answered"] for each in talked) / calm_s
        self.progress(f"{TIMES} times as many talk")
        inboxes = await exits.enter_async_context(overhearing(self.stage))
        await self._all("talk", count=self.sizes.flood, seconds=0.5)
        await self._starts_go_first(inboxes, starters)
        await exits.enter_async_context(deaf_stream(self.stage.api_port, owner.http.headers["Authorization"]))
        stream = await exits.enter_async_context(reading(owner.http))
        before = len(self.journal.sessions)
        charging = asyncio.create_task(fleet.hurry(boxes, Quota(self.sizes.sessions)))
        exits.callback(charging.cancel)
        await self._all("push")
        self.progress("and sessions go on among them")
        talked = await self._all("talk", count=self.sizes.flood, seconds=seconds)
        self.report.overloaded_per_s = sum(each["answered"] for each in talked) / seconds
        self.progress("half of them lose their connections at once")
        await self._all("storm", seconds=max(2.0, seconds / 4))
        await self._recover(charging)
        await self._heard(stream, len(self.journal.sessions) - before)

    async def _heard(self, stream: Reader, ended: int) -> None:
        """The stream that is read, beside one that is not."""
        try:
            await stream.until("transaction.stopped", ended, checks.STREAM_S)
        except AssertionError:
            heard = len(stream.of("transaction.stopped"))
            self._expect(False, f"the stream that is read heard of {heard} of {ended} sessions")

    async def _starts_go_first(self, inboxes: Inboxes, starters: list["Starter"]) -> None:
        """The database stands still until the gateways hold a backlog with Starts at its end; then it goes on."""
        waiting, started = (
            "voltuj_gateway_waiting",
            'voltuj_gateway_frames_total{action="StartTransaction",direction="in"}',
        )

        async def many_wait() -> bool:
            return await metric(self.gateways, waiting) >= GATEWAYS * self.sizes.slots

        async def all_have_come() -> bool:
            return await metric(self.gateways, started) >= STARTERS

        with frozen(self.stage.servers.postgres.process.pid):
            await eventually(many_wait, "a backlog", checks.RECOVERY_S)
            starts = [asyncio.create_task(starter.start()) for starter in starters]
            await eventually(all_have_come, "the Starts to arrive", checks.RECOVERY_S)
            inboxes.order.clear()
        await asyncio.gather(*starts)
        self.report.problems += checks.starts_first(inboxes, {starter.charge_point_id for starter in starters})
        for session in await asyncio.gather(*(starter.stop() for starter in starters)):
            self.journal.finish(session)

    async def _recover(self, charging: "asyncio.Task[None]") -> None:
        self.progress("the load ends")
        began = time.monotonic()
        hushed = await self._all("hush")
        self.report.storm_s = max(each["took_s"] for each in hushed)
        for each in hushed:
            self.report.refusals.update(each["refusals"])
            self.report.pauses_s |= set(each["pauses_s"])
            self._expect(not each["errors"], f"answers that no charge point should get: {each['errors']}")
            self._expect(
                each["resting"] == self.sizes.flood,
                f"{each['resting']} of {self.sizes.flood} came back and were served",
            )
        self._expect(self.report.refusals["503"] > 0, "no handshake was refused while the gateways were full")
        self._expect(set(self.report.refusals) <= {"503"}, f"refused otherwise: {dict(self.report.refusals)}")
        self._expect(min(self.report.pauses_s, default=0) > 0, "a 503 came without Retry-After")
        self._expect(len(self.report.pauses_s) > 1, "every 503 named the same Retry-After")
        await self._nothing_waits()
        self.report.recovery_s = time.monotonic() - began
        try:
            async with asyncio.timeout(checks.RECOVERY_S):
                await charging
        except TimeoutError:
            self._expect(False, f"only {len(self.journal.sessions)} sessions came to their end")

    async def _nothing_waits(self) -> None:
        async def calm() -> bool:
            names = ("voltuj_gateway_waiting", "voltuj_gateway_in_flight")
            return sum([await metric(self.gateways, name) for name in names]) == 0

        try:
            await eventually(calm, "the gateways to have nothing left", checks.RECOVERY_S)
        except AssertionError as late:
            self.report.problems.append(str(late))

    async def _judge(self, owner: Person, boxes: list[ChargePoint]) -> None:
        self.progress("everything is counted")
        said = {name: count for each in await self._all("hush") for name, count in each["acknowledged"].items()}
        self.report.acknowledged = sum(said.values()) + self.journal.acknowledged
        self.report.sessions = len(self.journal.sessions)
        resting = asyncio.create_task(fleet.idle(boxes))
        connection = await asyncpg.connect(self.stage.stack.database.owner)
        try:
            await verdict.live_state_is_true(owner, boxes)
            await verdict.drained(connection)
            self.report.problems += await checks.committed(connection, said, self.clock_ms)
        except AssertionError as late:
            self.report.problems.append(str(late))
        finally:
            resting.cancel()
            await asyncio.gather(resting, return_exceptions=True)
            await connection.close()
        self.report.problems += await verdict.examine(self.stage, self.journal)
        self.report.problems += checks.bounded(self.report.memory, self.sizes.flood, PUSHY)
        deaths = {name: dict(slot.deaths) for name, slot in self.stage.slots.items() if slot.deaths}
        self._expect(not deaths, f"processes ended: {deaths}")

    async def _all(self, order: str, **arguments: Any) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(flood.do(order, **arguments) for flood in self.floods)))

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.report.problems.append(what)


@dataclass
class Starter:
    """A charge point whose Start comes when the backlog stands."""

    charge_point_id: str
    box: ScriptedChargePoint
    tag: str
    transaction_id: int = 0
    started_at: str = ""

    async def start(self) -> None:
        """Returns when it is answered."""
        self.started_at = _now()
        fields = {"connectorId": 1, "idTag": self.tag, "meterStart": 0, "timestamp": self.started_at}
        self.transaction_id = (await self.box.call("StartTransaction", fields))["transactionId"]

    async def stop(self) -> Session:
        """The session as it must be in the books."""
        fields = {"transactionId": self.transaction_id, "meterStop": 10, "timestamp": _now()}
        await self.box.call("StopTransaction", fields)
        identity = (self.charge_point_id, 1, self.tag, False, False)
        return Session(*identity, self.transaction_id, self.started_at, 0, 10, ())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def run(*, sizes: Sizes, seed: int, folder: Path, progress: Callable[[str], None]) -> Report:
    """Runs it on servers and processes of its own, which end with it."""
    report, began = Report(seed, sizes), time.monotonic()
    random.seed(seed)
    journal = Journal(folder / "journal.jsonl")
    settings = {"GATEWAY_IN_FLIGHT_PER_LISTENER": str(sizes.in_flight), "GATEWAY_WAITING": str(2 * sizes.slots)}
    async with set_up(folder, f"overload-{uuid.uuid4().hex[:8]}:", settings) as stage, AsyncExitStack() as exits:
        await Campaign(stage, report, journal, progress).run(exits)
    journal.close()
    report.seconds = time.monotonic() - began
    return report
