"""Reading sampled values: the defaults of OCPP 1.6 and what real meters send."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.metering import Reading, SampledValue, read_samples

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"


def read(samples: list[dict[str, Any]]) -> Reading:
    return read_samples(msgspec.convert(samples, list[SampledValue]))


@pytest.mark.parametrize(
    ("samples", "reading"),
    [
        ([{"value": "1234"}], Reading(1234, None)),
        ([{"value": "1.2345", "unit": "kWh", "measurand": ENERGY}], Reading(1234, None)),
        ([{"value": "1.2355", "unit": "kWh"}], Reading(1236, None)),
        ([{"value": "7.4", "unit": "kW", "measurand": POWER}], Reading(None, 7400)),
        ([{"value": "-12.6", "measurand": POWER, "unit": "W"}], Reading(None, -13)),
        ([{"value": "5", "location": "Inlet"}, {"value": "7", "location": "Outlet"}], Reading(7, None)),
        ([{"value": "AABB", "format": "SignedData"}, {"value": "9"}], Reading(9, None)),
        ([{"value": "1", "phase": "L1"}, {"value": "9"}], Reading(9, None)),
        ([{"value": str(n), "phase": f"L{n}-N", "measurand": POWER} for n in (1, 2, 3)], Reading(None, 6)),
        ([{"value": "1", "phase": "L1"}, {"value": "2", "phase": "L2"}], Reading(None, None)),
        ([{"value": "5", "measurand": "Voltage", "unit": "V"}], Reading(None, None)),
        ([{"value": "5", "unit": "varh"}], Reading(None, None)),
        ([{"value": "1"}, {"value": "2"}], Reading(1, None)),
        ([{"value": "x"}, {"value": "2"}, {"value": "3", "phase": "L1"}], Reading(2, None)),
        ([{"value": "5", "unit": None}, {"value": 6, "measurand": POWER}], Reading(None, 6)),
        ([], Reading(None, None)),
    ],
)
def test_known_samples(samples: list[dict[str, Any]], reading: Reading) -> None:
    assert read(samples) == reading


@pytest.mark.parametrize("value", ["", "abc", "NaN", "Infinity", "1e400000", "-1e400000", "9" * 40, None, [], {}])
def test_an_unreadable_value_is_no_error(value: object) -> None:
    assert read([{"value": value}]) == Reading(None, None)


@given(st.integers(0, 10**15))
def test_kwh_with_three_decimals_are_exact(energy_wh: int) -> None:
    text = f"{energy_wh // 1000}.{energy_wh % 1000:03d}"
    assert read([{"value": text, "unit": "kWh"}]).energy_wh == energy_wh


@given(st.lists(st.dictionaries(st.sampled_from(["value", "unit", "phase", "measurand", "location"]), st.text())))
def test_anything_is_read_without_an_error(samples: list[dict[str, Any]]) -> None:
    assert isinstance(read(samples), Reading)
