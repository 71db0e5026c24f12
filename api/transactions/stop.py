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
from api.sharing.authorization import authorize
from api.sharing.ocpp import id_tag_info
from api.transactions.held import DIFFERING_STOP, ID_TAG_NOT_ACCEPTED, TARIFF_UNREADABLE, with_reasons
from api.transactions.meter_values import store_transaction_data
from api.transactions.requests import StopRequest, read_stop
from api.transactions.start import HOLD
from api.transactions.tolerance import as_tolerated, transaction_without_start
from wire.messages import ChargePointCall

FIND: Final = """
select t.id, t.public_id, t.connector_id, t.status, t.started_at, t.start_received_at, t.meter_start_wh,
    t.held_reasons, t.tariff, t.id_tag_status, c.rated_power_w, c.quirks, c.time_zone
from transactions t join charge_points c on c.id = t.charge_point_id
where t.charge_point_id = $1 and t.ocpp_transaction_id = $2::bigint
"""
RECORD: Final = """
insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied, id_tag,
    meter_stop_wh, stopped_at, reason, received_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (charge_point_id, ocpp_transaction_id, digest) do nothing
returning true
"""
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


async def stop(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the stop and, where it is the first of its transaction, finishes and rates it.

    The caller holds the charge point's lock.
    """
    request = read_stop(call.payload)
    transaction = await _find(connection, call, request)
    live: dict[str, bytes] = {}
    is_new = await _record(connection, call, request, transaction)
    if is_new:
        live = await _finish(connection, call, request, transaction)
    about: dict[str, object] = {
        "transaction_id": str(transaction["public_id"]) if transaction else None,
        "is_replay": not is_new,
    }
    return Answer(await _payload(connection, call, request), live=live, about=about)


async def _find(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest
) -> Mapping[str, Any] | None:
    """The transaction that is stopped: the one that is named, or by a quirk the one that must be meant."""
    transaction = await connection.fetchrow(FIND, call.charge_point_id, request.transaction_id)
    if transaction is not None:
        return transaction  # type: ignore[no-any-return]
    meant = await transaction_without_start(connection, call.charge_point_id, request, received_at(call))
    if meant is None:
        return None
    return await connection.fetchrow(FIND, call.charge_point_id, meant)  # type: ignore[no-any-return]


async def _record(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest, transaction: Mapping[str, Any] | None
) -> bool:
    """Whether this Stop was not seen before."""
    is_first = transaction is not None and transaction["status"] != "stopped"
    recorded = await connection.fetchval(
        RECORD,
        *(call.charge_point_id, request.transaction_id, request.digest, transaction and transaction["id"], is_first),
        *(request.id_tag, request.meter_stop, request.stopped_at, request.reason, received_at(call)),
    )
    return recorded is not None


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
    session, stop = await as_tolerated(connection, call.charge_point_id, transaction, request, arrived)
    tariff = _read_tariff(transaction["tariff"])
    samples = []
    if tariff is not None and tariff.needs_samples:
        rows = await connection.fetch(SAMPLES, transaction["id"], MOST_SAMPLES)
        samples = [Sample(**row) for row in rows]
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


async def _payload(connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest) -> bytes:
    """idTagInfo only where an idTag was given (6.48); its status cannot prevent the stop."""
    if request.id_tag is None:
        return b"{}"
    decision = await authorize(connection, UUID(call.charge_point_id), request.id_tag, received_at(call))
    return encode_payload({"idTagInfo": id_tag_info(decision)})
