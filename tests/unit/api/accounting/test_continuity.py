"""The continuity audit: previous stop register <= next start register (DESIGN 4), each wallbox by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.continuity import Gap, MeteredSession, audit_continuity
from tests.unit.api.accounting.strategies import steadily

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def session(
    name: str, hour: int, start_wh: int, stop_wh: int | None, *, hours: int = 1, box: str = "box", connector: int = 1
) -> MeteredSession:
    at = NOON + timedelta(hours=hour)
    stopped_at = None if stop_wh is None else at + timedelta(hours=hours)
    return MeteredSession(name, box, connector, at, start_wh, stopped_at, stop_wh)


def found(*sessions: MeteredSession) -> list[tuple[str, int]]:
    return [(gap.kind, gap.energy_wh) for gap in audit_continuity(sessions)]


@pytest.mark.parametrize(
    ("following", "gaps"),
    [
        (session("b", 1, 2000, 3000), []),
        (session("b", 1, 2001, 3000), [("unbilled", 1)]),
        (session("b", 1, 1999, 3000), [("backwards", 1)]),
        (session("b", 1, 0, 3000), [("backwards", 2000)]),
        (session("b", 0, 2000, 3000), [("overlap", 0)]),
        (session("b", 0, 2500, 3000), [("overlap", 0), ("unbilled", 500)]),
        (session("b", 5, 2000, None), []),
        (session("b", 5, 5000, None), [("unbilled", 3000)]),
        (session("b", 5, 0, 3000, connector=2), []),
        (session("b", 5, 0, 3000, box="other"), []),
    ],
)
def test_what_follows_a_session(following: MeteredSession, gaps: list[tuple[str, int]]) -> None:
    first = session("a", 0, 1000, 2000)
    assert found(first, following) == gaps
    assert found(following, first) == gaps


@pytest.mark.parametrize(
    ("next_start_wh", "gaps"),
    [(1700, [("not_stopped", 700)]), (1000, [("not_stopped", 0)]), (900, [("not_stopped", 0), ("backwards", 100)])],
)
def test_a_session_that_never_stopped(next_start_wh: int, gaps: list[tuple[str, int]]) -> None:
    assert found(session("a", 0, 1000, None), session("b", 1, next_start_wh, 3000)) == gaps


def test_a_gap_says_where_it_is() -> None:
    assert audit_continuity(
        [session("a", 0, 0, 10, box="x", connector=2), session("b", 2, 15, 20, box="x", connector=2)]
    ) == [Gap("unbilled", "x", 2, "a", "b", 5)]


def test_one_session_or_none_has_no_gap() -> None:
    assert audit_continuity([]) == []
    assert audit_continuity([session("a", 0, 0, None)]) == []


@steadily
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=10), st.randoms())
def test_unbilled_energy_is_all_that_no_session_has(steps: list[tuple[int, int]], random: object) -> None:
    register, sessions = 0, []
    for hour, (gap_wh, energy_wh) in enumerate(steps):
        start = register + (gap_wh if hour else 0)
        register = start + energy_wh
        sessions.append(session(str(hour), hour, start, register))
    random.shuffle(sessions)  # type: ignore[attr-defined]
    gaps = audit_continuity(sessions)
    assert {gap.kind for gap in gaps} <= {"unbilled"}
    assert sum(gap.energy_wh for gap in gaps) == register - sum(energy_wh for _, energy_wh in steps)
