"""Charge points that charge whatever happens: each keeps a message until it is answered, and sends it again.

They speak raw OCPP-J, and share no code with the gateway.
"""

import asyncio
import json
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from tests.faults.campaign.journal import Journal, Session

ANSWER_DEADLINE_S = 40.0
RECONNECT_PAUSE_S = (0.05, 0.5)
WRONG_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)
UNAVAILABLE_CLOSES = frozenset({1001, 1006, 1011, 1012, 1013})
"""Closes that say: later. 1011 is what a library sends on a failed ping."""


@dataclass(frozen=True)
class Card:
    """An id tag, and whether its holder pays."""

    tag: str
    is_guest: bool


@dataclass
class Habits:
    """How often a charge point does what real ones do."""

    lost_answer: float = 0.08
    """It hangs up before the answer comes."""
    replay: float = 0.08
    """It sends again what was answered."""
    reboot: float = 0.06
    wrong_clock: float = 0.02
    pause_s: tuple[float, float] = (0.0, 0.15)
    """Between messages."""


@dataclass
class Charging:
    """A session that goes on."""

    card: Card
    has_wrong_clock: bool
    start: dict[str, Any]
    transaction_id: int
    sampled: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class ChargePoint:
    """One charge point with one connector."""

    id: str
    identity: str
    key: str
    urls: Callable[[], list[str]]
    cards: list[Card]
    journal: Journal
    random: random.Random
    habits: Habits = field(default_factory=Habits)
    register_wh: int = 1000
    status: str = "Available"
    charging: Charging | None = None

    def __post_init__(self) -> None:
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[list[Any]]] = {}
        self._clock_offset = timedelta()

    async def run(self, quota: "Quota") -> None:
        """Charges as long as there is something of the quota, then waits connected."""
        await self.boot()
        while quota.take():
            await self._charge()
            if self.random.random() < self.habits.reboot:
                await self.leave()
                await self.boot()

    async def stay(self) -> None:
        """Keeps the connection, as an idle charge point does, until it is cancelled."""
        while True:
            await self.greet()
            assert self._reader is not None
            await asyncio.wait({self._reader}, timeout=5)

    async def greet(self) -> None:
        """A Heartbeat, on a new connection where there is none."""
        await self._call("Heartbeat", {})

    async def leave(self) -> None:
        """Hangs up."""
        if self._socket is not None:
            self._socket.transport.abort()
        if self._reader is not None:
            await self._reader
        self._socket = self._reader = None

    async def boot(self) -> None:
        """Says so until it is accepted, connecting first where it is not connected."""
        while True:
            answer = await self._call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "F1"})
            if answer.get("status") == "Accepted":
                break
            self.journal.violate(self.identity, f"boot was answered {answer}")
            return
        await self._status("Available")

    async def _charge(self) -> None:
        await self.begin()
        for _ in range(self.random.randint(1, 4)):
            await self.meter()
        await self.end()

    async def begin(self) -> None:
        """A car comes, and is charged until `end`."""
        card = self.random.choice(self.cards)
        has_wrong_clock = self.random.random() < self.habits.wrong_clock
        self._clock_offset = WRONG_CLOCK - datetime.now(UTC) if has_wrong_clock else timedelta()
        answer = await self._call("Authorize", {"idTag": card.tag})
        self._expect(answer.get("idTagInfo", {}).get("status") == "Accepted", f"Authorize was answered {answer}")
        start = {"connectorId": 1, "idTag": card.tag, "meterStart": self.register_wh, "timestamp": self._now()}
        answer = await self._call("StartTransaction", start)
        transaction_id = answer.get("transactionId", 0)
        self._expect(transaction_id > 0, f"StartTransaction was answered {answer}")
        self.charging = Charging(card, has_wrong_clock, start, transaction_id)
        await self._status("Charging")

    async def meter(self) -> None:
        """A MeterValues of the session."""
        assert self.charging is not None
        sampled = await self._meter(self.charging.transaction_id)
        self.charging.sampled.append(sampled)

    async def end(self) -> None:
        """The car leaves."""
        charging = self.charging
        assert charging is not None
        self.register_wh += self.random.randint(0, 20)
        start, transaction_id = charging.start, charging.transaction_id
        stop = {
            "transactionId": transaction_id, "idTag": charging.card.tag, "meterStop": self.register_wh,
            "timestamp": self._now(),
        }  # fmt: skip
        await self._call("StopTransaction", stop)
        await self._replay(start, transaction_id, stop)
        self.journal.finish(Session(self.id, 1, charging.card.tag, charging.card.is_guest, charging.has_wrong_clock,
                                    transaction_id, start["timestamp"], start["meterStart"], self.register_wh,
                                    tuple(charging.sampled)))  # fmt: skip
        self.charging = None
        self._clock_offset = timedelta()
        await self._status("Available")

    async def _meter(self, transaction_id: int) -> tuple[str, int]:
        self.register_wh += self.random.randint(1, 60)
        at = self._now()
        sample = {"value": str(self.register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        values = [{"timestamp": at, "sampledValue": [sample]}]
        await self._call("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": values})
        return at, self.register_wh

    async def _replay(self, start: dict[str, Any], transaction_id: int, stop: dict[str, Any]) -> None:
        if self.random.random() >= self.habits.replay:
            return
        answer = await self._call("StartTransaction", start)
        same = answer.get("transactionId") == transaction_id
        self._expect(same, f"a replayed Start was answered {answer}, before {transaction_id}")
        await self._call("StopTransaction", stop)

    async def _status(self, status: str) -> None:
        self.status = status
        fields = {"connectorId": 1, "errorCode": "NoError", "status": status}
        await self._call("StatusNotification", {**fields, "timestamp": _text(datetime.now(UTC))})

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.journal.violate(self.identity, what)

    def _now(self) -> str:
        return _text(datetime.now(UTC) + self._clock_offset)

    # --- delivery -----------------------------------------------------------------------------------------------

    async def _call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Sends a message until it is answered; its answer, {} after a CALLERROR, which is a violation."""
        await asyncio.sleep(self.random.uniform(*self.habits.pause_s))
        hangs_up = self.random.random() < self.habits.lost_answer
        while True:
            try:
                frame = await self._attempt(action, payload, hangs_up=hangs_up)
            except (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError, TimeoutError) as error:
                hangs_up = False
                self._expect(_is_temporary(error), f"the handshake was refused: {error}")
                await self.leave()
                await asyncio.sleep(self.random.uniform(*RECONNECT_PAUSE_S))
                continue
            if frame[0] == 3:
                self.journal.acknowledge(self.identity, action, payload, frame[2])
                return dict(frame[2])
            self.journal.violate(self.identity, f"{action} was answered {frame}")
            return {}

    async def _attempt(self, action: str, payload: dict[str, Any], *, hangs_up: bool) -> list[Any]:
        if self._socket is None:
            await self._connect()
        assert self._socket is not None
        assert self._reader is not None
        message_id = uuid.UUID(int=self.random.getrandbits(128)).hex
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[message_id] = answer
        try:
            await self._socket.send(json.dumps([2, message_id, action, payload]))
            if hangs_up:
                raise ConnectionError
            ends: tuple[asyncio.Future[Any], ...] = (answer, self._reader)
            await asyncio.wait(ends, timeout=ANSWER_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ConnectionError
            return answer.result()
        finally:
            del self._answers[message_id]

    async def _connect(self) -> None:
        scheme, _, rest = self.random.choice(self.urls()).partition("://")
        self._socket = await connect(
            f"{scheme}://{self.identity}:{self.key}@{rest}/{self.identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            open_timeout=ANSWER_DEADLINE_S,
            ping_interval=None,
        )
        self._reader = asyncio.create_task(self._read(self._socket))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    await socket.send(json.dumps([3, frame[1], _result(frame[2])]))
                elif (waiting := self._answers.get(frame[1])) is not None and not waiting.done():
                    waiting.set_result(frame)
        except (ConnectionClosed, OSError):
            pass
        if socket.close_code is not None and socket.close_code not in UNAVAILABLE_CLOSES:
            self.journal.violate(self.identity, f"closed with {socket.close_code} {socket.close_reason}")


def _is_temporary(error: Exception) -> bool:
    """Whether a charge point may come again: a handshake is only ever refused by 503 here."""
    return not isinstance(error, InvalidStatus) or error.response.status_code == 503


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _result(action: str) -> dict[str, Any]:
    if action == "GetConfiguration":
        return {"configurationKey": [], "unknownKey": []}
    return {"status": "Accepted"}


@dataclass
class Quota:
    """How many sessions a fleet may still begin."""

    left: int
    is_wanted: Callable[[], bool] = lambda: True

    def take(self) -> bool:
        """Whether one may begin now."""
        self.left -= 1
        return self.left >= 0 and self.is_wanted()

    def end(self) -> None:
        """From now on there is none."""
        self.left = 0


async def hurry(charge_points: list[ChargePoint], quota: Quota) -> None:
    """All of them charge until no session is left and the last one is over."""
    async with asyncio.TaskGroup() as group:
        for charge_point in charge_points:
            group.create_task(charge_point.run(quota))


async def begin_to_charge(charge_points: list[ChargePoint]) -> None:
    """All of them are in the middle of a session when it returns."""

    async def begin(charge_point: ChargePoint) -> None:
        await charge_point.begin()
        await charge_point.meter()

    await asyncio.gather(*(begin(charge_point) for charge_point in charge_points))


async def end_charging(charge_points: list[ChargePoint]) -> None:
    """No session goes on when it returns."""
    await asyncio.gather(*(charge_point.end() for charge_point in charge_points if charge_point.charging))


async def arrive(charge_points: list[ChargePoint]) -> None:
    """Each of them is connected and has been answered when it returns."""
    await asyncio.gather(*(charge_point.greet() for charge_point in charge_points))


async def idle(charge_points: list[ChargePoint]) -> None:
    """All of them stay connected; cancel it to end."""
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*(charge_point.stay() for charge_point in charge_points))
