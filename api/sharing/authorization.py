"""Asks `decision` with the facts from PostgreSQL. The only place that reads tags and grants for a decision."""

from datetime import datetime
from uuid import UUID

import asyncpg

from api.identity.learning import learn
from api.sharing.decision import Decision, Grant, IdTag, decide

FACTS = """
select c.owner_id, t.tag, t.user_id, t.parent_tag, t.blocked, t.expires_at,
    (
        select count(*) from transactions x
        where x.id_tag = t.tag and x.status = 'active'
            and (x.charge_point_id, x.connector_id) is distinct from ($1, $3::integer)
    ) >= t.concurrency_limit as charging_elsewhere
from charge_points c left join id_tags t on t.tag = upper($2)
where c.id = $1
"""
GRANTS = """
select user_id, valid_from, valid_until, revoked_at from grants where charge_point_id = $1 and user_id = $2
"""


async def authorize(
    connection: asyncpg.Connection,
    charge_point_id: UUID,
    id_tag: str,
    now: datetime,
    *,
    starting_on: int | None = None,
    presented_at: datetime | None = None,
) -> Decision:
    """Whether the holder of `id_tag` may charge at this charge point at `now`.

    `starting_on` is the connector of a start, for which ConcurrentTx is decided too; None is Authorize (4.8).
    `presented_at` is when a card was held to the charge point, which learns it then if somebody asked for that.
    """
    facts = await connection.fetchrow(FACTS, charge_point_id, id_tag, starting_on)
    is_unknown = facts is not None and facts["tag"] is None
    if is_unknown and presented_at is not None and await learn(connection, charge_point_id, id_tag, presented_at):
        facts = await connection.fetchrow(FACTS, charge_point_id, id_tag, starting_on)
    if facts is None or facts["tag"] is None:
        return decide(None, charge_point_id, (), now)
    rows = await connection.fetch(GRANTS, charge_point_id, facts["user_id"])
    tag = IdTag(facts["tag"], facts["user_id"], facts["parent_tag"], facts["blocked"], facts["expires_at"])
    elsewhere = starting_on is not None and facts["charging_elsewhere"]
    return decide(tag, facts["owner_id"], [Grant(**row) for row in rows], now, charging_elsewhere=elsewhere)
