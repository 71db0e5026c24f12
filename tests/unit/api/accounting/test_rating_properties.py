"""What holds for every tariff and every session (docs/adr/0007), against an oracle that counts seconds and Wh."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.accounting.rating import ChargeDetailRecord, rate
from api.accounting.samples import Sample
from api.accounting.tariff import Element, PriceComponent, PriceLimit, Restrictions, Tariff
from tests.unit.api.accounting.oracle import volumes
from tests.unit.api.accounting.strategies import FIRST, prices, sessions, steadily, tariffs

ENERGIES = st.integers(0, 10_000)
UNITS = {"ENERGY": 1000, "TIME": 3600, "PARKING_TIME": 3600, "FLAT": 1}


def component_lines(record: ChargeDetailRecord) -> dict[tuple[str, int], Any]:
    return {(line.type, line.element): line for line in record.lines if line.element is not None}


@steadily
@given(tariffs(), sessions(longest_s=2 * 3600, most_wh=3500))
def test_volumes_equal_those_of_the_oracle(tariff: Tariff, session: dict[str, Any]) -> None:
    record = rate(tariff, **session)
    assert {key: line.used for key, line in component_lines(record).items()} == volumes(tariff, session)


@steadily
@given(tariffs(), sessions())
def test_each_line_is_its_volume_times_its_price_rounded_once(tariff: Tariff, session: dict[str, Any]) -> None:
    for line in component_lines(rate(tariff, **session)).values():
        exact = Fraction(line.volume * line.price_e4, UNITS[line.type] * 100)
        assert line.amount_minor == round(exact)
        assert line.volume >= line.used > 0


@steadily
@given(tariffs(), sessions())
def test_each_dimension_is_rounded_up_to_a_step_at_most_once(tariff: Tariff, session: dict[str, Any]) -> None:
    lines = list(component_lines(rate(tariff, **session)).values())
    for dimension in UNITS:
        rounded = [line for line in lines if line.type == dimension and line.volume > line.used]
        assert len(rounded) <= 1
        for line in rounded:
            step = next(c.step_size for c in tariff.elements[line.element].components if c.type == dimension)
            assert line.volume - line.used < step
            assert sum(other.volume for other in lines if other.type == dimension) % step == 0


@steadily
@given(tariffs(), sessions())
def test_lines_add_up_and_segments_add_up(tariff: Tariff, session: dict[str, Any]) -> None:
    record = rate(tariff, **session)
    assert sum(line.amount_minor for line in record.lines) == record.total_minor == record.net_minor + record.vat_minor
    assert sum(segment.energy_wh for segment in record.segments) == record.energy_wh
    assert timedelta(seconds=sum(s.seconds for s in record.segments)) == session["stopped_at"] - session["started_at"]
    assert all(segment.energy_wh >= 0 and segment.seconds >= 0 for segment in record.segments)
    at = session["started_at"]
    for segment in record.segments:
        assert segment.started_at == at
        at += timedelta(seconds=segment.seconds)


@steadily
@given(tariffs(), sessions())
def test_price_limits_hold(tariff: Tariff, session: dict[str, Any]) -> None:
    record = rate(tariff, **session)
    least, most = tariff.min_price or PriceLimit(0), tariff.max_price or PriceLimit(10**9)
    most_incl_vat = 10**9 if most.incl_vat_minor is None else most.incl_vat_minor
    assert record.total_minor >= record.net_minor >= 0
    assert all(line.amount_minor >= 0 for line in component_lines(record).values())
    assert record.total_minor <= most_incl_vat
    if tariff.max_price is None:
        assert record.net_minor >= least.excl_vat_minor
    assert record.total_minor >= min(least.incl_vat_minor or 0, most_incl_vat)
    if least.incl_vat_minor is None:
        assert record.net_minor <= most.excl_vat_minor


@steadily
@given(tariffs(), sessions())
def test_vat_is_on_what_the_lines_of_its_rate_add_up_to(tariff: Tariff, session: dict[str, Any]) -> None:
    lines = rate(tariff, **session).lines
    for vat in (line for line in lines if line.type == "VAT"):
        assert vat.base_minor == sum(x.amount_minor for x in lines if x.type != "VAT" and x.vat_bp == vat.vat_bp)
        assert vat.base_minor >= 0
        assert abs(vat.amount_minor - Fraction(vat.base_minor * (vat.vat_bp or 0), 10_000)) <= 2
        assert vat.amount_minor > 0


@steadily
@given(tariffs(), sessions(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_samples_and_their_copies_change_nothing(
    tariff: Tariff, session: dict[str, Any], random: Any, data: st.DataObject
) -> None:
    at = st.integers(-100, 40_000).map(lambda s: session["started_at"] + timedelta(seconds=s / 4))
    noise = data.draw(st.lists(st.builds(Sample, at, st.none() | st.integers(0, 7000), st.none() | st.just(0))))
    samples = [*session["samples"], *noise]
    shuffled = [*samples, *samples[:3]]
    random.shuffle(shuffled)
    assert rate(tariff, **session | {"samples": samples}) == rate(tariff, **session | {"samples": shuffled})


@steadily
@given(tariffs(thresholds=False, step_sizes=st.just(1)), sessions(), st.integers(1, 9))
def test_more_energy_never_costs_less(tariff: Tariff, session: dict[str, Any], factor: int) -> None:
    """But for the Wh that the rounding of a cut can move to the segment before or after it."""
    least = None if tariff.min_price is None else PriceLimit(tariff.min_price.excl_vat_minor)
    tariff = replace(tariff, min_price=least, max_price=None)
    power = [s._replace(power_w=11_000) for s in session["samples"]]
    more = [s._replace(energy_wh=1000 + ((s.energy_wh or 0) - 1000) * factor) for s in power]
    stop_wh = 1000 + (session["meter_stop_wh"] - 1000) * factor
    less = rate(tariff, **session | {"samples": power})
    cuts = len(less.segments) - 1
    dearest = max(component.price_e4 for element in tariff.elements for component in element.components)
    slack = Fraction(cuts * dearest, 100_000) * Fraction(121, 100) + (len(less.lines) if cuts else 0)
    dearer = rate(tariff, **session | {"samples": more, "meter_stop_wh": stop_wh})
    assert less.net_minor <= dearer.net_minor + slack
    if tariff.min_price is None:  # the VAT of a top-up goes by the rates of what was used, which more energy shifts
        assert less.total_minor <= dearer.total_minor + slack


@steadily
@given(st.lists(st.tuples(st.integers(1, 4000), prices), min_size=1, max_size=4), ENERGIES, ENERGIES)
def test_more_energy_never_costs_less_by_tiers(tiers: list[tuple[int, int]], one: int, more: int) -> None:
    elements, low = [], 0
    for size, price in tiers:
        elements.append(Element((PriceComponent("ENERGY", price),), Restrictions(min_wh=low, max_wh=low + size)))
        low += size
    tariff = Tariff("CZK", tuple(elements))
    at: dict[str, Any] = {"started_at": FIRST, "stopped_at": FIRST + timedelta(hours=1), "meter_start_wh": 0}
    less, dearer = rate(tariff, meter_stop_wh=one, **at), rate(tariff, meter_stop_wh=one + more, **at)
    assert less.total_minor <= dearer.total_minor


@steadily
@given(
    tariffs(thresholds=False, durations=False, limits=False, grace=False, step_sizes=st.just(1)), sessions(), st.data()
)
def test_splitting_a_session_at_a_sample_changes_no_total_by_more_than_rounding(
    tariff: Tariff, session: dict[str, Any], data: st.DataObject
) -> None:
    """Volumes are exactly the sum; amounts differ by half a minor unit a line at most (fees a session are apart)."""
    tariff = Tariff(tariff.currency, without_flat(tariff))
    if not session["samples"] or not tariff.elements:
        return
    cut = data.draw(st.sampled_from(session["samples"]))
    timed = [Sample(s.at, s.energy_wh) for s in session["samples"]]
    whole = rate(tariff, **session | {"samples": timed})
    first = rate(tariff, **session | {"samples": timed, "stopped_at": cut.at, "meter_stop_wh": cut.energy_wh})
    second = rate(tariff, **session | {"samples": timed, "started_at": cut.at, "meter_start_wh": cut.energy_wh})
    for key in {**component_lines(first), **component_lines(second)}:
        parts = [component_lines(part).get(key) for part in (first, second)]
        assert sum(part.used for part in parts if part) == component_lines(whole)[key].used
    lines = len(whole.lines) + len(first.lines) + len(second.lines)
    slack = Fraction(lines, 2) * Fraction(121, 100)
    assert abs(first.total_minor + second.total_minor - whole.total_minor) <= slack


def without_flat(tariff: Tariff) -> Any:
    kept = ((tuple(c for c in e.components if c.type != "FLAT"), e.restrictions) for e in tariff.elements)
    return tuple(Element(components, bounds) for components, bounds in kept if components)
