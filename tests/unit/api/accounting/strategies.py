"""Random tariffs and sessions for the property tests; small enough for an oracle that goes second by second."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from api.accounting.samples import Sample
from api.accounting.tariff import DAYS, Element, PriceComponent, PriceLimit, Restrictions, Tariff

steadily = settings(
    max_examples=min(60, settings.default.max_examples if settings.default else 60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""However busy the machine is."""
PRAGUE = "Europe/Prague"
FIRST = datetime(2026, 10, 24, 21, tzinfo=UTC)
"""Saturday 23:00 in Prague, the night in which the clocks are put back (at 01:00 UTC)."""

NIGHTS = (FIRST, datetime(2026, 3, 28, 22, tzinfo=UTC))
"""And the same hour of the night in which they are put forward."""

prices = st.integers(0, 200_000) | st.sampled_from([0, 1, 55_000])
vat_rates = st.none() | st.sampled_from([0, 1200, 2100])


def components(step_sizes: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[PriceComponent, ...]]:
    """One or more components of different dimensions."""

    def build(types: list[Any]) -> st.SearchStrategy[tuple[PriceComponent, ...]]:
        return st.tuples(
            *(st.builds(PriceComponent, st.just(t), prices, st.just(1) if t == "FLAT" else step_sizes, vat_rates)
              for t in types)
        )  # fmt: skip

    dimensions = st.sampled_from(["ENERGY", "TIME", "PARKING_TIME", "FLAT"])
    return st.lists(dimensions, min_size=1, max_size=4, unique=True).flatmap(build)


def _ordered(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int | None, int | None]]:
    def arrange(pair: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
        least, most = pair
        return (least, most if most is None or most > (least or 0) else (least or 0) + 1)

    return st.tuples(st.none() | numbers, st.none() | numbers).map(arrange)


@st.composite
def wall_clocks(draw: st.DrawFn) -> dict[str, Any]:
    """Restrictions by the clock around `NIGHTS`."""
    times = st.sampled_from([time(0, 0), time(1, 0), time(2, 15), time(2, 30), time(3, 0), time(23, 30)])
    start = draw(st.none() | times)
    end = draw(st.none() | times)
    return {
        "start_time": start,
        "end_time": None if end == (start or time.min) else end,
        "day_of_week": draw(st.just(frozenset[str]()) | st.frozensets(st.sampled_from(DAYS[5:] + DAYS[:1]))),
        "start_date": draw(st.none() | st.sampled_from([date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25)])),
        "end_date": draw(st.none() | st.sampled_from([date(2026, 3, 29), date(2026, 10, 26), date(2026, 10, 27)])),
    }


@st.composite
def restrictions(draw: st.DrawFn, *, thresholds: bool = True, durations: bool = True) -> Restrictions:
    """Any mix of restrictions, or none."""
    fields: dict[str, Any] = draw(st.just({}) | wall_clocks())
    if thresholds:
        fields["min_wh"], fields["max_wh"] = draw(st.just((None, None)) | _ordered(st.integers(0, 3000)))
    if durations:
        bounds = draw(st.just((None, None)) | _ordered(st.integers(0, 30_000)))
        fields["min_duration_s"], fields["max_duration_s"] = bounds
    return Restrictions(**fields)


@st.composite
def tariffs(
    draw: st.DrawFn,
    *,
    thresholds: bool = True,
    durations: bool = True,
    limits: bool = True,
    grace: bool = True,
    step_sizes: st.SearchStrategy[int] | None = None,
) -> Tariff:
    """A tariff of up to four elements."""
    steps = st.sampled_from([1, 7, 60, 500, 900]) if step_sizes is None else step_sizes
    element = st.builds(Element, components(steps), restrictions(thresholds=thresholds, durations=durations))
    amounts = st.integers(0, 5000)
    limit = st.none() | st.builds(PriceLimit, amounts, st.none() | amounts) if limits else st.none()
    return Tariff(
        "CZK",
        tuple(draw(st.lists(element, min_size=1, max_size=4))),
        draw(limit),
        draw(limit),
        draw(st.sampled_from([0, 1, 600, 3600])) if grace else 0,
    )


@st.composite
def sessions(draw: st.DrawFn, longest_s: int = 8 * 3600, most_wh: int = 5000) -> dict[str, Any]:
    """The arguments of `rate` for a session whose samples all fit, most of them with power."""
    started_at = draw(st.sampled_from(NIGHTS)) + timedelta(seconds=draw(st.integers(0, 6 * 3600)))
    seconds = draw(st.integers(0, longest_s))
    places = sorted(draw(st.sets(st.integers(1, max(1, seconds - 1)), max_size=6)))
    registers = sorted(draw(st.lists(st.integers(0, most_wh), min_size=len(places) + 1, max_size=len(places) + 1)))
    powers = st.none() | st.sampled_from([0, 0, 3700])
    samples = [
        Sample(started_at + timedelta(seconds=place), 1000 + register, draw(powers))
        for place, register in zip(places, registers, strict=False)
        if place < seconds
    ]
    return {
        "meter_start_wh": 1000,
        "meter_stop_wh": 1000 + registers[-1],
        "started_at": started_at,
        "stopped_at": started_at + timedelta(seconds=seconds),
        "samples": samples,
        "time_zone": PRAGUE,
    }
