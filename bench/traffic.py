"""What the charge points of the benchmark say: payloads, and the order of a whole session. No sockets, no clock.

Every message differs from every other, so that each one is a row of its own and rows can be counted.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

Call = tuple[str, bytes]
"""Action and payload."""
Script = Generator[Call, bytes, None]
"""Yields CALLs; is sent the payload of each answer."""

IDLE_CONNECTOR, SESSION_CONNECTOR = 1, 2
STEP_MS: Final = 10_000
"""A charge point's own clock goes on this much a message, so that a session lasts minutes and is billed."""
STEP_WH: Final = 20
VALUES_IN_A_SESSION: Final = 10

BOOT: Final = (
    b'{"chargePointVendor":"Bench","chargePointModel":"Load","chargePointSerialNumber":"1","firmwareVersion":"1.0.0"}'
)
SAMPLE: Final = (
    b'{"value":"%d","context":"Sample.Periodic","format":"Raw","measurand":"%b","location":"Outlet","unit":"%b"}'
)
OTHER_SAMPLES: Final = b",".join(
    [
        *(SAMPLE % (7400, b"Power.Active.Import", b"W"), SAMPLE % (32, b"Current.Offered", b"A")),
        *(SAMPLE % (231, b"Voltage", b"V"), SAMPLE % (32, b"Current.Import", b"A")),
        *(SAMPLE % (50, b"Power.Reactive.Import", b"var"), SAMPLE % (41, b"Temperature", b"Celsius")),
        SAMPLE % (64, b"SoC", b"Percent"),
    ]
)


@dataclass(slots=True)
class Wallbox:
    """One charge point of the load: its number, clock and registers."""

    number: int
    clock_ms: int
    energy_wh: int = 0
    idle_transaction_id: int = 0

    def tick(self) -> bytes:
        """The next timestamp and register."""
        self.clock_ms += STEP_MS
        self.energy_wh += STEP_WH
        text = datetime.fromtimestamp(self.clock_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00").encode() + b"Z"


def identity(number: int) -> str:
    """The identity of a charge point of the load."""
    return f"bench-{number:06d}"


def id_tag(number: int, connector_id: int) -> str:
    """Each connector's own tag, so that nobody charges in two places at once."""
    return f"BENCH-{number:06d}-{connector_id}"


def meter_values(wallbox: Wallbox, connector_id: int, transaction_id: int) -> Call:
    """About 1 kB."""
    at = wallbox.tick()
    energy = SAMPLE % (wallbox.energy_wh, b"Energy.Active.Import.Register", b"Wh")
    payload = b'{"connectorId":%d,"transactionId":%d,"meterValue":[{"timestamp":"%b","sampledValue":[%b,%b]}]}'
    return "MeterValues", payload % (connector_id, transaction_id, at, energy, OTHER_SAMPLES)


def start(wallbox: Wallbox, connector_id: int) -> Call:
    """StartTransaction."""
    at, tag = wallbox.tick(), id_tag(wallbox.number, connector_id).encode()
    payload = b'{"connectorId":%d,"idTag":"%b","meterStart":%d,"timestamp":"%b"}'
    return "StartTransaction", payload % (connector_id, tag, wallbox.energy_wh, at)


def stop(wallbox: Wallbox, connector_id: int, transaction_id: int) -> Call:
    """StopTransaction."""
    at, tag = wallbox.tick(), id_tag(wallbox.number, connector_id).encode()
    payload = b'{"idTag":"%b","meterStop":%d,"timestamp":"%b","transactionId":%d}'
    return "StopTransaction", payload % (tag, wallbox.energy_wh, at, transaction_id)


def status(wallbox: Wallbox, connector_id: int, word: bytes) -> Call:
    """StatusNotification."""
    payload = b'{"connectorId":%d,"errorCode":"NoError","status":"%b","timestamp":"%b"}'
    return "StatusNotification", payload % (connector_id, word, wallbox.tick())


def boots(wallbox: Wallbox) -> Script:
    """What is sent once after connecting."""
    yield "BootNotification", BOOT


def begins(wallbox: Wallbox) -> Script:
    """Boots, and begins the session to which the MeterValues scenarios belong."""
    yield "BootNotification", BOOT
    yield status(wallbox, IDLE_CONNECTOR, b"Charging")
    answer = yield start(wallbox, IDLE_CONNECTOR)
    wallbox.idle_transaction_id = orjson.loads(answer)["transactionId"]


def heartbeats(wallbox: Wallbox) -> Script:
    """For ever."""
    while True:
        yield "Heartbeat", b"{}"


def values(wallbox: Wallbox) -> Script:
    """MeterValues for ever."""
    while True:
        yield meter_values(wallbox, IDLE_CONNECTOR, wallbox.idle_transaction_id)


def statuses(wallbox: Wallbox) -> Script:
    """StatusNotifications for ever."""
    while True:
        yield status(wallbox, SESSION_CONNECTOR, b"Available")
        yield status(wallbox, SESSION_CONNECTOR, b"Preparing")


def sessions(wallbox: Wallbox) -> Script:
    """Whole sessions for ever."""
    while True:
        tag = id_tag(wallbox.number, SESSION_CONNECTOR).encode()
        yield "Authorize", b'{"idTag":"%b"}' % tag
        answer = yield start(wallbox, SESSION_CONNECTOR)
        transaction_id = orjson.loads(answer)["transactionId"]
        yield status(wallbox, SESSION_CONNECTOR, b"Charging")
        for _ in range(VALUES_IN_A_SESSION):
            yield meter_values(wallbox, SESSION_CONNECTOR, transaction_id)
        yield stop(wallbox, SESSION_CONNECTOR, transaction_id)


SCRIPTS: Final = {
    "boots": boots,
    "begins": begins,
    "Heartbeat": heartbeats,
    "MeterValues": values,
    "StatusNotification": statuses,
    "sessions": sessions,
}
