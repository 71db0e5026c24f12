"""Who may charge, against a slow and obvious statement of the same rules, and on the nights when clocks are put."""

from datetime import UTC, datetime, time, timedelta
from typing import get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.sharing.decision import STATUSES, Caps, Decision, Facts, Grant, IdTag, Place, Usage, Visibility, decide
from api.sharing.windows import Window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
OWNER, GUEST, STRANGER, FAMILY, CLUB, BOX, OTHER_BOX, YARD, STREET = (UUID(int=n) for n in range(1, 10))
PRAGUE = ZoneInfo("Europe/Prague")
SPRING = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # at 01:00 UTC the clock goes from 02:00 to 03:00
AUTUMN = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # at 01:00 UTC it goes from 03:00 back to 02:00
moments = st.builds(
    lambda base, minutes: base + minutes * MINUTE,
    st.sampled_from([SPRING, AUTUMN, datetime(2026, 11, 22, 18, tzinfo=UTC)]),
    st.integers(-3 * 24 * 60, 3 * 24 * 60),
)
clocks = st.sampled_from([time(0), time(1, 30), time(2), time(2, 30), time(3), time(6), time(12, 15), time(22)])
windows = st.lists(st.builds(Window, clocks, clocks, st.frozensets(st.sampled_from(DAYS), max_size=3)), max_size=3)
zones = st.sampled_from(["Europe/Prague", "UTC", "Australia/Lord_Howe", "America/New_York"])
numbers = st.none() | st.integers(1, 3)
caps = st.builds(lambda wh, minor, n: Caps(wh, minor, "CZK" if minor else None, n), numbers, numbers, numbers)
used = st.builds(Usage, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))


@st.composite
def grants(draw: st.DrawFn, now: datetime, number: int) -> Grant:
    times = st.integers(-180, 180).map(lambda minutes: now + minutes * MINUTE)
    user_id, group_id = draw(st.sampled_from(
        [(GUEST, None), (GUEST, None), (STRANGER, None), (None, FAMILY), (None, CLUB), (None, None)]))  # fmt: skip
    box, connector, place = draw(st.sampled_from(
        [(BOX, None, None), (BOX, 1, None), (BOX, 2, None), (OTHER_BOX, None, None), (None, None, YARD),
         (None, None, STREET)]))  # fmt: skip
    return Grant(
        UUID(int=1000 + number), draw(times), user_id, group_id, box, connector, place,
        draw(st.none() | times), draw(st.none() | times), tuple(draw(windows)), draw(caps), draw(st.integers(0, 2)),
    )  # fmt: skip


@st.composite
def situations(draw: st.DrawFn) -> tuple[Facts, datetime]:
    now = draw(moments)
    times = st.sampled_from([now - HOUR, now, now + HOUR])
    person = draw(st.sampled_from([OWNER, GUEST, GUEST, GUEST]))
    tag = IdTag("TAG", person, None, draw(st.sampled_from([False] * 5 + [True])), draw(st.none() | times),
                draw(st.frozensets(st.sampled_from([FAMILY, CLUB]))))  # fmt: skip
    shown: Visibility = draw(st.sampled_from(get_args(Visibility)))
    connector_id = draw(st.sampled_from([None, 1, 2]))
    place = Place(BOX, OWNER, draw(zones), draw(st.sampled_from([None, YARD])), connector_id, shown)
    given = [draw(grants(now, number)) for number in range(draw(st.integers(0, 4)))]
    usage = {grant.id: draw(used) for grant in given}
    is_known = draw(st.sampled_from([True] * 9 + [False]))
    facts = Facts(tag if is_known else None, place, given, usage, draw(st.booleans()), draw(st.booleans()))
    return facts, now


# --- the oracle: everything is asked minute by minute, and in words -------------------------------------------------


def reads_inside(window: Window, local: datetime) -> bool:
    """Walks back over the face of the clock, minute by minute, to the beginning of the window."""
    face = local.replace(tzinfo=None, second=0, microsecond=0)
    for minutes in range(24 * 60):
        earlier = face - minutes * MINUTE
        if earlier.time() == window.start:
            return not window.days or DAYS[earlier.weekday()] in window.days
        if earlier.time() == window.end:
            return False
    return False


def holds(facts: Facts, tag: IdTag, grant: Grant, at: datetime) -> bool:
    place, usage = facts.place, facts.usage[grant.id]
    for_whom = (
        grant.user_id == tag.user_id
        if grant.user_id
        else grant.group_id in tag.group_ids if grant.group_id else place.visibility == "public"
    )  # fmt: skip
    where = grant.location_id == place.location_id if grant.location_id else grant.charge_point_id == BOX
    which = not (grant.connector_id and place.connector_id) or grant.connector_id == place.connector_id
    valid = grant.valid_from <= at
    valid = valid and (grant.valid_until is None or at < grant.valid_until)
    valid = valid and (grant.revoked_at is None or at < grant.revoked_at)
    local = at.astimezone(ZoneInfo(place.time_zone))
    opened = not grant.windows or any(reads_inside(window, local) for window in grant.windows)
    left = grant.caps.energy_wh is None or usage.energy_wh + usage.running_energy_wh < grant.caps.energy_wh
    left = left and (grant.caps.amount_minor is None or usage.amount_minor < grant.caps.amount_minor)
    if facts.is_start and grant.caps.sessions is not None:
        left = left and usage.sessions < grant.caps.sessions
    return for_whom and where and which and valid and opened and left and place.visibility != "private"


def obvious_status(facts: Facts, at: datetime) -> str:
    tag = facts.tag
    if tag is None:
        return "Invalid"
    if tag.blocked:
        return "Blocked"
    if tag.expires_at is not None and tag.expires_at <= at:
        return "Expired"
    if tag.user_id != OWNER and not any(holds(facts, tag, grant, at) for grant in facts.grants):
        return "refused"
    return "ConcurrentTx" if facts.is_start and facts.charging_elsewhere else "Accepted"


@settings(max_examples=300)
@given(situations())
def test_decides_as_the_obvious_rules_do(situation: tuple[Facts, datetime]) -> None:
    facts, now = situation
    decision = decide(facts, now)
    expected = obvious_status(facts, now)
    if expected == "refused":
        assert not decision.accepted
        assert decision.code not in {"accepted", "id_tag_blocked", "id_tag_expired", "charging_elsewhere"}
    else:
        assert decision.status == expected
    assert decision.status == STATUSES.get(decision.code, "Invalid")
    assert decision.accepted == (decision.reason == "")
    assert decision.driver_id == (facts.tag.user_id if facts.tag else None)


@settings(max_examples=300)
@given(situations())
def test_the_grant_that_decides_is_the_first_of_those_that_hold(situation: tuple[Facts, datetime]) -> None:
    facts, now = situation
    decision = decide(facts, now)
    if not decision.accepted or facts.tag is None or facts.tag.user_id == OWNER:
        assert decision.grant_id is None
        return
    holding = [grant for grant in facts.grants if holds(facts, facts.tag, grant, now)]
    [chosen] = [grant for grant in holding if grant.id == decision.grant_id]
    assert chosen.priority == max(grant.priority for grant in holding)
    equals = [grant for grant in holding if grant.priority == chosen.priority]
    if chosen.user_id is None:
        assert all(grant.user_id is None for grant in equals)
    if chosen.user_id is None and chosen.group_id is None:
        assert all(grant.group_id is None for grant in equals)
    assert (decision.caps, decision.used) == (chosen.caps, facts.usage[chosen.id])


@settings(max_examples=100)
@given(situations())
def test_an_accepted_answer_holds_until_its_end_and_not_longer(situation: tuple[Facts, datetime]) -> None:
    facts, now = situation
    decision = decide(facts, now)
    if not decision.accepted:
        return
    ends = decision.expires_at
    minutes = 24 * 60 if ends is None else min(24 * 60, (ends - now) // MINUTE)
    for minute in range(0, minutes, max(7, minutes // 30)):
        assert obvious_status(facts, now + minute * MINUTE) == "Accepted"
    if ends is not None:
        assert ends > now
        assert obvious_status(facts, ends - MINUTE / 60) == "Accepted"
        assert obvious_status(facts, ends) != "Accepted" or ends > now + timedelta(days=8)


# --- examples ---------------------------------------------------------------------------------------------------------


def ask(grant: Grant, at: datetime, *, usage: Usage | None = None, connector_id: int = 1) -> Decision:
    place = Place(BOX, OWNER, "Europe/Prague", connector_id=connector_id)
    return decide(Facts(IdTag("TAG", GUEST), place, [grant], {grant.id: usage or Usage()}, is_start=True), at)


def nights(start: str, end: str, *days: str) -> Grant:
    window = Window(time.fromisoformat(start), time.fromisoformat(end), frozenset(days))
    return Grant(UUID(int=50), datetime(2026, 1, 1, tzinfo=UTC), GUEST, charge_point_id=BOX, windows=(window,))


def local(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PRAGUE, fold=fold)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    grant = nights("22:00", "06:00", "FRIDAY")
    assert not ask(grant, local("2026-11-20T05:00")).accepted, "early on Friday is Thursday's night"
    for inside in ("2026-11-20T22:00", "2026-11-21T05:59"):
        decision = ask(grant, local(inside))
        assert decision.accepted
        assert decision.expires_at == local("2026-11-21T06:00")
    outside = ask(grant, local("2026-11-21T06:00"))
    assert outside.code == "outside_window"
    assert outside.reason == ("The charge point is shared at these times only: Friday 22:00 to 06:00 (Europe/Prague).")


def test_the_night_on_which_the_clock_goes_forward_is_an_hour_shorter() -> None:
    grant = nights("22:00", "06:00")
    decision = ask(grant, local("2026-03-28T22:00"))
    assert decision.expires_at is not None
    assert decision.expires_at - local("2026-03-28T22:00").astimezone(UTC) == 7 * HOUR
    never = nights("02:15", "02:45")
    assert not any(ask(never, SPRING + minutes * MINUTE).accepted for minutes in range(120))


def test_the_night_on_which_the_clock_goes_back_is_an_hour_longer() -> None:
    grant = nights("22:00", "06:00")
    decision = ask(grant, local("2026-10-24T22:00"))
    assert decision.expires_at is not None
    assert decision.expires_at - local("2026-10-24T22:00").astimezone(UTC) == 9 * HOUR
    twice = nights("02:00", "02:30")
    for fold in (0, 1):
        assert ask(twice, local("2026-10-25T02:10", fold=fold)).accepted
        assert not ask(twice, local("2026-10-25T02:40", fold=fold)).accepted


def test_windows_that_meet_have_no_end_between_them() -> None:
    grant = nights("00:00", "00:00")
    assert ask(grant, local("2026-11-20T12:00")).expires_at is None, "equal times are a whole day"
    one_day = nights("00:00", "00:00", "FRIDAY")
    assert ask(one_day, local("2026-11-20T12:00")).expires_at == local("2026-11-21T00:00")


@pytest.mark.parametrize(
    ("changes", "usage", "code", "words"),
    [
        ({"connector_id": 2}, Usage(), "other_connector", "at connector 2 only"),
        ({"revoked_at": AUTUMN}, Usage(), "grant_revoked", "revoked"),
        ({"valid_until": AUTUMN}, Usage(), "grant_ended", "ended 2026-10-25 02:30 CEST"),
        ({"valid_from": AUTUMN + HOUR}, Usage(), "grant_not_begun", "begins 2026-10-25 02:30 CET"),
        ({"caps": Caps(energy_wh=20_500)}, Usage(20_500), "energy_cap_reached", "20.5 kWh"),
        ({"caps": Caps(amount_minor=5000, currency="CZK")}, Usage(0, 5000), "amount_cap_reached", "50.00 CZK"),
        ({"caps": Caps(sessions=1)}, Usage(0, 0, 1), "sessions_cap_reached", "Of your sessions 1 may"),
    ],
)
def test_says_why_not(changes: dict[str, object], usage: Usage, code: str, words: str) -> None:
    terms = {"valid_from": AUTUMN - HOUR, "user_id": GUEST, "charge_point_id": BOX} | changes
    decision = ask(Grant(id=UUID(int=50), **terms), AUTUMN, usage=usage)  # type: ignore[arg-type]
    assert (decision.code, decision.accepted, decision.grant_id) == (code, False, None)
    assert words in decision.reason


def test_the_reason_is_that_of_the_grant_nearest_to_a_yes() -> None:
    begun = AUTUMN - HOUR
    ended = Grant(UUID(int=50), begun, GUEST, charge_point_id=BOX, valid_until=AUTUMN, priority=2)
    used_up = Grant(UUID(int=51), begun, GUEST, charge_point_id=BOX, caps=Caps(energy_wh=1))
    place = Place(BOX, OWNER)
    decision = decide(Facts(IdTag("TAG", GUEST), place, [ended, used_up], {used_up.id: Usage(1)}), AUTUMN)
    assert decision.code == "energy_cap_reached"


def test_a_lower_priority_lets_in_where_the_higher_is_used_up() -> None:
    begun = AUTUMN - HOUR
    free = Grant(UUID(int=50), begun, GUEST, charge_point_id=BOX, caps=Caps(energy_wh=1), priority=2)
    paid = Grant(UUID(int=51), begun, None, FAMILY, charge_point_id=BOX)
    tag = IdTag("TAG", GUEST, group_ids=frozenset({FAMILY}))
    assert decide(Facts(tag, Place(BOX, OWNER), [paid, free]), AUTUMN).grant_id == free.id
    assert decide(Facts(tag, Place(BOX, OWNER), [paid, free], {free.id: Usage(1)}), AUTUMN).grant_id == paid.id
