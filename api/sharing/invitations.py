"""Mails to people with whom something is shared, or to whom it is offered: who writes to whom, and how often.

Nobody can have us write to somebody without end: what is beyond a limit is not mailed, and stands all the same.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.mail import outbox
from api.mail.texts import Kind, plain
from api.rate_limits import INVITED, INVITED_BY, INVITING
from api.schema import users
from api.sharing.handover import LIFETIME
from api.sharing.operations import INVITATION, PERSON
from api.sharing.post import Post


async def tell_of_grant(connection: AsyncConnection, post: Post, grant: Row[Any], now: datetime) -> None:
    """Tells the person of a grant, as it is shown, or invites who has no account; groups and the public are not."""
    kinds: dict[str, Kind] = {INVITATION: "invitation", PERSON: "grant"}
    if grant.audience in kinds:
        kind, whom = kinds[grant.audience], (grant.owner_id, grant.email)
        await _write(connection, post, kind, whom, now=now, place=grant.place_name)


async def tell_of_offer(connection: AsyncConnection, post: Post, offer: Row[Any], now: datetime) -> None:
    """Tells whom a charge point is offered to."""
    values = {"place": offer.charge_point_name, "days": str(LIFETIME.days)}
    await _write(connection, post, "handover", (offer.offered_by, offer.email), now=now, **values)


async def _write(
    connection: AsyncConnection,
    post: Post,
    kind: Kind,
    whom: tuple[UUID, str],
    *,
    now: datetime,
    place: str,
    **values: str,
) -> None:
    """`whom`: from which user, to which address."""
    inviter_id, email = whom
    counted = ((INVITED_BY, f"{kind} {inviter_id} {email}"), (INVITED, email), (INVITING, str(inviter_id)))
    if not await post.limits.allows(*counted):
        return
    inviter = (await connection.execute(select(users).where(users.c.id == inviter_id))).one()
    reader = (await connection.execute(select(users).where(users.c.email == email))).one_or_none()
    if reader is not None and (reader.disabled_at is not None or (kind == "grant" and kind not in reader.mail_notices)):
        return
    await outbox.post(
        connection,
        kind,
        email,
        user_id=reader.id if reader is not None else None,
        language=(reader or inviter).language,
        now=now,
        inviter=plain(inviter.display_name),
        place=plain(place),
        link=f"{post.public_url.rstrip('/')}/{'register' if kind == 'invitation' else ''}",
        **values,
    )
