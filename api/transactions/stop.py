"""StopTransaction (OCPP 1.6 4.10): it cannot be refused; what does not fit is stored, flagged and answered as valid.

The first Stop of a transaction is applied and rated; an identical one changes nothing; one that differs holds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.accounting.plausibility import check_session
from api.accounting.rating import ChargeDetailRecord, rate, record_to_json
from api.accounting.samples import Sample
from api.accounting.tariff import Tariff, tariff_from_document
from api.charge_points.answers import Answer, encode_payload, received_at
from api.charge_points.charging_profiles import TRANSACTION_ENDED
from api.charge_points.live import connector_fields
from api.sharing.authorization import Question, authorize_many
from api.sharing.ocpp import id_tag_info
from api.transactions.held import DIFFERING_STOP, ID_TAG_NOT_ACCEPTED, TARIFF_UNREADABLE, with_reasons
from api.transactions.meter_values import store_transaction_data
from api.transactions.requests import StopRequest, read_stop
from api.transactions.start import HOLD
from api.transactions.tolerance import as_tolerated, transaction_without_start
from wire.messages import ChargePointCall

RECORD: Final = """
with found as (
    select t.id, t.public_id, t.connector_id, t.status, t.started_at, t.start_received_at, t.meter_start_wh,
        t.held_reasons, t.tariff, t.id_tag_status, c.rated_power_w, c.quirks, c.time_zone
    from transactions t join charge_points c on c.id = t.charge_point_id
    where t.charge_point_id = $1 and t.ocpp_transaction_id = $9::bigint
), recorded as (
    insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied, id_tag,
        meter_stop_wh, stopped_at, reason, received_at)
    select $1, $2, $3, found.id, coalesce(found.status <> 'stopped', false), $4, $5, $6, $7, $8
    from (select) as stop left join found on true where found.id is not null or $10
    on conflict (charge_point_id, ocpp_transaction_id, digest) do nothing
    returning id
)
select found.*, exists (select from recorded) as is_new from (select) as stop left join found on true
"""
"""Stores the Stop, one without its transaction only if that is wanted ($10); the transaction, and whether this Stop was
not seen before."""
APPLY: Final = f"""
with profiles as ({TRANSACTION_ENDED}), applied as (
    update transactions
    set status = 'stopped', stopped_at = $4, stop_received_at = $5, stop_reason = $6, meter_stop_wh = $7,
        energy_wh = $8, held_reasons = $9, total_minor = $10, charge_detail_record = $11
    where id = $3
)
select public_id from transactions
where charge_point_id = $1 and connector_id = $2 and status = 'active' and id <> $3 order by id desc limit 1
"""  # noqa: S608 - our own statement
"""Ends the transaction and its charging profiles; gives the one that still runs on the connector, if any."""
READINGS: Final = """
select sampled_at as at, energy_wh, power_w from meter_values
where transaction_id = $1 and energy_wh is not null order by sampled_at, received_at
"""
SAMPLES: Final = """
select sampled_at as at, energy_wh, power_w from meter_values
where transaction_id = $1 and energy_wh is not null order by sampled_at limit $2
"""
MOST_SAMPLES: Final = 100_000
"""Two days at one sample every two seconds; beyond it energy is interpolated."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What a finished session comes to: held, or rated."""

    held_reasons: list[str]
    energy_wh: int | None
    record: ChargeDetailRecord | None


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a Stop changed in the live state, and what the log says of it."""

    live: dict[str, bytes]
    about: dict[str, object]


async def stop(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the stop and, where it is the first of its transaction, finishes and rates it.

    The caller holds the charge point's lock.
    """
    return (await stops(connection, [call], now))[0]


async def stops(connection: asyncpg.Connection, calls: Sequence[ChargePointCall], now: datetime) -> list[Answer]:
    """The same for calls of different charge points: what they may be told of their idTags is asked together."""
    requests = [read_stop(call.payload) for call in calls]
    effects = [await _take(connection, call, request) for call, request in zip(calls, requests, strict=True)]
    payloads = await _payloads(connection, calls, requests)
    return [
        Answer(payload, live=effect.live, about=effect.about) for payload, effect in zip(payloads, effects, strict=True)
    ]


async def _take(connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest) -> _Effect:
    transaction, is_new = await _record(connection, call, request)
    live = await _finish(connection, call, request, transaction) if is_new else {}
    about: dict[str, object] = {
        "transaction_id": str(transaction["public_id"]) if transaction else None,
        "is_replay": not is_new,
    }
    return _Effect(live, about)


async def _record(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest
) -> tuple[Mapping[str, Any] | None, bool]:
    """The transaction that is stopped, the one that is named or by a quirk the one that must be meant, and whether
    this Stop was not seen before.
    """
    stop = (
        *(call.charge_point_id, request.transaction_id, request.digest, request.id_tag, request.meter_stop),
        *(request.stopped_at, request.reason, received_at(call)),
    )
    row = await connection.fetchrow(RECORD, *stop, request.transaction_id, False)
    if row["id"] is None:
        meant = await transaction_without_start(connection, call.charge_point_id, request, received_at(call))
        row = await connection.fetchrow(RECORD, *stop, request.transaction_id if meant is None else meant, True)
    return (row if row["id"] is not None else None), row["is_new"]


async def _finish(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest, transaction: Mapping[str, Any] | None
) -> dict[str, bytes]:
    """Applies a Stop that was not seen before; gives the live state that follows from it."""
    connector_id = transaction["connector_id"] if transaction else 0
    if values := request.transaction_data:
        await store_transaction_data(connection, call, connector_id, request.transaction_id, values)
    if transaction is None:
        return {}
    if transaction["status"] == "stopped":
        await connection.execute(HOLD, transaction["id"], with_reasons(transaction["held_reasons"], [DIFFERING_STOP]))
        return {}
    running = await _apply(connection, call, request, transaction)
    return connector_fields(connector_id, transaction_id=str(running) if running else None, power_w=None)


async def _apply(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest, transaction: Mapping[str, Any]
) -> UUID | None:
    arrived = received_at(call)
    readings = await connection.fetch(READINGS, transaction["id"])
    sampled_wh = [reading["energy_wh"] for reading in readings]
    session, stop = await as_tolerated(
        connection, call.charge_point_id, transaction, request, arrived, sampled_wh=sampled_wh
    )
    tariff = _read_tariff(transaction["tariff"])
    is_sampled = tariff is not None and tariff.needs_samples
    samples = [Sample(**reading) for reading in readings[:MOST_SAMPLES]] if is_sampled else []
    result = settle(session, stop, arrived, tariff, samples)
    return await connection.fetchval(  # type: ignore[no-any-return]
        APPLY,
        *(call.charge_point_id, transaction["connector_id"]),
        *(transaction["id"], stop.stopped_at, arrived, request.reason, request.meter_stop, result.energy_wh),
        result.held_reasons,
        *((result.record.total_minor, record_to_json(result.record)) if result.record else (None, None)),
    )


def _read_tariff(frozen: Mapping[str, Any] | None) -> Tariff | None:
    """The frozen tariff; None where there is none, or none that this version can read."""
    try:
        return tariff_from_document(frozen) if frozen is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def settle(
    transaction: Mapping[str, Any],
    request: StopRequest,
    arrived: datetime,
    tariff: Tariff | None,
    samples: Sequence[Sample],
) -> _Result:
    """Held with its reasons, or rated by its frozen tariff. Pure."""
    energy_wh = request.meter_stop - transaction["meter_start_wh"]
    reasons = check_session(
        meter_start_wh=transaction["meter_start_wh"],
        meter_stop_wh=request.meter_stop,
        started_at=transaction["started_at"],
        stopped_at=request.stopped_at,
        received_at=arrived,
        rated_power_w=transaction["rated_power_w"],
    )
    if transaction["id_tag_status"] != "Accepted" and energy_wh > 0:
        reasons.append(ID_TAG_NOT_ACCEPTED)
    if transaction["tariff"] is not None and tariff is None:
        reasons.append(TARIFF_UNREADABLE)
    held = with_reasons(transaction["held_reasons"], reasons)
    record = None
    if not held and tariff is not None:
        record, held = _rated(transaction, request, tariff, samples)
    return _Result(held, energy_wh if energy_wh >= 0 else None, record)


def _rated(
    transaction: Mapping[str, Any], request: StopRequest, tariff: Tariff, samples: Sequence[Sample]
) -> tuple[ChargeDetailRecord | None, list[str]]:
    try:
        record = rate(
            tariff,
            meter_start_wh=transaction["meter_start_wh"],
            meter_stop_wh=request.meter_stop,
            started_at=transaction["started_at"],
            stopped_at=request.stopped_at,
            samples=samples,
            time_zone=transaction["time_zone"],
        )
    except ValueError:
        return None, [TARIFF_UNREADABLE]
    return record, []


async def _payloads(
    connection: asyncpg.Connection, calls: Sequence[ChargePointCall], requests: Sequence[StopRequest]
) -> list[bytes]:
    """idTagInfo only where an idTag was given (6.48); its status cannot prevent the stop."""
    asked = [
        (place, Question(UUID(call.charge_point_id), request.id_tag, received_at(call)))
        for place, (call, request) in enumerate(zip(calls, requests, strict=True))
        if request.id_tag is not None
    ]
    payloads = [b"{}"] * len(calls)
    decisions = await authorize_many(connection, [question for _, question in asked])
    for (place, _), decision in zip(asked, decisions, strict=True):
        payloads[place] = encode_payload({"idTagInfo": id_tag_info(decision)})
    return payloads
