"""The ledger's tables: append-only by rights, sealed by a trigger, limits by constraints."""

import asyncpg
import pytest

from api.settlement.settling import settle_next
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW, add_box, add_session

COLUMNS = {
    "ledger_accounts": "kind",
    "decisions": "note",
    "settlements": "net_minor",
    "transfers": "amount_minor",
    "bank_movements": "amount_minor",
    "bank_postings": "note",
    "payment_symbols": "created_at",
    "payouts": "amount_minor",
    "credit_limits": "limit_minor",
    "holds": "amount_minor",
    "balance_snapshots": "balance_minor",
}
ADD = """
insert into transfers (settlement_id, debit_account_id, credit_account_id, amount_minor, currency, kind, is_reversal,
    booked_on)
select settlement_id, debit_account_id, credit_account_id, amount_minor, currency, kind, is_reversal, booked_on
from transfers limit 1
"""
ADD_SETTLEMENT = """
insert into settlements (transaction_id, revision, driver_account_id, owner_account_id, currency, net_minor, vat_minor,
    fee_bp, posted_at, posted_by)
select transaction_id, revision + 1, driver_account_id, owner_account_id, currency, net_minor, vat_minor, fee_bp,
    posted_at, posted_by
from settlements limit 1 returning id
"""


@pytest.fixture
async def settled(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A connection to books in which one session is settled."""
    await add_session(connection, await add_box(connection))
    async with connection.transaction():
        assert await settle_next(connection, 0, NOW)
    assert await connection.fetchval("select count(*) from transfers") == 1
    return connection


async def test_the_restricted_role_changes_and_removes_nothing(connection: asyncpg.Connection) -> None:
    for table, column in COLUMNS.items():
        for statement in (f"update {table} set {column} = {column}", f"delete from {table}", f"truncate {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_a_settlement_takes_no_more_rows_once_it_is_committed(settled: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="is sealed"):
        await settled.execute(ADD)
    assert await settled.fetchval("select count(*) from transfers") == 1


async def test_nor_from_another_connection_while_it_is_made(settled: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as other, settled.transaction():
        made = await settled.fetchval(ADD_SETTLEMENT)
        with pytest.raises(asyncpg.RestrictViolationError, match="is sealed"):
            await other.execute(ADD.replace("select settlement_id,", f"select '{made}'::uuid,"))


async def test_the_seal_is_not_the_inserts_to_choose(settled: asyncpg.Connection) -> None:
    """A settlement that claims another database transaction's number and time gets those of its own."""
    async with settled.transaction():
        made = await settled.fetchval(ADD_SETTLEMENT)
        row = await settled.fetchrow(
            "select posted_at = now() as now, posted_by = pg_current_xact_id()::text::bigint as mine "
            "from settlements where id = $1", made,
        )  # fmt: skip
        assert row["now"]
        assert row["mine"]
        await settled.execute(ADD.replace("select settlement_id,", f"select '{made}'::uuid,"))
    assert await settled.fetchval("select count(*) from transfers") == 2


async def test_the_same_revision_twice_is_refused(settled: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await settled.execute(ADD_SETTLEMENT.replace("revision + 1", "revision"))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("amount_minor,", "amount"),
        ("credit_account_id,", "two_accounts"),
        ("kind,", "kind"),
    ],
)
async def test_a_transfer_that_moves_nothing_is_refused(
    settled: asyncpg.Connection, change: str, constraint: str
) -> None:
    wrong = {"amount_minor,": "0,", "credit_account_id,": "debit_account_id,", "kind,": "'gift',"}[change]
    head, tail = ADD.split("select")
    async with settled.transaction():
        made = await settled.fetchval(ADD_SETTLEMENT)
        values = tail.replace("settlement_id,", f"'{made}'::uuid,", 1).replace(change, wrong, 1)
        with pytest.raises(asyncpg.CheckViolationError, match=f"ck_transfers_{constraint}"):
            async with settled.transaction():
                await settled.execute(f"{head}select{values}")


ADD_BANK_POSTING = """
with moved as (
    insert into bank_movements (bank_account, reference, booked_on, amount_minor, currency)
    values ('CZ6508000000192000145399', '1', '2026-05-04', 1, 'CZK') returning id)
insert into bank_postings (movement_id, revision, decision, posted_at, posted_by)
select id, 0, 'ignored', '2026-01-01', 1 from moved returning id
"""
ADD_TOP_UP = """
insert into transfers (bank_posting_id, debit_account_id, credit_account_id, amount_minor, currency, kind, is_reversal,
    booked_on)
select bank_posting_id, debit_account_id, credit_account_id, amount_minor, currency, 'top_up', is_reversal, booked_on
from transfers limit 1
"""


async def test_a_bank_posting_is_sealed_too(settled: asyncpg.Connection) -> None:
    async with settled.transaction():
        made = await settled.fetchval(ADD_BANK_POSTING)
        add = ADD_TOP_UP.replace("select bank_posting_id,", f"select '{made}'::uuid,")
        await settled.execute(add)
        assert await settled.fetchval("select posted_at = now() from bank_postings")
    with pytest.raises(asyncpg.RestrictViolationError, match="is sealed"):
        await settled.execute(add)
    assert await settled.fetchval("select count(*) from transfers") == 2


@pytest.mark.parametrize(
    ("causes", "kind", "constraint"),
    [
        ("{settlement}, null", "'top_up'", "kind_of_cause"),
        ("null, {posting}", "'charge'", "kind_of_cause"),
        ("{settlement}, {posting}", "'charge'", "one_cause"),
    ],
)
async def test_a_transfer_has_one_cause_which_its_kind_fits(
    settled: asyncpg.Connection, causes: str, kind: str, constraint: str
) -> None:
    async with settled.transaction():
        settlement = await settled.fetchval(ADD_SETTLEMENT)
        posting = await settled.fetchval(ADD_BANK_POSTING)
        values = causes.format(settlement=f"'{settlement}'::uuid", posting=f"'{posting}'::uuid")
        add = ADD_TOP_UP.replace("bank_posting_id", "settlement_id, bank_posting_id", 1)
        add = add.replace("select bank_posting_id,", f"select {values},").replace("'top_up'", kind)
        with pytest.raises(asyncpg.CheckViolationError, match=f"ck_transfers_{constraint}"):
            async with settled.transaction():
                await settled.execute(add)


async def test_the_house_has_one_account_of_a_kind(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("insert into ledger_accounts (kind) values ('platform')")


async def test_the_seal_holds_for_the_owner_of_the_database_too(
    settled: asyncpg.Connection, database: DatabaseUrls
) -> None:
    owner = await asyncpg.connect(database.owner)
    try:
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(ADD)
    finally:
        await owner.close()
