"""Notices: mails that a person may switch off, few of each kind, written with what they tell of. Sends nothing."""

from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID

import asyncpg

from api.mail.texts import compose

Notice = Literal["security", "held", "payout", "top_up", "grant", "receipt"]
NOTICES: Final[tuple[Notice, ...]] = get_args(Notice)

PAUSE: Final = timedelta(hours=1)
"""Between two of one kind about one charge point."""
READER: Final = """
select email, language from users
where id = $1 and $2 = any(mail_notices) and disabled_at is null and email_verified_at is not null
"""
IS_TOLD: Final = """
select exists (select from mails where user_id = $1 and kind = $2 and about = $3 and created_at > $4)
"""
ADD: Final = """
insert into mails (user_id, kind, recipient, subject, body, about, next_attempt_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $7)
"""


async def post_notice(
    connection: asyncpg.Connection,
    kind: Notice,
    user_id: UUID,
    now: datetime,
    about: UUID | None = None,
    **values: str,
) -> None:
    """A notice, where the person wants this kind and got none about the charge point `about` within the hour.

    Raises:
        KeyError: a value that the text needs is missing.
    """
    reader = await connection.fetchrow(READER, user_id, kind)
    if reader is None or await connection.fetchval(IS_TOLD, user_id, kind, about, now - PAUSE):
        return
    text = compose(kind, reader["language"], **values)
    await connection.execute(ADD, user_id, kind, reader["email"], text.subject, text.body, about, now)
