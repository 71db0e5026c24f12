"""Whose fault a failure is: the database's (try again), or the message's (set it aside). Pure.

Only what the data itself caused counts against a message; everything else passes, and the message with it (DESIGN 2.4).
"""

from typing import Final

import asyncpg

DATA_CLASSES: Final = frozenset({"22", "23", "54"})
"""SQLSTATE: data exception, integrity constraint violation, program limit exceeded (a value too long for its index)."""
PASSING_CLASSES: Final = frozenset({"40", "55"})
"""SQLSTATE: transaction rollback (deadlock, serialization), object not in prerequisite state (lock not available)."""


class UnavailableError(Exception):
    """The database could not be used; nothing is known to be wrong with the message."""


def is_databases_fault(error: BaseException) -> bool:
    """Whether the same work may succeed later, unchanged."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] not in DATA_CLASSES
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg's own DataError, a value that does not fit its parameter, is an InterfaceError and a ValueError
        return not isinstance(error, ValueError)
    return isinstance(error, OSError | asyncpg.InternalClientError)


def is_outage(error: BaseException) -> bool:
    """Whether the database as a whole is away, as against one statement that lost a lock."""
    return is_databases_fault(error) and (getattr(error, "sqlstate", None) or "")[:2] not in PASSING_CLASSES
