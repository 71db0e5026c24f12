"""`voltuj check-books` finds every kind of difference, and none where there is none."""

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from api.administration.books import check_books, check_ledger
from api.settlement import bank
from api.settlement.bank_statement import read_statement
from api.settlement.payment_order import to_symbol
from standalone.databases import DatabaseUrls
from tests.integration.administration.conftest import Voltuj


def test_books_that_add_up(voltuj: Voltuj, rated: int) -> None:
    checked = voltuj("check-books")
    assert (checked.returncode, checked.stdout) == (0, "1 transactions add up.\n"), checked.stderr


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("total_minor = 1651", "total_minor is 1651, the lines add up to 1650"),
        ("total_minor = -1650", "total_minor is negative: -1650"),
        ("energy_wh = 2999", "energy_wh is 2999, the registers say 3000"),
        ("meter_stop_wh = 4001", "meter_stop_wh is 4001, its stop says 4000"),
        ("currency = 'EUR'", "currency is EUR, its charge detail record says CZK"),
        ("total_minor = null", "one is there and the other is not"),
        ("status = 'stopped', id_tag = 'X'", None),
    ],
)
async def test_a_difference_is_found(
    connection: asyncpg.Connection, rated: int, change: str, difference: str | None
) -> None:
    public_id = await connection.fetchval(f"update transactions set {change} where id = $1 returning public_id", rated)
    [(found_id, found)] = [each async for each in check_books(connection)]
    assert found_id == str(public_id)
    assert (difference in "; ".join(found)) if difference else not found


async def test_a_stopped_transaction_has_a_stop(voltuj: Voltuj, connection: asyncpg.Connection, rated: int) -> None:
    await connection.execute(
        "update transactions set status = 'active', charge_detail_record = null, total_minor = null"
    )
    assert [found async for _, found in check_books(connection)] == [[]], "an active one needs none"
    await connection.execute(
        "insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status,"
        " started_at, start_received_at, start_boot_count, meter_start_wh, status, meter_stop_wh, energy_wh)"
        " select charge_point_id, 1, 7, 'X', 'Accepted', now(), now(), 0, 0, 'stopped', 10, 10 from transactions"
    )
    checked = voltuj("check-books")
    assert checked.returncode == 1
    assert "stopped, with 0 applied stops" in checked.stderr
    assert "1 of 2 transactions" in checked.stderr


STATEMENT = "id,date,amount,currency,variable_symbol\n1,2026-05-04,500.00,CZK,{symbol}\n2,2026-05-04,-7.00,CZK,\n"


async def test_a_statement_is_imported_and_the_ledger_holds(
    voltuj: Voltuj, connection: asyncpg.Connection, rated: int, tmp_path: Path
) -> None:
    add_symbol = "insert into payment_symbols (user_id) select id from users limit 1 returning number"
    file = tmp_path / "statement.csv"
    file.write_text(STATEMENT.format(symbol=to_symbol(await connection.fetchval(add_symbol))))
    unset = voltuj("import-statement", str(file))
    assert (unset.returncode, "BANK_ACCOUNT" in unset.stderr) == (1, True)
    bank = {"BANK_ACCOUNT": "CZ65 0800 0000 1920 0014 5399"}
    taken = voltuj("import-statement", str(file), **bank)
    assert taken.stdout == "2 new (1 matched, 1 wait for a person), 0 known before.\n", taken.stderr
    assert voltuj("import-statement", str(file), **bank).stdout.endswith("2 known before.\n")
    assert voltuj("check-books").returncode == 0
    file.write_text(file.read_text().replace("2,2026-05-04", "3,2026-05-32"))
    refused = voltuj("import-statement", str(file), **bank)
    assert refused.returncode == 1
    assert "line 3: '2026-05-32' is not a day" in refused.stderr
    assert await connection.fetchval("select count(*) from bank_movements") == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("update transfers set amount_minor = 1", "moved 1 in the ledger"),
        ("update bank_postings set decision = 'ignored'", "moved 50000 in the ledger"),
        ("update transfers set credit_account_id = debit_account_id", "balances of CZK add up to 50000 instead of 0"),
        (
            "insert into payouts (account_id, iban, holder_name, amount_minor, currency, created_by, status, ended_at)"
            " select debit_account_id, '', '', 1, 'CZK', (select id from users limit 1), 'paid', now() from transfers",
            "is paid, and its transfers come to 0",
        ),
    ],
)
async def test_a_hand_in_the_ledger_is_found(
    connection: asyncpg.Connection, database: DatabaseUrls, rated: int, change: str, sentence: str
) -> None:
    number = await connection.fetchval(
        "insert into payment_symbols (user_id) select id from users limit 1 returning number"
    )
    statement = read_statement(STATEMENT.format(symbol=to_symbol(number)).encode())
    house = bank.House("CZ6508000000192000145399", "CZK", "Europe/Prague")
    async with connection.transaction():
        await bank.import_statement(connection, statement, house, bank.Order(datetime.now(UTC)))
    assert await check_ledger(connection) == []
    owner = await asyncpg.connect(database.owner)
    await owner.execute("alter table transfers drop constraint ck_transfers_two_accounts")
    await owner.execute(change)
    await owner.close()
    assert any(sentence in each for each in await check_ledger(connection))
