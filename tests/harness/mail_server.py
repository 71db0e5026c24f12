"""A mail server as a program of its own: `python -m tests.harness.mail_server FOLDER [options]`.

Keeps each mail that it takes as FOLDER/NNN.eml, and prints its port once it listens. RFC 5321, and no more of it than
a client needs.
"""

import argparse
import asyncio
import base64
import ssl
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

LONGEST_LINE = 1 << 20


@dataclass
class Server:
    """What it demands and how it misbehaves."""

    folder: Path
    login: str = ""
    refuse: str = ""
    busy: int = 0
    tls: ssl.SSLContext | None = None
    numbers: "count[int]" = field(default_factory=count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client from its greeting to QUIT."""
        try:
            await Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


class Session:
    """The dialogue with one client."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._logged_in = not server.login

    async def run(self) -> None:
        await self._say("220 test")
        while line := await self._reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 bye")
                return
            await self._answer(verb.upper(), rest)

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()

    async def _answer(self, verb: str, rest: str) -> None:
        server = self._server
        if verb == "EHLO":
            await self._say("250-test", *(["250-STARTTLS"] if server.tls else []), "250-AUTH PLAIN", "250 8BITMIME")
        elif verb == "STARTTLS" and server.tls is not None:
            await self._say("220 go ahead")
            await self._writer.start_tls(server.tls)
        elif verb == "AUTH":
            given = base64.b64decode(rest.partition(" ")[2]).decode()
            self._logged_in = given.replace("\0", ":") == f":{server.login}"
            await self._say("235 welcome" if self._logged_in else "535 wrong")
        elif verb == "MAIL" and not self._logged_in:
            await self._say("530 log in first")
        elif verb == "RCPT" and server.refuse and server.refuse in rest:
            await self._say("550 nobody here")
        elif verb == "RCPT" and server.busy > 0:
            server.busy -= 1
            await self._say("451 busy")
        elif verb == "DATA":
            await self._take()
        else:
            await self._say("250 ok")

    async def _take(self) -> None:
        await self._say("354 go on")
        content = await self._reader.readuntil(b"\r\n.\r\n")
        path = self._server.folder / f"{next(self._server.numbers):03}.eml"
        path.with_suffix(".part").write_bytes(content.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."))
        path.with_suffix(".part").rename(path)
        await self._say("250 taken")


async def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--login", default="", help="USER:PASSWORD that it asks for")
    parser.add_argument("--refuse", default="", help="a recipient that it does not know")
    parser.add_argument("--busy", type=int, default=0, help="how many recipients to put off")
    parser.add_argument("--certificate", type=Path, help="PEM of key and certificate, for STARTTLS")
    given = parser.parse_args()
    tls = None
    if given.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.certificate)
    server = Server(given.folder, given.login, given.refuse, given.busy, tls)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=LONGEST_LINE)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
