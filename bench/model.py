"""What fleets of wallboxes need, from measured costs of a message, a session and a request. Pure arithmetic.

Every assumption has a name here and stands in the page beside the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

DAY_S: Final = 86_400
GIB: Final = 2**30
FLEETS: Final = (10_000, 100_000, 1_000_000)
HEARTBEATS: Final = 288
"""A wallbox and day: every five minutes."""
SESSIONS: Final = 1.0
"""A wallbox and day."""
SAMPLES: Final = 180
"""A session: every minute for three hours."""
STATUSES: Final = 5
"""A session; the measured one has one."""
PEAK: Final = 3
"""How many times the mean the busiest hour has: people come home in the evening."""
BUSY: Final = 0.5
"""Of a core; beyond that waiting grows faster than work."""
CONNECTIONS: Final = 50_000
"""Of one gateway at most: what a process that ends gives to the others at once."""
REQUESTS: Final = 30
"""REST requests a wallbox and day: owner and driver look three times, at ten things."""
LOG_DAYS: Final = 30
"""The message log's retention by default."""
VALUES_IN_MEASURED: Final = 10
MESSAGES_IN_MEASURED: Final = 4
"""Authorize, Start, one Status, Stop."""
PARTS: Final = ("gateway", "listener", "postgresql", "redis")
HEAD: Final = (
    *("wallboxes", "messages/s, mean and busiest hour", "gateways", "listeners", "HTTP processes", "Redis: cores"),
    *("PostgreSQL: cores", "WAL a day", "new rows a day", "message log, kept", "a year of the rest"),
)

WEIGHTS_HEAD: Final = ("message", "WAL bytes", "bytes of the message log", "bytes of other rows")
Costs = Mapping[str, float]
"""Of a message: microseconds of CPU by process, bytes as `wal`, `log` (the message log) and `rows` (all others)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run told: costs of a message in three scripts, and bytes."""

    heartbeat: Costs
    value: Costs
    session_message: Costs
    """The mean of all messages of whole sessions of `VALUES_IN_MEASURED` values."""
    request_us: float


def rates(wallboxes: int) -> dict[str, float]:
    """Messages a second, by kind, in the mean."""
    each = wallboxes / DAY_S
    return {
        "heartbeat": each * HEARTBEATS,
        "value": each * SESSIONS * SAMPLES,
        "other": each * SESSIONS * (MESSAGES_IN_MEASURED - 1 + STATUSES),
    }


def other(measured: Measured, part: str) -> float:
    """Of a message of a session that is no meter value: what whole sessions cost beyond their values."""
    whole = measured.session_message[part] * (VALUES_IN_MEASURED + MESSAGES_IN_MEASURED)
    return max((whole - VALUES_IN_MEASURED * measured.value[part]) / MESSAGES_IN_MEASURED, 0.0)


def a_second(measured: Measured, wallboxes: int, what: str) -> float:
    """Microseconds or bytes in a second, in the mean."""
    rate = rates(wallboxes)
    return (
        rate["heartbeat"] * measured.heartbeat[what]
        + rate["value"] * measured.value[what]
        + rate["other"] * other(measured, what)
    )


def cores(measured: Measured, wallboxes: int, part: str) -> float:
    """Of CPU in the busiest hour."""
    return PEAK * a_second(measured, wallboxes, part) / 1e6


def http_cores(measured: Measured, wallboxes: int) -> float:
    """Of the HTTP processes in the busiest hour."""
    return PEAK * wallboxes * REQUESTS / DAY_S * measured.request_us / 1e6


def row(measured: Measured, wallboxes: int) -> list[str]:
    """As `HEAD` names it."""
    mean = sum(rates(wallboxes).values())
    wal, logged, kept = (a_second(measured, wallboxes, what) * DAY_S / GIB for what in ("wal", "log", "rows"))
    gateways = max(processes(cores(measured, wallboxes, "gateway")), ceil(wallboxes / CONNECTIONS))
    return [
        f"{wallboxes:,}",
        f"{mean:,.0f}, {mean * PEAK:,.0f}",
        *(f"{count:,}" for count in (gateways, processes(cores(measured, wallboxes, "listener")))),
        f"{processes(http_cores(measured, wallboxes)):,}",
        *(f"{cores(measured, wallboxes, part):,.1f}" for part in ("redis", "postgresql")),
        *(f"{size:,.0f} GiB" for size in (wal, logged + kept, logged * LOG_DAYS, kept * 365)),
    ]


def processes(of_cores: float) -> int:
    """Of one core each, none busier than `BUSY`; two at least, so that one may end."""
    return max(2, ceil(of_cores / BUSY))


def saturation(measured: Measured) -> list[list[str]]:
    """How many wallboxes until one core of each part is full: a process of it, or all of Redis; PostgreSQL has more."""
    found = []
    for part in (*PARTS, "HTTP process"):
        one = 1_000_000
        used = http_cores(measured, one) if part == "HTTP process" else cores(measured, one, part)
        found.append([part, f"{one * BUSY / used:,.0f}", f"{one / used:,.0f}"])
    return found


def weights(measured: Measured) -> list[list[str]]:
    """As `WEIGHTS_HEAD` names it."""
    kinds = ("wal", "log", "rows")
    return [
        ["Heartbeat", *(f"{measured.heartbeat[kind]:,.0f}" for kind in kinds)],
        ["MeterValues of 1 kB", *(f"{measured.value[kind]:,.0f}" for kind in kinds)],
        ["another of a session, settled", *(f"{other(measured, kind):,.0f}" for kind in kinds)],
    ]


def assumptions(measured: Measured) -> list[str]:
    """In words."""
    return [
        f"- A wallbox sends {HEARTBEATS} Heartbeats a day and has {SESSIONS:g} session a day of {SAMPLES} MeterValues "
        f"and {STATUSES} StatusNotifications;",
        f"  the busiest hour has {PEAK} times the mean; people make {REQUESTS} REST requests a wallbox and day.",
        f"- No core is busier than {BUSY:.0%}, no gateway has more than {CONNECTIONS:,} connections, the message log "
        f"is kept for {LOG_DAYS} days.",
        f"- A REST request costs {measured.request_us:,.0f} us of an HTTP process. Bytes are with indexes.",
    ]
