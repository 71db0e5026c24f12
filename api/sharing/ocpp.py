"""Authorize (OCPP 1.6 4.1) and the idTagInfo of every answer that carries one. The decision itself is `decision`'s."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from api.charge_points.answers import Answer, encode_payload, received_at
from api.charge_points.timestamps import format_timestamp
from api.sharing.authorization import Question, authorize_many
from api.sharing.decision import Decision
from wire.messages import ChargePointCall


class AuthorizeRequest(msgspec.Struct, rename="camel"):
    """Authorize.req."""

    id_tag: str


_decoder = msgspec.json.Decoder(AuthorizeRequest, strict=False)


def id_tag_info(decision: Decision, status: str | None = None) -> dict[str, Any]:
    """IdTagInfo (7.27) of a decision, its keys in the order of the schema; `status` replaces the decision's own."""
    info: dict[str, Any] = {}
    if decision.expires_at is not None:
        info["expiryDate"] = format_timestamp(decision.expires_at)
    if decision.parent_tag is not None:
        info["parentIdTag"] = decision.parent_tag
    info["status"] = status or decision.status
    return info


async def authorize_call(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Answers Authorize.req; ConcurrentTx is left to the start."""
    return (await authorize_calls(connection, [call], now))[0]


async def authorize_calls(
    connection: asyncpg.Connection, calls: Sequence[ChargePointCall], now: datetime
) -> list[Answer]:
    """The same for several together."""
    decisions = await authorize_many(connection, [_question(call) for call in calls])
    return [Answer(encode_payload({"idTagInfo": id_tag_info(decision)})) for decision in decisions]


def _question(call: ChargePointCall) -> Question:
    at = received_at(call)
    return Question(UUID(call.charge_point_id), _decoder.decode(call.payload).id_tag, at, presented_at=at)
