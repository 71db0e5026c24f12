"""What a meterValue of OCPP 1.6 says, as integers: the energy register in Wh and the power in W. Pure.

A value that cannot be read gives None and never an error: the samples themselves are kept whole elsewhere.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct

ENERGY: Final = "Energy.Active.Import.Register"
POWER: Final = "Power.Active.Import"
TO_WH: Final = {"Wh": 1, "kWh": 1000}
TO_W: Final = {"W": 1, "kW": 1000}
PHASES: Final = ("L1", "L2", "L3")
MOST_DIGITS: Final = 18
"""Registers beyond 10^18 Wh do not fit a bigint and do not exist."""


class SampledValue(Struct):
    """What is read of a sampledValue, with the defaults of OCPP 1.6 (7.43). Meters send anything: no type is sure.

    The default of `unit` goes by the measurand: Wh for an energy (7.45).
    """

    value: Any = None
    measurand: Any = ENERGY
    unit: Any = UNSET
    location: Any = "Outlet"
    phase: Any = ""
    format: Any = "Raw"


class Reading(NamedTuple):
    """The total at the outlet: energy register in Wh and power in W, each None where it was not sampled."""

    energy_wh: int | None
    power_w: int | None


def read_samples(samples: Sequence[SampledValue]) -> Reading:
    """The reading in one `sampledValue` list."""
    return Reading(_total(samples, ENERGY, TO_WH, "Wh"), _total(samples, POWER, TO_W, "W"))


def _total(samples: Sequence[SampledValue], measurand: str, units: Mapping[str, int], default_unit: str) -> int | None:
    """The value over all phases; where only L1 to L3 are given, their sum."""
    by_phase: dict[str, Decimal] = {}
    for sample in samples:
        if sample.measurand != measurand or sample.location != "Outlet" or sample.format != "Raw":
            continue
        value = _scaled(sample.value, units.get(default_unit if sample.unit is UNSET else sample.unit))
        phase = str(sample.phase).removesuffix("-N")
        if value is not None and not phase:
            return _whole(value)
        if value is not None:
            by_phase.setdefault(phase, value)
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
