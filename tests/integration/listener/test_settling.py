"""Listeners settle what their Stops finish, and a listener that is killed in the middle costs nothing."""

import asyncpg

from tests.harness.stack import eventually
from tests.integration.listener.gateway import Gateway, StartListener
from tests.integration.settlement.books import add_box, add_session, balance, check_books

SESSIONS = 300


async def test_every_session_is_settled_once_though_listeners_are_killed(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    box = await add_box(connection)
    for _ in range(SESSIONS):
        await add_session(connection, box, 1_000)

    async def number() -> int:
        return int(await connection.fetchval("select count(*) from settlements"))

    doomed = listen(PLATFORM_FEE_BP="1000")
    await eventually(number, "the first settlement")
    doomed.process.kill()
    doomed.process.wait(10)
    for _ in range(2):
        listen(PLATFORM_FEE_BP="1000")

    async def is_done() -> bool:
        return await number() == SESSIONS

    await eventually(is_done, "every settlement")
    assert await balance(connection, box.driver, "driver") == -550 * SESSIONS
    assert await balance(connection, box.owner, "owner") == 495 * SESSIONS
    assert await balance(connection, None, "platform") == 55 * SESSIONS
    await check_books(connection)
