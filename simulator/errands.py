"""Messages that a charge point sends because somebody asked: triggered ones, and the progress of uploads and
installations. Nothing here changes the charge point."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16 import call

from simulator.connectors import Connector
from simulator.meter import meter_value, timestamp

if TYPE_CHECKING:
    from simulator.charge_point import SimulatedChargePoint

IDLE: dict[str, dict[str, Any]] = {
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "LogStatusNotification": {"status": "Idle", "request_id": 0},
}
"""What a charge point that is uploading and installing nothing says when it is asked."""


async def send_triggered(box: "SimulatedChargePoint", message: str, connector_id: int | None) -> None:
    """What TriggerMessage asked for, for one connector or for all (5.17)."""
    if message == "Heartbeat":
        await box.network.tell(call.Heartbeat())
    elif message == "StatusNotification":
        for number in [connector_id] if connector_id is not None else [0, *box.connectors]:
            await box.send_status(number)
    elif message == "MeterValues":
        for connector in [box.connectors[connector_id]] if connector_id else list(box.connectors.values()):
            await box.network.tell(_meter_values(connector))
    else:
        await box.network.tell(getattr(call, message)(**IDLE[message]))


def _meter_values(connector: Connector) -> object:
    session = connector.session
    transaction = session.transaction if session else None
    power_w = session.power_w if session else 0
    value = meter_value(timestamp(datetime.now(UTC)), connector.meter.register_wh, power_w, "Trigger")
    return call.MeterValues(
        connector_id=connector.id,
        meter_value=[value],
        transaction_id=transaction.transaction_id if transaction else None,
    )


async def report_progress(
    box: "SimulatedChargePoint", action: str, steps: list[str], request_id: int | None = None
) -> None:
    """Sends the statuses of an upload or an installation, one after the other."""
    for status in steps:
        fields: dict[str, Any] = {"status": status}
        if request_id is not None:
            fields["request_id"] = request_id
        await box.network.tell(getattr(call, action)(**fields))
