"""A webhook's receiver as a program of its own: writes each request to a file as a line of JSON, and answers.

`python -m tests.integration.events.receiver HOST PORT FILE [CERTIFICATE]`; what it answers is in FILE.answer, read for
each request: a status, `302`, or `silent` for no answer at all.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standalone.databases import REPOSITORY
from standalone.servers import free_port
from tests.harness.stack import eventually


def _wanted(file: Path) -> str:
    return Path(f"{file}.answer").read_text()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        with file.open("a") as out:
            out.write(json.dumps({"line": first, "headers": headers, "body": body}) + "\n")
        status = _wanted(file)
        if status == "silent":
            await reader.read()
        else:
            where = "Location: /elsewhere\r\n" if status == "302" else ""
            writer.write(f"HTTP/1.1 {status} Whatever\r\n{where}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
    writer.close()


async def _serve(host: str, port: int, file: Path, certificate: str | None) -> None:
    secure = None
    if certificate:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda r, w: _answer(r, w, file), host, port, ssl=secure)
    async with server:
        await server.serve_forever()


@dataclass
class Receiver:
    """The running program."""

    url: str
    file: Path

    def answer(self, what: str) -> None:
        """What it answers from now on."""
        Path(f"{self.file}.answer").write_text(what)

    def received(self) -> list[dict[str, Any]]:
        """Every request so far, with the event in `event`."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        requests = [json.loads(line) for line in lines]
        return [{**each, "event": json.loads(each["body"])} for each in requests]

    async def until(self, count: int, deadline_s: float = 30.0) -> list[dict[str, Any]]:
        """Waits for so many requests."""

        async def there() -> list[dict[str, Any]]:
            found = self.received()
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = await eventually(there, f"{count} requests", deadline_s)
        return found


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.integration.events.receiver", *arguments], cwd=REPOSITORY)


@contextlib.asynccontextmanager
async def receiver(
    folder: Path, host: str = "127.0.0.1", certificate: Path | None = None, answer: str = "204"
) -> AsyncIterator[Receiver]:
    """Starts it, and ends it with the block."""
    port = free_port()
    scheme = "https" if certificate else "http"
    made = Receiver(f"{scheme}://{host}:{port}/hook?a=1", folder / f"received-{port}")
    made.answer(answer)
    arguments = [host, str(port), str(made.file), *([str(certificate)] if certificate else [])]
    process = _start(arguments)

    async def listens() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
        return False

    try:
        await eventually(listens, "the receiver to listen", 30)
        yield made
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None))
