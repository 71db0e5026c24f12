"""What a meterValue of OCPP 1.6 says, as integers: the energy register in Wh and the power in W. Pure.

A value that cannot be read gives None and never an error: the samples themselves are kept whole elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

ENERGY: Final = "Energy.Active.Import.Register"
POWER: Final = "Power.Active.Import"
TO_WH: Final = {"Wh": 1, "kWh": 1000}
TO_W: Final = {"W": 1, "kW": 1000}
PHASES: Final = ("L1", "L2", "L3")
MOST_DIGITS: Final = 18
"""Registers beyond 10^18 Wh do not fit a bigint and do not exist."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The total at the outlet: energy register in Wh and power in W, each None where it was not sampled."""

    energy_wh: int | None
    power_w: int | None


def read_samples(samples: Sequence[Mapping[str, Any]]) -> Reading:
    """The reading in one `sampledValue` list, with the defaults of OCPP 1.6 (7.43 SampledValue).

    Absent measurand means Energy.Active.Import.Register, absent unit Wh, absent location Outlet, absent format Raw.
    """
    return Reading(
        _total([s for s in samples if s.get("measurand", ENERGY) == ENERGY], TO_WH, "Wh"),
        _total([s for s in samples if s.get("measurand") == POWER], TO_W, "W"),
    )


def _total(samples: Sequence[Mapping[str, Any]], units: Mapping[str, int], default_unit: str) -> int | None:
    """The value over all phases; where only L1 to L3 are given, their sum."""
    by_phase: dict[str, Decimal] = {}
    for sample in samples:
        if sample.get("location", "Outlet") != "Outlet" or sample.get("format", "Raw") != "Raw":
            continue
        value = _scaled(sample.get("value"), units.get(sample.get("unit", default_unit)))
        if value is not None:
            by_phase.setdefault(str(sample.get("phase", "")).removesuffix("-N"), value)
    if "" in by_phase:
        return _whole(by_phase[""])
    if all(phase in by_phase for phase in PHASES):
        return _whole(sum((by_phase[phase] for phase in PHASES), Decimal(0)))
    return None


def _scaled(value: object, factor: int | None) -> Decimal | None:
    if factor is None or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() + len(str(factor)) > MOST_DIGITS:
        return None
    return number * factor


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))
