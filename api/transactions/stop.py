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
from api.charge_points.charging_profiles import TRANSACTIONS_ENDED
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
with asked as (
    select * from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::bigint[], $6::timestamptz[], $7::text[],
        $8::timestamptz[], $9::bigint[]) with ordinality as s (charge_point_id, ocpp_transaction_id, digest, id_tag,
        meter_stop_wh, stopped_at, reason, received_at, meant, number)
), found as (
    select s.number, t.id, t.public_id, t.connector_id, t.status, t.started_at, t.start_received_at, t.meter_start_wh,
        t.held_reasons, t.tariff, t.id_tag_status, c.rated_power_w, c.quirks, c.time_zone
    from asked s join charge_points c on c.id = s.charge_point_id
    join transactions t on t.charge_point_id = s.charge_point_id and t.ocpp_transaction_id = s.meant
), recorded as (
    insert into transaction_stops (charge_point_id, ocpp_transaction_id, digest, transaction_id, applied, id_tag,
        meter_stop_wh, stopped_at, reason, received_at)
    select s.charge_point_id, s.ocpp_transaction_id, s.digest, f.id, coalesce(f.status <> 'stopped', false), s.id_tag,
        s.meter_stop_wh, s.stopped_at, s.reason, s.received_at
    from asked s left join found f on f.number = s.number where f.id is not null or $10
    on conflict (charge_point_id, ocpp_transaction_id, digest) do nothing
    returning charge_point_id
)
select f.*, s.charge_point_id in (select charge_point_id from recorded) as is_new
from asked s left join found f on f.number = s.number order by s.number
"""
"""Stores Stops of different charge points, one without its transaction only if that is wanted ($10); of each the
transaction, and whether it was not seen before."""
APPLY: Final = f"""
with ended as (
    select * from unnest($1::bigint[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[],
        $7::bigint[], $8::bigint[], $9::text[], $10::bigint[], $11::jsonb[]) as e (id, charge_point_id, connector_id,
        stopped_at, received_at, reason, meter_stop_wh, energy_wh, held_reasons, total_minor, record)
), profiles as ({TRANSACTIONS_ENDED.format(ended="ended")}), applied as (
    update transactions t
    set status = 'stopped', stopped_at = e.stopped_at, stop_received_at = e.received_at, stop_reason = e.reason,
        meter_stop_wh = e.meter_stop_wh, energy_wh = e.energy_wh, total_minor = e.total_minor,
        held_reasons = string_to_array(e.held_reasons, ','), charge_detail_record = e.record
    from ended e where t.id = e.id
)
select e.id, r.public_id from ended e join transactions r on r.charge_point_id = e.charge_point_id
    and r.connector_id = e.connector_id and r.status = 'active' and r.id <> e.id
order by r.id
"""  # noqa: S608 - our own statement
"""Ends transactions and their charging profiles; gives those that still run on their connectors."""
READINGS: Final = """
select s.id, m.at, m.energy_wh, m.power_w
from unnest($1::bigint[]) with ordinality as s (id, number) cross join lateral (
    select sampled_at as at, received_at, energy_wh, power_w from meter_values
    where transaction_id = s.id and energy_wh is not null order by sampled_at, received_at limit $2
) m order by s.number, m.at, m.received_at
"""
SAMPLES: Final = """
select sampled_at as at, energy_wh, power_w from meter_values
where transaction_id = $1 and energy_wh is not null order by sampled_at limit $2
"""
READ_TOGETHER: Final = 2_000
"""Readings of one of several transactions, so that what is held in memory has a bound."""
MOST_SAMPLES: Final = 100_000
"""Two days at one sample every two seconds; beyond it energy is interpolated."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What a finished session comes to: held, or rated."""

    held_reasons: list[str]
    energy_wh: int | None
    record: ChargeDetailRecord | None


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A Stop, the transaction that it is for, and whether it was not seen before."""

    call: ChargePointCall
    request: StopRequest
    transaction: Mapping[str, Any] | None
    is_new: bool

    @property
    def differs(self) -> bool:
        """Whether its transaction is stopped already, by another."""
        return self.is_new and self.transaction is not None and self.transaction["status"] == "stopped"

    @property
    def ends(self) -> bool:
        """Whether its transaction ends by it."""
        return self.is_new and self.transaction is not None and self.transaction["status"] != "stopped"

    @property
    def about(self) -> dict[str, object]:
        """What the log says of it."""
        public_id = str(self.transaction["public_id"]) if self.transaction else None
        return {"transaction_id": public_id, "is_replay": not self.is_new}


async def stop(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the stop and, where it is the first of its transaction, finishes and rates it.

    The caller holds the charge point's lock.
    """
    return (await stops(connection, [call], now))[0]


async def stops(connection: asyncpg.Connection, calls: Sequence[ChargePointCall], now: datetime) -> list[Answer]:
    """The same for calls of different charge points, in a few statements for all."""
    requests = [read_stop(call.payload) for call in calls]
    recorded = await _record(connection, list(zip(calls, requests, strict=True)))
    for each in recorded:
        await _keep(connection, each)
    running = await _apply(connection, [each for each in recorded if each.ends])
    payloads = await _payloads(connection, calls, requests)
    return [
        Answer(payload, live=_live(each, running), about=each.about)
        for payload, each in zip(payloads, recorded, strict=True)
    ]


async def _record(
    connection: asyncpg.Connection, asked: Sequence[tuple[ChargePointCall, StopRequest]]
) -> list[_Recorded]:
    columns = _columns([(call, request, request.transaction_id) for call, request in asked])
    rows = await connection.fetch(RECORD, *columns, False)
    return [await _recorded(connection, *pair, row) for pair, row in zip(asked, rows, strict=True)]


async def _recorded(
    connection: asyncpg.Connection, call: ChargePointCall, request: StopRequest, row: Mapping[str, Any]
) -> _Recorded:
    """With the transaction that is named, else the one that by a quirk must be meant."""
    if row["id"] is None:
        meant = await transaction_without_start(connection, call.charge_point_id, request, received_at(call))
        columns = _columns([(call, request, request.transaction_id if meant is None else meant)])
        row = await connection.fetchrow(RECORD, *columns, True)
    return _Recorded(call, request, row if row["id"] is not None else None, row["is_new"])


def _columns(asked: Sequence[tuple[ChargePointCall, StopRequest, int]]) -> list[Sequence[Any]]:
    """The arguments of `RECORD`; the last of each is the transaction that is meant."""
    rows = [
        (
            *(call.charge_point_id, request.transaction_id, request.digest, request.id_tag, request.meter_stop),
            *(request.stopped_at, request.reason, received_at(call), meant),
        )
        for call, request, meant in asked
    ]
    return list(zip(*rows, strict=True))


async def _keep(connection: asyncpg.Connection, recorded: _Recorded) -> None:
    """Keeps what a new Stop brings besides the end: its readings, and that it is not the first."""
    call, request, transaction = recorded.call, recorded.request, recorded.transaction
    if recorded.is_new and (values := request.transaction_data):
        connector_id = transaction["connector_id"] if transaction else 0
        await store_transaction_data(connection, call, connector_id, request.transaction_id, values)
    if recorded.differs and transaction:
        await connection.execute(HOLD, transaction["id"], with_reasons(transaction["held_reasons"], [DIFFERING_STOP]))


async def _apply(connection: asyncpg.Connection, ending: Sequence[_Recorded]) -> dict[int, UUID]:
    """Ends and rates the transactions; by their ids, the ones that still run on their connectors."""
    found = [(each, each.transaction) for each in ending if each.transaction]
    if not found:
        return {}
    readings = await _readings(connection, [transaction["id"] for _, transaction in found])
    rows = [
        await _ended(connection, each.call, each.request, transaction, readings[transaction["id"]])
        for each, transaction in found
    ]
    return {row["id"]: row["public_id"] for row in await connection.fetch(APPLY, *zip(*rows, strict=True))}


async def _readings(connection: asyncpg.Connection, transaction_ids: Sequence[int]) -> dict[int, list[Sample]]:
    """The energy readings of each, in order of time; those of one that has many are read by themselves."""
    found: dict[int, list[Sample]] = {number: [] for number in transaction_ids}
    for number, *sample in await connection.fetch(READINGS, transaction_ids, READ_TOGETHER):
        found[number].append(Sample(*sample))
    for number in [number for number, samples in found.items() if len(samples) == READ_TOGETHER]:
        found[number] = [Sample(*sample) for _, *sample in await connection.fetch(READINGS, [number], None)]
    return found


async def _ended(
    connection: asyncpg.Connection,
    call: ChargePointCall,
    request: StopRequest,
    transaction: Mapping[str, Any],
    readings: Sequence[Sample],
) -> tuple[Any, ...]:
    """What a transaction comes to, as a row of `APPLY`."""
    arrived = received_at(call)
    sampled_wh = [reading.energy_wh for reading in readings if reading.energy_wh is not None]
    session, tolerated = await as_tolerated(
        connection, call.charge_point_id, transaction, request, arrived, sampled_wh=sampled_wh
    )
    tariff = _read_tariff(transaction["tariff"])
    is_sampled = tariff is not None and tariff.needs_samples
    result = settle(session, tolerated, arrived, tariff, readings[:MOST_SAMPLES] if is_sampled else [])
    return (
        *(transaction["id"], call.charge_point_id, transaction["connector_id"], tolerated.stopped_at, arrived),
        *(request.reason, request.meter_stop, result.energy_wh, ",".join(result.held_reasons)),
        *((result.record.total_minor, record_to_json(result.record)) if result.record else (None, None)),
    )


def _live(recorded: _Recorded, running: Mapping[int, UUID]) -> dict[str, bytes]:
    if not recorded.ends or not recorded.transaction:
        return {}
    other = running.get(recorded.transaction["id"])
    return connector_fields(
        recorded.transaction["connector_id"], transaction_id=str(other) if other else None, power_w=None
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
