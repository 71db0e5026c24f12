"""`voltuj check-books` finds every kind of difference, and none where there is none."""

import asyncpg
import pytest

from api.administration.books import check_books
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
