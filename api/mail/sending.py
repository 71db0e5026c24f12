"""Sends what stands in the outbox: claims a mail, delivers it, notes what came of it. A listener's chore.

A mail is claimed by moving its next attempt into the future before it is tried, so that two processes never try it at
once; who dies in between leaves it to the next attempt, and the mail may then arrive twice.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from api.mail.transport import Deliver, Mail, NotDeliveredError

log = structlog.get_logger(__name__)
T = TypeVar("T")
Attempt = Callable[[Callable[[asyncpg.Connection], Awaitable[Any]]], Awaitable[Any]]
"""Runs work in a database transaction."""

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
GIVE_UP_AFTER: Final = timedelta(days=2)
"""By then every link that we send has expired."""
KEPT: Final = timedelta(days=30)
"""A row without its text, for the operator."""
MOST_MAILS: Final = 100
"""Of one turn; what is left waits for the next."""

CLAIM: Final = """
update mails set attempts = attempts + 1,
    next_attempt_at = $1 + least($2::interval * 2 ^ least(attempts, 10), $3::interval)
where id = (
    select id from mails where status = 'queued' and next_attempt_at <= $1
    order by next_attempt_at limit 1 for update skip locked)
returning id, recipient, subject, body, created_at
"""
FINISH: Final = """
update mails set status = $2, body = null, finished_at = $3, last_error = $4 where id = $1 and status = 'queued'
"""
NOTE: Final = "update mails set last_error = $2 where id = $1"
FORGET: Final = "delete from mails where finished_at < $1"


async def send_due(attempt: Attempt, deliver: Deliver) -> None:
    """Tries each mail that is due once; ends at the first that may do better later."""
    for _ in range(MOST_MAILS):
        now = datetime.now(UTC)
        mail: Mail | None = await attempt(lambda connection, now=now: claim(connection, now))  # type: ignore[misc]
        if mail is None or not await _send(attempt, deliver, mail):
            return


async def claim(connection: asyncpg.Connection, now: datetime) -> Mail | None:
    """The mail that has been due for longest; nobody else gets it before its next attempt."""
    row = await connection.fetchrow(CLAIM, now, FIRST_PAUSE, LONGEST_PAUSE)
    return Mail(**row) if row else None


async def _send(attempt: Attempt, deliver: Deliver, mail: Mail) -> bool:
    """Whether the mail is done with."""
    error = None
    try:
        await deliver(mail)
    except NotDeliveredError as failure:
        error = failure
    now = datetime.now(UTC)
    if error is None:
        await attempt(lambda connection: connection.execute(FINISH, mail.id, "sent", now, None))
        return True
    log.warning("mail not sent", mail_id=str(mail.id), error=str(error))
    if error.is_final or now - mail.created_at > GIVE_UP_AFTER:
        await attempt(lambda connection: connection.execute(FINISH, mail.id, "failed", now, str(error)))
        return True
    await attempt(lambda connection: connection.execute(NOTE, mail.id, str(error)))
    return False


async def forget_old(connection: asyncpg.Connection, now: datetime) -> None:
    """Removes what was sent or given up long ago."""
    await connection.execute(FORGET, now - KEPT)
