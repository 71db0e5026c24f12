"""The electricity meter of a connector and the samples it gives. Integers only: Wh, W, V, tenths of A. No I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WATT_NANOSECONDS_PER_WH = 3_600 * 1_000_000_000
PHASES = 3
VOLTAGE_V = 230


@dataclass(slots=True)
class Meter:
    """An import register that only ever grows, kept exactly in watt-nanoseconds."""

    watt_nanoseconds: int = 0

    @classmethod
    def at(cls, register_wh: int) -> "Meter":
        """A meter whose register stands at `register_wh`."""
        return cls(register_wh * WATT_NANOSECONDS_PER_WH)

    @property
    def register_wh(self) -> int:
        """Energy.Active.Import.Register in Wh, rounded down as a display does."""
        return self.watt_nanoseconds // WATT_NANOSECONDS_PER_WH

    def advance(self, power_w: int, elapsed_ns: int) -> None:
        """Counts `power_w` drawn for `elapsed_ns`; a clock that steps back counts nothing."""
        self.watt_nanoseconds += power_w * max(0, elapsed_ns)


def timestamp(at: datetime) -> str:
    """An OCPP date-time in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def energy_sample(register_wh: int, context: str) -> dict[str, str]:
    """One sampledValue of the energy register (7.44)."""
    return {
        "value": str(register_wh),
        "context": context,
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unit": "Wh",
    }


def meter_value(timestamp: str, register_wh: int, power_w: int, context: str) -> dict[str, Any]:
    """One meterValue with energy, power, and current and voltage of each phase (7.33)."""
    samples = [
        energy_sample(register_wh, context),
        {"value": str(power_w), "context": context, "measurand": "Power.Active.Import", "unit": "W"},
    ]
    tenths_of_ampere = power_w * 10 // (PHASES * VOLTAGE_V)
    for phase in range(1, PHASES + 1):
        current = f"{tenths_of_ampere // 10}.{tenths_of_ampere % 10}"
        samples.append(
            {"value": current, "context": context, "measurand": "Current.Import", "phase": f"L{phase}", "unit": "A"}
        )
        volts = str(VOLTAGE_V)
        samples.append(
            {"value": volts, "context": context, "measurand": "Voltage", "phase": f"L{phase}-N", "unit": "V"}
        )
    return {"timestamp": timestamp, "sampled_value": samples}
