"""Who may charge, against a slow and obvious statement of the same rules."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api.sharing.decision import Grant, IdTag, decide

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)
OWNER, GUEST, STRANGER = (UUID(int=n) for n in (1, 2, 3))

people = st.sampled_from([OWNER, GUEST, STRANGER])
times = st.sampled_from([NOW - 2 * HOUR, NOW - HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR])
tags = st.builds(IdTag, st.just("TAG"), people, st.none(), st.booleans(), st.none() | times)
grants = st.lists(st.builds(Grant, people, times, st.none() | times, st.none() | times), max_size=4)


def obvious(tag: IdTag | None, given_grants: list[Grant], *, elsewhere: bool) -> str:
    if tag is None:
        return "Invalid"
    if tag.blocked:
        return "Blocked"
    if tag.expires_at is not None and tag.expires_at <= NOW:
        return "Expired"
    allowed = tag.user_id == OWNER
    for grant in given_grants:
        begun = grant.valid_from <= NOW
        over = grant.valid_until is not None and grant.valid_until <= NOW
        revoked = grant.revoked_at is not None and grant.revoked_at <= NOW
        if grant.user_id == tag.user_id and begun and not over and not revoked:
            allowed = True
    if not allowed:
        return "Invalid"
    return "ConcurrentTx" if elsewhere else "Accepted"


@given(st.none() | tags, grants, st.booleans())
def test_decides_as_the_obvious_rules_do(tag: IdTag | None, given_grants: list[Grant], elsewhere: bool) -> None:
    decision = decide(tag, OWNER, given_grants, NOW, charging_elsewhere=elsewhere)
    assert decision.status == obvious(tag, given_grants, elsewhere=elsewhere)
    assert decision.accepted == (decision.reason == "")
    assert decision.driver_id == (tag.user_id if tag else None)


@given(tags, grants)
def test_an_accepted_answer_never_outlives_its_right(tag: IdTag, given_grants: list[Grant]) -> None:
    decision = decide(tag, OWNER, given_grants, NOW)
    if decision.accepted and decision.expires_at is not None:
        assert decision.expires_at > NOW
        later = decide(tag, OWNER, [g for g in given_grants if g.revoked_at is None], decision.expires_at)
        assert not later.accepted
