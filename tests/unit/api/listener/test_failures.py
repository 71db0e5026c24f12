"""Whose fault a failure is: no failure of the database may ever count against a message."""

import asyncpg
import pytest

from api.listener.failures import is_databases_fault, is_outage

OUTAGES = [
    ConnectionRefusedError(),
    TimeoutError(),
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.AdminShutdownError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.TooManyConnectionsError(),
    asyncpg.DiskFullError(),
    asyncpg.ReadOnlySQLTransactionError(),
    asyncpg.UndefinedTableError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("unexpected"),
]
PASSING = [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError(), asyncpg.LockNotAvailableError()]
DATA = [
    asyncpg.CharacterNotInRepertoireError(),
    asyncpg.UntranslatableCharacterError(),
    asyncpg.NumericValueOutOfRangeError(),
    asyncpg.ForeignKeyViolationError(),
    asyncpg.ProgramLimitExceededError(),
    asyncpg.exceptions._base.DataError("value out of int64 range"),
    ValueError(),
    KeyError(),
    RecursionError(),
]


@pytest.mark.parametrize("error", OUTAGES)
def test_outages(error: Exception) -> None:
    assert is_databases_fault(error)
    assert is_outage(error)


@pytest.mark.parametrize("error", PASSING)
def test_lost_locks_pass_at_once(error: Exception) -> None:
    assert is_databases_fault(error)
    assert not is_outage(error)


@pytest.mark.parametrize("error", DATA)
def test_data_and_our_own_bugs(error: Exception) -> None:
    assert not is_databases_fault(error)
    assert not is_outage(error)
