"""Which Start is a replay: whatever Starts, Stops and boots came, each session has one transaction (DESIGN 2.2)."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.transactions.replays import Known, NewStart, find_replayed

T0 = datetime(2026, 1, 1, tzinfo=UTC)
known = st.builds(
    Known,
    id=st.integers(1, 50),
    started_at=st.sampled_from([T0, T0 + timedelta(hours=1), T0 + timedelta(hours=2)]),
    occurrence=st.integers(0, 3),
    start_boot_count=st.integers(0, 5),
    status=st.sampled_from(["active", "stopped", "abandoned"]),
)
known_rows = st.lists(known, max_size=6, unique_by=lambda row: (row.started_at, row.occurrence))
"""As the unique constraint lets them be."""


@given(known_rows, st.integers(0, 6))
def test_an_identical_start_with_a_sane_clock_is_always_a_replay(rows: list[Known], boot_count: int) -> None:
    found = find_replayed(rows, T0, is_plausible=True, boot_count=boot_count)
    identical = [row for row in rows if row.started_at == T0]
    if identical:
        assert found in identical
    elif any(row.status == "active" for row in rows):
        assert isinstance(found, Known)
        assert found.status == "active"
    else:
        assert found == NewStart(0)


@given(known_rows, st.integers(0, 6))
def test_a_reset_clock_needs_a_boot_to_begin_anew_and_never_takes_a_used_occurrence(
    rows: list[Known], boot_count: int
) -> None:
    found = find_replayed(rows, T0, is_plausible=False, boot_count=boot_count)
    identical = [row for row in rows if row.started_at == T0]
    if isinstance(found, NewStart):
        assert found.occurrence not in {row.occurrence for row in identical}
        assert all(row.start_boot_count < boot_count for row in identical if row.occurrence == found.occurrence - 1)
    elif identical:
        assert found.start_boot_count >= boot_count


@given(st.lists(st.sampled_from(["start", "boot"]), max_size=20))
def test_a_reset_clocks_starts_are_counted_by_boots(events: list[str]) -> None:
    rows: list[Known] = []
    boots, expected = 0, 0
    has_started_since_boot = False
    for event in events:
        if event == "boot":
            boots, has_started_since_boot = boots + 1, False
            continue
        expected += not has_started_since_boot
        has_started_since_boot = True
        found = find_replayed(rows, T0, is_plausible=False, boot_count=boots)
        if isinstance(found, NewStart):
            rows.append(Known(len(rows) + 1, T0, found.occurrence, boots, "active"))
    assert len(rows) == expected
