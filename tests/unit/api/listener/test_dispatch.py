"""What nobody waits for is dropped beyond its bounds, and counted; nothing is connected here and nothing runs."""

import asyncpg
from prometheus_client import Counter
from redis.asyncio import Redis

from api.bus import Bus
from api.listener.dispatch import MOST_FRAME_BYTES, MOST_FRAMES, MOST_NOTES, Dispatch
from api.listener.metrics import FRAMES_DROPPED, NOTES_DROPPED
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from wire.channels import Channels
from wire.messages import Disconnected, LoggedFrame, Message


def dropped(counter: Counter, *messages: Message) -> float:
    """How many of them there was no room for."""
    storage = Storage(asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none"))
    outbox = Outbox(Bus(Redis.from_url("redis://127.0.0.1:1/0"), Channels("t:")))
    before: float = counter._value.get()
    Dispatch(storage, outbox, 10).accept(messages)
    return float(counter._value.get() - before)


def frame(size: int) -> LoggedFrame:
    return LoggedFrame("cp", 1, 0.0, "in", b"x" * size)


async def test_many_small_frames() -> None:
    assert dropped(FRAMES_DROPPED, *[frame(10)] * (MOST_FRAMES + 5)) == 5


async def test_few_large_frames() -> None:
    assert dropped(FRAMES_DROPPED, *[frame(MOST_FRAME_BYTES // 4)] * 6) == 2


async def test_remarks() -> None:
    assert dropped(NOTES_DROPPED, *[Disconnected("cp", 1, 0.0, "")] * (MOST_NOTES + 3)) == 3
