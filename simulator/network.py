"""Keeps a charge point connected: dials, waits with back-off and jitter, serves, dials again. What is said on the
connection is not known here."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection

from simulator.address import Address, RefusalError
from simulator.behaviour import Behaviour
from simulator.configuration import Configuration
from simulator.link import Answer, CallFailedError, Link, LinkError, OfflineError, dial


class Network:
    """The way to the central system. `accepted` is set while the charge point is online and may speak (4.2)."""

    def __init__(
        self,
        address: Address,
        behaviour: Behaviour,
        configuration: Configuration,
        *,
        chance: random.Random,
        make_link: Callable[[ClientConnection], Link],
        introduce: Callable[[Link], Awaitable[None]],
        report: Callable[..., None],
    ) -> None:
        self.accepted = asyncio.Event()
        self._address = address
        self._behaviour = behaviour
        self._configuration = configuration
        self._chance = chance
        self._make_link = make_link
        self._introduce = introduce
        self._report = report
        self._link: Link | None = None
        self._cable = asyncio.Event()
        self._cable.set()

    async def keep(self) -> None:
        """Stays connected for ever.

        Raises:
            RefusalError: the first connection did not come about.
        """
        attempts, known = 0, False
        while True:
            await self._cable.wait()
            ping_interval_s = self._configuration.number("WebSocketPingInterval") or None
            try:
                connection = await dial(self._address, ping_interval_s=ping_interval_s)
            except RefusalError as refusal:
                if not known:
                    raise
                attempts += 1
                wait_s = max(self._back_off(attempts), refusal.retry_after_s)
                self._report("refused", reason=str(refusal), retry_in_s=round(wait_s, 1))
            else:
                known = True
                attempts = 0 if await self._live_on(self._make_link(connection)) else attempts + 1
                wait_s = self._back_off(attempts)
            await asyncio.sleep(wait_s)

    def _back_off(self, attempts: int) -> float:
        wait_s = self._behaviour.reconnect_s * 2.0 ** min(attempts, 16)
        return min(wait_s, self._behaviour.longest_reconnect_s) * self._chance.uniform(0.5, 1.0)

    async def _live_on(self, link: Link) -> bool:
        """Serves one connection to its end; whether the charge point was accepted on it."""
        self._link = link
        self._report("connected", url=self._address.url)
        introduction = asyncio.ensure_future(self._introduce(link))
        introduction.add_done_callback(lambda task: None if task.cancelled() or not task.exception() else link.abort())
        try:
            reason = await link.serve()
        finally:
            was_accepted = self.accepted.is_set()
            self.accepted.clear()
            self._link = None
            introduction.cancel()
            link.abort()
        await asyncio.wait({introduction})
        if not introduction.cancelled() and (error := introduction.exception()):
            raise error
        self._report("disconnected", reason=reason)
        return was_accepted

    async def request(self, payload: object) -> Answer:
        """A CALL on the connection of now.

        Raises:
            OfflineError, NoAnswerError, CallFailedError: as their names say.
        """
        if self._link is None:
            raise OfflineError
        return await self._link.request(payload)

    async def tell(self, payload: object) -> None:
        """A CALL whose answer says nothing; one that fails is reported, not repeated."""
        try:
            await self.request(payload)
        except CallFailedError as error:
            self._report("call_error", action=type(payload).__name__, error=str(error))
        except LinkError:
            self._report("unanswered", action=type(payload).__name__)

    def cut(self, for_s: float) -> None:
        """The connection is gone without a word, and none comes about for `for_s`."""
        self._cable.clear()
        self.drop()
        asyncio.get_running_loop().call_later(for_s, self._cable.set)

    def drop(self) -> None:
        """The connection is gone without a word; the next one comes after the usual wait."""
        self.accepted.clear()
        if self._link is not None:
            self._link.abort()

    async def close(self) -> None:
        """Ends the connection properly and makes no other."""
        self._cable.clear()
        if self._link is not None:
            await self._link.close()
