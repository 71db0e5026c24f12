"""Who reads what, and the bounded queue of a stream."""

import uuid
from datetime import UTC, datetime

import orjson
import pytest

from api.events.audience import Filter, readers
from api.events.catalogue import Event
from api.events.hub import MOST_QUEUED, MOST_QUEUED_BYTES, Hub, Subscriber
from api.identity.caller import Caller
from api.sharing.access import Viewers

NOW = datetime(2026, 5, 4, tzinfo=UTC)
PLACE, OWNER, GUEST, PERSON, OPERATOR = (uuid.uuid4() for _ in range(5))
SEEN = {PLACE: Viewers(OWNER, frozenset({GUEST}))}


def event(audience: str, person: uuid.UUID | None = None, position: int = 1) -> Event:
    return Event(uuid.uuid4(), position, "connector.status", NOW, PLACE, person, audience, "{}")


def subscriber(user: uuid.UUID, role: str = "user", wanted: Filter | None = None) -> Subscriber:
    return Subscriber(Caller(user, uuid.uuid4(), role), wanted or Filter(), NOW)


@pytest.mark.parametrize(
    ("audience", "person", "expected"),
    [
        ("guests", None, {OWNER, GUEST}),
        ("owner", None, {OWNER}),
        ("owner", PERSON, {OWNER}),
        ("person", PERSON, {OWNER, PERSON}),
        ("person", None, {OWNER}),
        ("requester", PERSON, {OWNER}),
        ("requester", GUEST, {OWNER, GUEST}),
        ("requester", OWNER, {OWNER}),
    ],
)
def test_who_reads_what(audience: str, person: uuid.UUID | None, expected: set[uuid.UUID]) -> None:
    assert readers(event(audience, person), SEEN) == expected


def test_of_a_charge_point_that_is_gone_only_the_person_reads() -> None:
    assert readers(event("person", PERSON), {}) == {PERSON}
    assert readers(event("requester", GUEST), {}) == set()
    assert readers(event("guests"), {}) == set()


async def test_everybody_who_may_gets_it_once_in_order() -> None:
    hub = Hub()
    people = [subscriber(OWNER), subscriber(OWNER, "operator"), subscriber(GUEST), subscriber(OPERATOR, "operator")]
    nobody = [subscriber(PERSON), subscriber(GUEST, wanted=Filter(types=frozenset({"job.status"})))]
    for each in (*people, *nobody):
        hub.add(each)
    hub.tell([event("guests", position=1), event("guests", position=2)], SEEN)
    for each in people:
        received = await each.take(0)
        assert received is not None
        assert [line for line in received.split(b"\n") if line.startswith(b"id: ")] == [b"id: 1", b"id: 2"]
    for each in nobody:
        assert await each.take(0) == b""
    assert hub.position == 2


def test_an_envelope_is_json_with_its_zone() -> None:
    body = orjson.loads(event("guests").envelope())
    assert (body["at"], body["charge_point_id"], body["version"]) == ("2026-05-04T00:00:00Z", str(PLACE), 1)


@pytest.mark.parametrize(("size", "count"), [(1, MOST_QUEUED), (MOST_QUEUED_BYTES // 4, 4)])
async def test_a_full_queue_cuts_the_stream_and_keeps_nothing(size: int, count: int) -> None:
    stream, cut = subscriber(OWNER), []
    stream.on_cut = lambda: cut.append(True)
    for _ in range(count):
        stream.put(b"x" * size)
    assert not stream.is_over
    stream.put(b"x" * size)
    assert (stream.is_cut, cut) == (True, [True])
    stream.put(b"late")
    assert await stream.take(0) is None


async def test_an_ended_stream_gives_out_what_it_has_and_is_cut_when_it_is_told_again() -> None:
    reading, stuck = subscriber(OWNER), subscriber(OWNER)
    for each in (reading, stuck):
        each.put(b"last")
        each.end()
    assert await reading.take(0) == b"last"
    assert await reading.take(0) is None
    stuck.end()
    assert stuck.is_cut
    assert await stuck.take(0) is None


async def test_a_closed_hub_ends_who_comes_late() -> None:
    hub = Hub()
    hub.close()
    late = subscriber(OWNER)
    hub.add(late)
    assert await late.take(10) is None
    hub.remove(late)
    assert len(hub) == 0
