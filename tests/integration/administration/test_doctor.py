"""`voltuj doctor` on a real stack, behind real TLS, and with one thing wrong at a time."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from standalone.databases import DatabaseUrls
from standalone.servers import free_port
from tests.deploy.certificates import Certificate, make_certificate
from tests.harness.fixtures import Running
from tests.harness.stack import Stack
from tests.integration.administration.conftest import Voltuj

NOWHERE = "127.0.0.1:1"


def lines(done: subprocess.CompletedProcess[str], verdict: str) -> str:
    """The rows of the table with this verdict, each on one line however it was wrapped."""
    rows: list[list[str]] = []
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if cells and not cells[0]:
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
        elif cells:
            rows.append(cells)
    return "\n".join(" | ".join(row) for row in rows if row[0] == verdict)


@asynccontextmanager
async def tls_before(port: int, certificate: Certificate, folder: Path) -> AsyncIterator[int]:
    """TLS ends here and the rest goes on to `port`, as in Apache."""
    (folder / "chain.pem").write_text(certificate.pem)
    (folder / "key.pem").write_text(certificate.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def addresses(running: Running) -> dict[str, str]:
    return {
        "PUBLIC_API_URL": f"http://127.0.0.1:{running.api.port}",
        "PUBLIC_OCPP_URL": f"ws://127.0.0.1:{running.gateway.port}",
    }


async def test_a_whole_installation_is_well(running: Running, voltuj: Voltuj) -> None:
    done = await asyncio.to_thread(voltuj, "doctor", **addresses(running))
    assert done.returncode == 0, done.stdout
    for subject in ("PostgreSQL", "migrations", "database role", "clock", "Redis", "backup", "JWT_SECRET"):
        assert subject in lines(done, "ok"), done.stdout
    assert "listeners" in lines(done, "ok")
    assert "the gateway is there" in lines(done, "ok")
    assert "the api is there" in lines(done, "ok")
    assert "keys travel readable" in lines(done, "warn")


async def test_the_chain_is_seen_as_a_wallbox_sees_it(running: Running, voltuj: Voltuj, tmp_path: Path) -> None:
    authority = make_certificate("authority")
    (tmp_path / "ca.pem").write_text(authority.pem)
    trusting = ("--authority", str(tmp_path / "ca.pem"), "--through", "127.0.0.1")
    async with tls_before(running.gateway.port, make_certificate("box.test", authority), tmp_path) as port:
        settings = addresses(running) | {"PUBLIC_OCPP_URL": f"wss://box.test:{port}"}
        trusted = await asyncio.to_thread(voltuj, "doctor", *trusting, **settings)
        assert trusted.returncode == 0, trusted.stdout
        assert "the gateway is there" in lines(trusted, "ok")
        assert "renew it" in lines(trusted, "warn"), "it holds for a day"

        unknown = await asyncio.to_thread(voltuj, "doctor", "--through", "127.0.0.1", **settings)
        assert "authority that is not known here" in lines(unknown, "warn"), unknown.stdout

        settings["PUBLIC_OCPP_URL"] = f"wss://another.test:{port}"
        wrong = await asyncio.to_thread(voltuj, "doctor", *trusting, **settings)
        assert wrong.returncode == 1
        assert "wallboxes refuse its certificate" in lines(wrong, "fail"), wrong.stdout


async def test_nobody_is_up(stack: Stack, voltuj: Voltuj) -> None:
    """A gateway is not enough, and a port at which nobody listens is named."""
    done = await asyncio.to_thread(
        voltuj, "doctor", PUBLIC_API_URL=f"https://127.0.0.1:{free_port()}", PUBLIC_OCPP_URL="nonsense"
    )
    assert done.returncode == 1
    for what in ("listeners", "gateways", "cannot be reached", "nonsense is no address"):
        assert what in lines(done, "fail"), done.stdout


def test_what_is_away_is_named(voltuj: Voltuj) -> None:
    done = voltuj(
        "doctor",
        DATABASE_URL=f"postgresql://voltuj:change-me@{NOWHERE}/voltuj",
        REDIS_URL=f"redis://{NOWHERE}",
        JWT_SECRET="change-me-change-me-change-me-change-me",
    )
    assert done.returncode == 1
    for what in ("PostgreSQL", "Redis", "JWT_SECRET", "DATABASE_URL"):
        assert what in lines(done, "fail"), done.stdout
    assert "Traceback" not in done.stderr


def test_a_database_without_tables_and_the_owner_as_service(voltuj: Voltuj, empty_database: DatabaseUrls) -> None:
    done = voltuj("doctor", DATABASE_URL=empty_database.owner)
    assert done.returncode == 1
    assert "alembic upgrade head" in lines(done, "fail"), done.stdout
    assert "database role" in lines(done, "warn"), done.stdout


async def test_a_database_of_a_newer_release_is_doubtful(voltuj: Voltuj, database: DatabaseUrls) -> None:
    owner = await asyncpg.connect(database.owner)
    await owner.execute("update alembic_version set version_num = 'ffffffffffff'")
    await owner.close()
    done = await asyncio.to_thread(voltuj, "doctor")
    assert "of a newer release than this one" in lines(done, "warn"), done.stdout


def test_a_setting_that_is_missing_is_named(voltuj: Voltuj) -> None:
    done = voltuj("doctor", DATABASE_URL="")
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr


async def test_a_frozen_gateway_is_not_waited_for(running: Running, voltuj: Voltuj) -> None:
    running.gateway.freeze()
    done = await asyncio.to_thread(voltuj, "doctor", **addresses(running))
    running.gateway.thaw()
    assert done.returncode == 1
    assert "cannot be reached" in lines(done, "fail"), done.stdout
