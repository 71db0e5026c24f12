"""People, wallboxes and finished sessions as rows, and what must hold for the books whatever happened.

Sessions are rated here as a StopTransaction rates them; settling them is up to the tests.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import orjson

from api.accounting.rating import rate, record_to_json
from api.accounting.tariff import flat_tariff, tariff_to_json
from api.administration.books import check_ledger

STOP = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
_number = count(1)


@dataclass(frozen=True)
class Box:
    """A wallbox with its owner and somebody who charges there."""

    id: uuid.UUID
    owner: uuid.UUID
    driver: uuid.UUID


async def add_person(connection: asyncpg.Connection) -> uuid.UUID:
    """A person without a log-in."""
    email = f"{uuid.uuid4().hex}@example.org"
    made: uuid.UUID = await connection.fetchval(
        "insert into users (email, password_hash) values ($1, '') returning id", email
    )
    return made


async def add_box(connection: asyncpg.Connection) -> Box:
    """A wallbox."""
    owner, driver = await add_person(connection), await add_person(connection)
    made = await connection.fetchval(
        "insert into charge_points (owner_id, identity, key_digest) values ($1, $2, '') returning id",
        owner, uuid.uuid4().hex,
    )  # fmt: skip
    return Box(made, owner, driver)


async def add_session(
    connection: asyncpg.Connection,
    box: Box,
    energy_wh: int = 10_000,
    *,
    driver: uuid.UUID | None = None,
    price_e4: int = 55_000,
    **columns: Any,
) -> uuid.UUID:
    """A stopped and rated session of the box's driver; returns its public id."""
    tariff = flat_tariff(price_e4, "CZK")
    start = STOP - timedelta(hours=2)
    record = rate(tariff, meter_start_wh=0, meter_stop_wh=energy_wh, started_at=start, stopped_at=STOP)
    number = next(_number)
    values: dict[str, Any] = {
        "charge_point_id": box.id, "connector_id": 1, "ocpp_transaction_id": number, "id_tag": f"T{number}",
        "id_tag_status": "Accepted", "driver_id": driver or box.driver, "started_at": start,
        "start_received_at": start, "start_boot_count": 1, "meter_start_wh": 0, "status": "stopped",
        "stopped_at": STOP, "stop_received_at": STOP, "meter_stop_wh": energy_wh, "energy_wh": energy_wh,
        "currency": "CZK", "total_minor": record.total_minor, "tariff": orjson.dumps(tariff_to_json(tariff)).decode(),
        "charge_detail_record": orjson.dumps(record_to_json(record)).decode(), **columns,
    }  # fmt: skip
    places = [f"${n}::text::jsonb" if name in {"tariff", "charge_detail_record"} else f"${n}"
              for n, name in enumerate(values, 1)]  # fmt: skip
    statement = f"insert into transactions ({', '.join(values)}) values ({', '.join(places)}) returning public_id"
    made: uuid.UUID = await connection.fetchval(statement, *values.values())
    return made


async def balance(connection: asyncpg.Connection, user_id: uuid.UUID | None, kind: str) -> int:
    """What stands on an account in CZK."""
    query = """select sum(case when p.credit_account_id = a.id then p.amount_minor else -p.amount_minor end)
        from ledger_accounts a join transfers p on a.id in (p.credit_account_id, p.debit_account_id)
        where a.user_id is not distinct from $1 and a.kind = $2"""
    return int(await connection.fetchval(query, user_id, kind) or 0)


async def check_books(connection: asyncpg.Connection) -> None:
    """Zero-sum by currency; revisions without gaps; what stands for a session is its newest settlement."""
    sums: Counter[uuid.UUID] = Counter()
    standing: Counter[int] = Counter()
    for row in await connection.fetch(
        "select p.*, s.transaction_id from transfers p left join settlements s on s.id = p.settlement_id"
    ):
        sums[row["debit_account_id"]] -= row["amount_minor"]
        sums[row["credit_account_id"]] += row["amount_minor"]
        if row["kind"] in {"charge", "vat"}:
            standing[row["transaction_id"]] += row["amount_minor"] * (-1 if row["is_reversal"] else 1)
    assert sum(sums.values()) == 0
    assert await check_ledger(connection) == []
    revisions: dict[int, list[asyncpg.Record]] = {}
    for row in await connection.fetch("select * from settlements order by transaction_id, revision"):
        revisions.setdefault(row["transaction_id"], []).append(row)
    for transaction_id, rows in revisions.items():
        assert [row["revision"] for row in rows] == list(range(len(rows)))
        is_own = rows[-1]["driver_account_id"] == rows[-1]["owner_account_id"]
        due = 0 if is_own else rows[-1]["net_minor"] + rows[-1]["vat_minor"]
        assert standing[transaction_id] == due, transaction_id
