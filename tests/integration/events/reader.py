"""A program that reads an event stream as a browser would: its events as they come, and whether it has ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.harness.stack import eventually


@dataclass
class Reader:
    """What one open stream has said so far."""

    status: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    last_id: int | None = None
    comments: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of the events of one type."""
        return [each["body"] for each in self.events if each["event"] == kind]

    async def until(self, kind: str, count: int = 1, deadline_s: float = 15.0) -> list[dict[str, Any]]:
        """Waits for so many events of a type."""

        async def there() -> list[dict[str, Any]]:
            found = self.of(kind)
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = await eventually(there, f"{count} x {kind} in {self.events}", deadline_s)
        return found

    async def until_ended(self, deadline_s: float = 15.0) -> None:
        """Waits until the server has ended the stream."""
        await asyncio.wait_for(self.ended.wait(), deadline_s)

    async def run(self, response: httpx.Response) -> None:
        """Reads until the stream ends."""
        lines: list[str] = []
        try:
            async for line in response.aiter_lines():
                if line:
                    lines.append(line)
                elif lines:
                    self._take(lines)
                    lines = []
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def _take(self, lines: list[str]) -> None:
        fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        self.comments += sum(line.startswith(":") for line in lines)
        if "id" in fields:
            self.last_id = int(fields["id"])
        if "event" in fields:
            self.events.append({"event": fields["event"], "body": orjson.loads(fields["data"])})


@contextlib.asynccontextmanager
async def reading(http: httpx.AsyncClient, after: int | None = None, **parameters: Any) -> AsyncIterator[Reader]:
    """An open stream that has said `ready` or `resync`."""
    reader = Reader()
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with http.stream("GET", "/events", params=parameters, headers=headers, timeout=60) as response:
        reader.status = response.status_code
        assert reader.status == 200, await response.aread()
        task = asyncio.create_task(reader.run(response))

        async def begun() -> bool:
            return bool(reader.of("ready") or reader.of("resync"))

        try:
            await eventually(begun, "the stream's beginning")
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
