"""Who is connected: the live connections of this gateway, and the claim on each in Redis, fenced by epoch.

The newest authenticated connection of a charge point wins, here and across gateways (DESIGN 3, Epochs). The claims
are a cache: after a FLUSHALL or a restart of Redis they are written again.
"""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

import msgspec
import structlog

from ocpp_gateway.bus import FAILURES, Bus
from ocpp_gateway.timing import Timing
from wire.messages import Superseded

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Claims in one script call, so that none blocks Redis for long."""

CLAIM: Final = """
local answers = {}
for index, claim in ipairs(cmsgpack.unpack(ARGV[1])) do
  local key, epoch, since = ARGV[4] .. claim[1], claim[2], claim[3]
  local stored = redis.call('HMGET', key, 'epoch', 'gateway')
  local held, holder = tonumber(stored[1] or '-1'), stored[2]
  if held > epoch then
    answers[#answers + 1] = {index, 'newer'}
  else
    if held < epoch and holder and holder ~= ARGV[2] then
      answers[#answers + 1] = {index, holder}
    end
    if held < epoch or holder ~= ARGV[2] then
      redis.call('HSET', key, 'gateway', ARGV[2], 'epoch', epoch, 'since', since)
    end
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return answers
"""
"""Writes each claim unless a newer one stands. Answers the place of each that is not simply so, from 1, with 'newer' or
the gateway that held an older one.

All claims of a gateway are written every few seconds, so that they are one argument, short, and most without an answer:
redis-py takes about a microsecond for every argument and answer. One that stands as it is gets its time only.
"""

RELEASE: Final = """
for index, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'epoch') == ARGV[index] then redis.call('DEL', key) end
end
return 0
"""
"""Compare-and-delete: the end of an old connection never touches a newer one's claim."""


class LiveConnection(Protocol):
    """What the registry needs of a connection."""

    charge_point_id: str
    epoch: int
    since: float

    def supersede(self) -> None:
        """Ends it: a newer connection of the same charge point is there."""


class Registry:
    """One gateway's connections. `run` writes their claims; without it they are known here only."""

    def __init__(self, bus: Bus, timing: Timing, changed: Callable[[int], None]) -> None:
        self.connections: dict[str, LiveConnection] = {}
        self._bus = bus
        self._timing = timing
        self._changed = changed
        self._claim = bus.redis.register_script(CLAIM)
        self._release = bus.redis.register_script(RELEASE)
        self._new: dict[str, LiveConnection] = {}
        self._gone: dict[str, int] = {}
        self._wake = asyncio.Event()

    def admit(self, connection: LiveConnection) -> bool:
        """Takes the connection in and ends an older one at once; False where a newer one is here already."""
        older = self.connections.get(connection.charge_point_id)
        if older is not None and older.epoch >= connection.epoch:
            return False
        self.connections[connection.charge_point_id] = connection
        if older is not None:
            older.supersede()
        self._new[connection.charge_point_id] = connection
        self._gone.pop(connection.charge_point_id, None)
        self._wake.set()
        self._changed(len(self.connections))
        return True

    def leave(self, connection: LiveConnection) -> None:
        """The connection ended; where a newer one took its place, nothing changes."""
        if self.connections.get(connection.charge_point_id) is not connection:
            return
        del self.connections[connection.charge_point_id]
        self._new.pop(connection.charge_point_id, None)
        self._gone[connection.charge_point_id] = connection.epoch
        self._wake.set()
        self._changed(len(self.connections))

    def announce(self) -> None:
        """Writes every claim again now: Redis may have forgotten them."""
        self._new.update(self.connections)
        self._wake.set()

    def superseded(self, charge_point_id: str, epoch: int) -> None:
        """Another gateway holds a connection of this epoch; an older one here ends."""
        connection = self.connections.get(charge_point_id)
        if connection is not None and connection.epoch < epoch:
            connection.supersede()

    async def run(self) -> None:
        """Writes claims, for ever: new ones at once, all of them every few seconds."""
        loop = asyncio.get_running_loop()
        refresh_at = loop.time() + self._timing.registry_refresh_s
        while True:
            try:
                async with asyncio.timeout_at(refresh_at):
                    await self._wake.wait()
            except TimeoutError:
                refresh_at = loop.time() + self._timing.registry_refresh_s
                self._new.update(self.connections)
            self._wake.clear()
            await self.write()

    async def write(self) -> None:
        """Writes and releases what waits; what Redis does not take now waits for the next refresh."""
        try:
            while self._new:
                batch = [self._new.pop(key) for key in list(islice(self._new, BATCH))]
                await self._write_claims([connection for connection in batch if self._is_live(connection)])
            while self._gone:
                await self._write_releases([(key, self._gone.pop(key)) for key in list(islice(self._gone, BATCH))])
        except FAILURES as error:
            log.warning("redis does not take the claims", error=str(error))

    async def _write_claims(self, connections: list[LiveConnection]) -> None:
        if not connections:
            return
        claims = msgspec.msgpack.encode([(each.charge_point_id, each.epoch, each.since) for each in connections])
        ttl_ms, prefix = int(self._timing.registry_ttl_s * 1000), self._bus.channels.connection("")
        answers = await self._claim(args=[claims, self._bus.gateway_id, ttl_ms, prefix])
        for place, answer in answers:
            self._act_on(connections[place - 1], answer.decode())

    def _act_on(self, connection: LiveConnection, answer: str) -> None:
        if answer == "newer":
            if self._is_live(connection):
                connection.supersede()
        else:
            message = Superseded(connection.charge_point_id, connection.epoch)
            self._bus.send(self._bus.channels.gateway_inbox(answer), message)

    def _is_live(self, connection: LiveConnection) -> bool:
        return self.connections.get(connection.charge_point_id) is connection

    async def _write_releases(self, gone: list[tuple[str, int]]) -> None:
        keys = [self._bus.channels.connection(charge_point_id) for charge_point_id, _ in gone]
        await self._release(keys=keys, args=[epoch for _, epoch in gone])
