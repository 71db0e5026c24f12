"""One charging session from the card to the last meter value, in the order that OCPP 1.6 wants. The connection, the
queue and the answers to the central system live elsewhere."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call

from simulator.connectors import Connector, Session, wait_for_event
from simulator.link import CallFailedError, NoAnswerError, OfflineError
from simulator.meter import energy_sample, meter_value, timestamp
from simulator.state import Transaction

if TYPE_CHECKING:
    from simulator.charge_point import SimulatedChargePoint


async def run_session(box: "SimulatedChargePoint", connector: Connector, session: Session) -> None:
    """Preparing, Authorize, StartTransaction, Charging with MeterValues, StopTransaction, Finishing."""
    await box.announce(connector)
    if not await _authorized(box, session):
        box.report("not_authorized", connector=connector.id, id_tag=session.id_tag)
        return
    started = _start(box, connector, session)
    await box.announce(connector)
    await _draw_power(box, connector, session, started)
    _stop(box, connector, session)
    await box.announce(connector)


async def _authorized(box: "SimulatedChargePoint", session: Session) -> bool:
    """A remote start needs no Authorize (AuthorizeRemoteTxRequests is false); offline the local list decides."""
    if session.remote:
        return True
    try:
        answer = await box.network.request(call.Authorize(id_tag=session.id_tag))
    except (OfflineError, NoAnswerError):
        known = box.local_list.statuses.get(session.id_tag.lower())
        return box.configuration.switch("AllowOfflineTxForUnknownId") if known is None else known == "Accepted"
    except CallFailedError as error:
        box.report("call_error", action="Authorize", error=str(error))
        return False
    return bool(answer.id_tag_info["status"] == "Accepted")


def _start(box: "SimulatedChargePoint", connector: Connector, session: Session) -> datetime:
    now = datetime.now(UTC)
    transaction = _open_transaction(box, connector, session.id_tag, timestamp(now))
    session.transaction, session.status = transaction, "Charging"
    payload = {
        "connector_id": connector.id,
        "id_tag": session.id_tag,
        "meter_start": transaction.meter_start_wh,
        "timestamp": transaction.started_at,
    }
    reservation_id = box.reservations.use(connector.id, session.id_tag)
    if reservation_id is not None:
        payload["reservation_id"] = reservation_id
        box.reservations_changed()
    box.outbox.put("StartTransaction", transaction, payload)
    return now


async def _draw_power(box: "SimulatedChargePoint", connector: Connector, session: Session, started: datetime) -> None:
    """Draws power until the time is over or somebody stops it, with a MeterValues at every interval."""
    behaviour = box.behaviour
    begin = counted = time.monotonic_ns()
    end = begin + int(behaviour.duration_s * 1e9)
    events = _plan(box, begin)
    while not session.stopping.is_set() and counted < end:
        session.power_w = box.power_of(connector, started, datetime.now(UTC))
        due = min(counted + int(box.meter_interval_s * 1e9), end, *[at for at, _ in events[:1]])
        await wait_for_event(session.stopping, (due - time.monotonic_ns()) / 1e9)
        now = time.monotonic_ns()
        connector.meter.advance(session.power_w * behaviour.speed_up, now - counted)
        counted = now
        box.keep_register(connector)
        if events and now >= events[0][0]:
            asyncio.get_running_loop().call_soon(events.pop(0)[1])
        elif not session.stopping.is_set() and now < end:
            _sample(box, connector, session, "Sample.Periodic")


def _plan(box: "SimulatedChargePoint", begin: int) -> list[tuple[int, Callable[[], object]]]:
    """When this session is cut off or loses its power, in nanoseconds of the monotonic clock."""
    behaviour, events = box.behaviour, []
    if behaviour.offline_after_s is not None:
        events.append((begin + int(behaviour.offline_after_s * 1e9), box.cut_connection))
    if behaviour.power_loss:
        events.append((begin + int(behaviour.duration_s * 1e9) // 2, box.lose_power))
    return sorted(events, key=lambda event: event[0])


def _sample(box: "SimulatedChargePoint", connector: Connector, session: Session, context: str) -> None:
    assert session.transaction is not None  # noqa: S101 - narrows the type: samples are taken after the start
    value = meter_value(timestamp(datetime.now(UTC)), connector.meter.register_wh, session.power_w, context)
    payload = {"connector_id": connector.id, "meter_value": [value]}
    box.outbox.put("MeterValues", session.transaction, payload)


def _stop(box: "SimulatedChargePoint", connector: Connector, session: Session) -> None:
    assert session.transaction is not None  # noqa: S101 - narrows the type: only a started session is stopped
    session.status, session.power_w = "Finishing", 0
    _close_transaction(box, session.transaction, connector.meter.register_wh, session.reason)
    box.profiles.end_transaction(connector.id)


def _open_transaction(box: "SimulatedChargePoint", connector: Connector, id_tag: str, started_at: str) -> Transaction:
    """A new transaction, remembered through a power loss."""
    state = box.state
    state.last_number += 1
    transaction = Transaction(state.last_number, connector.id, id_tag, started_at, connector.meter.register_wh)
    state.transactions[transaction.number] = transaction
    return transaction


def _close_transaction(box: "SimulatedChargePoint", transaction: Transaction, meter_stop_wh: int, reason: str) -> None:
    """Queues StopTransaction; `reason` Local is left out, being the default (6.49)."""
    now = timestamp(datetime.now(UTC))
    payload: dict[str, Any] = {"meter_stop": meter_stop_wh, "timestamp": now}
    if reason == "Local":
        payload["id_tag"] = transaction.id_tag
    else:
        payload["reason"] = reason
    if box.behaviour.transaction_data:
        begin, end = transaction.meter_start_wh, meter_stop_wh
        payload["transaction_data"] = _transaction_data(transaction.started_at, begin, now, end)
    transaction.stop_queued = True
    box.outbox.put("StopTransaction", transaction, payload)


def stop_what_lost_power(box: "SimulatedChargePoint") -> None:
    """After a boot: StopTransaction with reason PowerLoss for what was running when the power failed."""
    sessions = [connector.session for connector in box.connectors.values()]
    running = {session.transaction.number for session in sessions if session and session.transaction}
    for transaction in list(box.state.transactions.values()):
        if not transaction.stop_queued and transaction.number not in running:
            register_wh = box.state.registers_wh.get(transaction.connector_id, transaction.meter_start_wh)
            _close_transaction(box, transaction, max(register_wh, transaction.meter_start_wh), "PowerLoss")


def _transaction_data(started_at: str, meter_start_wh: int, stopped_at: str, meter_stop_wh: int) -> list[object]:
    """The transactionData of StopTransaction: the register at both ends (6.49)."""
    return [
        {"timestamp": started_at, "sampled_value": [energy_sample(meter_start_wh, "Transaction.Begin")]},
        {"timestamp": stopped_at, "sampled_value": [energy_sample(meter_stop_wh, "Transaction.End")]},
    ]
