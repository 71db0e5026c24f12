"""Frames for the message log wait in bounded memory, and never in the way of what somebody waits for."""

from dataclasses import replace

from ocpp_gateway.bus import CONGESTED, Bus, make_redis
from ocpp_gateway.listeners import Listeners
from ocpp_gateway.message_log import MAX_BUFFERED, MAX_BUFFERED_BYTES, MessageLog
from ocpp_gateway.metrics import Metrics
from ocpp_gateway.timing import Timing
from wire.channels import Channels
from wire.messages import Disconnected, LoggedFrame

INBOX = "t:api:1"


class Room:
    """The parts of a gateway that is not connected to any Redis."""

    def __init__(self, *inboxes: str) -> None:
        self.metrics = Metrics()
        self.bus = Bus(make_redis("redis://127.0.0.1:1/0"), Channels("t:"), "g", self.metrics)
        listeners = Listeners(avoid_s=1)
        listeners.replace(inboxes)
        self.log = MessageLog(self.bus, listeners, replace(Timing(), log_flush_s=3600), self.metrics)

    def add(self, size: int, count: int) -> None:
        for _ in range(count):
            self.log.add(LoggedFrame("cp", 1, 0.0, "in", b"x" * size))

    @property
    def dropped(self) -> float:
        return self.metrics.dropped.labels("LoggedFrame")._value.get()  # type: ignore[no-any-return]


async def test_many_small_frames_without_a_listener() -> None:
    room = Room()
    room.add(10, MAX_BUFFERED + 7)
    assert room.dropped == 7


async def test_few_large_frames_without_a_listener() -> None:
    room = Room()
    room.add(MAX_BUFFERED_BYTES // 4, 6)
    assert room.dropped == 2


async def test_frames_stay_back_while_redis_takes_less_than_is_sent() -> None:
    room = Room(INBOX)
    room.add(10, 1)
    room.log.flush()
    assert room.bus._waiting == 1
    for _ in range(CONGESTED):
        room.bus.send(INBOX, Disconnected("cp", 1, 0.0, ""))
    room.add(10, 1000)
    room.log.flush()
    assert room.bus._waiting == CONGESTED + 1
    assert room.dropped == 0
