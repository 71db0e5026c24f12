"""One open event stream as an ASGI response: what was missed, then what comes, heartbeats, and its end.

A client that does not read is let go of while a write waits for it; nobody else notices.
"""

import asyncio
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import DatabaseAway
from api.events.catalogue import server_sent
from api.events.feed import Feed
from api.events.hub import Subscriber

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 15.0
HEARTBEAT: Final = b": still here\n\n"
RETRY: Final = b"retry: 2000\n\n"
"""After how many milliseconds a browser comes back."""
READY: Final = "ready"
RESYNC: Final = "resync"
REPLAY_CHUNK: Final = 100


class EventStream(Response):
    """The stream of one subscriber, who is in the hub already."""

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(self, feed: Feed, subscriber: Subscriber, start: int, last_event_id: int | None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._subscriber = subscriber
        self._start = start
        self._last_event_id = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the stream ends or the client is gone."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_until_gone(receive))
        self._subscriber.on_cut = sending.cancel
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self._subscriber.is_cut:
                log.info("let go of a stream that was not read", user_id=str(self._subscriber.caller.user_id))
            elif sending.done():
                sending.result()
        finally:
            self._feed.hub.remove(self._subscriber)
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _write(send, RETRY)
        try:
            beginning = await self._beginning()
        except DatabaseAway:
            beginning = []
            self._subscriber.end()  # its client comes back with the id that it has
        for piece in beginning:
            await _write(send, piece)
        while (chunk := await self._subscriber.take(HEARTBEAT_S)) is not None:
            await _write(send, chunk or HEARTBEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _beginning(self) -> list[bytes]:
        """What was missed, and from which version on the client hears of everything."""
        here = b'{"version":%d}' % self._start
        if self._last_event_id is None:
            return [server_sent(READY, here, self._start)]
        missed = await self._feed.missed(self._subscriber, self._last_event_id, self._start)
        if missed is None:
            return [server_sent(RESYNC, here, self._start)]
        pieces = [b"".join(missed[i : i + REPLAY_CHUNK]) for i in range(0, len(missed), REPLAY_CHUNK)]
        return [*pieces, server_sent(READY, here, self._start)]


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
