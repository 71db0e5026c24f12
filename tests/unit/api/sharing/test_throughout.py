"""Who may charge through a time to come, on the nights when clocks are put too."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID

import pytest

from api.sharing.decision import Caps, Facts, Grant, IdTag, Place, Usage, decide, decide_throughout
from api.sharing.windows import Window

OWNER, GUEST, BOX = (UUID(int=number) for number in range(1, 4))
NIGHT = Window(time(1), time(3))
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def facts(*grants: Grant, holder: UUID = GUEST, **more: object) -> Facts:
    """The guest's tag at connector 1."""
    return Facts(IdTag("TAG", holder), Place(BOX, OWNER, connector_id=1), grants, **more)  # type: ignore[arg-type]


def granted(number: int = 9, **terms: object) -> Grant:
    """A grant for the guest."""
    return Grant(UUID(int=number), BEGUN, GUEST, charge_point_id=BOX, **terms)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("starts_at", "hours"),
    [
        (datetime(2026, 10, 24, 23, tzinfo=UTC), 3),  # from 01:00 CEST; at 03:00 the clock goes back to 02:00
        (datetime(2026, 3, 29, 0, tzinfo=UTC), 1),  # from 01:00 CET; at 02:00 it goes on to 03:00
        (datetime(2026, 6, 1, 23, tzinfo=UTC), 2),
    ],
)
def test_a_window_is_as_long_as_the_clock_on_the_wall_makes_it(starts_at: datetime, hours: int) -> None:
    known = facts(granted(windows=(NIGHT,)))
    ends_at = starts_at + timedelta(hours=hours)
    assert decide_throughout(known, starts_at, ends_at).accepted
    refused = decide_throughout(known, starts_at, ends_at + timedelta(minutes=1))
    assert (refused.code, refused.status, refused.grant_id) == ("not_throughout", "Invalid", None)
    assert "03:00 " in refused.reason
    early = decide_throughout(known, starts_at - timedelta(minutes=1), ends_at)
    assert early.code == "outside_window"


def test_grants_that_take_over_from_each_other_carry_it() -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    first, second = granted(8, valid_until=noon), Grant(UUID(int=9), noon, GUEST, charge_point_id=BOX)
    before, after = noon - timedelta(hours=1), noon + timedelta(hours=1)
    assert decide_throughout(facts(first, second), before, after).grant_id == first.id
    assert decide_throughout(facts(first), before, after).code == "not_throughout"
    assert decide_throughout(facts(first), before, noon).accepted


def test_what_happens_now_does_not_count_for_later() -> None:
    capped = granted(caps=Caps(sessions=1))
    known = facts(
        capped, usage={capped.id: Usage(sessions=1)}, is_start=True, charging_elsewhere=True, reserved_until=BEGUN
    )
    at = BEGUN + timedelta(days=40)
    assert decide_throughout(known, at, at + timedelta(hours=1)).accepted
    assert decide(known, at).code == "sessions_cap_reached"
    used_up = facts(granted(caps=Caps(energy_wh=1)), usage={UUID(int=9): Usage(energy_wh=1)})
    assert decide_throughout(used_up, at, at + timedelta(hours=1)).code == "energy_cap_reached"


def test_a_booking_of_somebody_else_refuses_also_the_owner_and_says_until_when() -> None:
    until = datetime(2026, 6, 1, 12, tzinfo=UTC)
    at = until - timedelta(hours=1)
    for holder in (GUEST, OWNER):
        refused = decide(facts(granted(), holder=holder, reserved_until=until, charging_elsewhere=True), at)
        assert (refused.code, refused.status, refused.driver_id) == ("reserved", "Invalid", holder)
        assert "until 2026-06-01 14:00 CEST" in refused.reason
    assert decide(facts(reserved_until=until), at).code == "not_shared", "nobody else learns of bookings"
