"""The revision of sharing meets rows of before: sessions get their owner, grants stay what they were, and back."""

import uuid

import asyncpg

from standalone.databases import DatabaseUrls, alembic

BEFORE, AFTER = "a7d3e9b1c504", "e2b7c4f81a90"
SESSION = """
insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, started_at,
    start_received_at, start_boot_count, meter_start_wh)
values ($1, 1, $2, 'TAG', 'Accepted', now(), now(), 0, 1000)
"""


async def test_rows_of_before_are_kept_and_completed(empty_database: DatabaseUrls) -> None:
    assert alembic(empty_database, "upgrade", BEFORE).returncode == 0
    connection = await asyncpg.connect(empty_database.application)
    try:
        owner, guest = [
            await connection.fetchval(
                "insert into users (email, password_hash) values ($1, '') returning id", f"{uuid.uuid4().hex}@e.org"
            )
            for _ in range(2)
        ]
        box = await connection.fetchval(
            "insert into charge_points (owner_id, identity, key_digest) values ($1, 'BOX', '') returning id", owner
        )
        await connection.execute(SESSION, box, 1)
        await connection.execute("insert into grants (charge_point_id, user_id) values ($1, $2)", box, guest)
        upgraded = alembic(empty_database, "upgrade", AFTER)
        assert upgraded.returncode == 0, upgraded.stderr
        await connection.execute(SESSION, box, 2)
        assert [row[0] for row in await connection.fetch("select owner_id from transactions")] == [owner, owner]
        kept = await connection.fetchrow("select audience, user_id, windows::text, cap_period from grants")
        assert tuple(kept) == ("person", guest, "[]", "validity")
        await connection.execute("insert into grants (charge_point_id, audience) values ($1, 'public')", box)
        downgraded = alembic(empty_database, "downgrade", BEFORE)
        assert downgraded.returncode == 0, downgraded.stderr
        assert await connection.fetchval("select count(*) from grants") == 1
    finally:
        await connection.close()
