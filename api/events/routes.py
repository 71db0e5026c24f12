"""HTTP of events: the stream of what its caller may see. Who sees what is decided at each event, not here."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import WithJsonSchema

from api.errors import Invalid, TooManyStreams, Unavailable
from api.events.audience import Filter
from api.events.catalogue import TYPES
from api.events.feed import Feed
from api.events.hub import Subscriber
from api.events.stream import EventStream
from api.identity.caller import CurrentCaller, TokenExpiry
from api.problems import problem_docs

router = APIRouter(prefix="/api/v1/events", tags=["events"])

EXAMPLE: Final = """retry: 2000

id: 4711
event: ready
data: {"version":4711}

id: 4712
event: connector.status
data: {"id":"0d3c8f0e-5b0e-4d0e-9a37-0d2f6c1b7a55","type":"connector.status","at":"2026-05-04T09:00:00Z",\
"charge_point_id":"3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10","version":4712,\
"data":{"connector_id":1,"error_code":"NoError","status":"Charging"}}

: still here

"""
EVENT_SCHEMA: Final = {
    "type": "object",
    "description": "each event of the stream; `data` is JSON",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    "required": ["id", "event", "data"],
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events as they happen, until the access token expires",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": EXAMPLE}},
    },
    **problem_docs(TooManyStreams),
}
MOST_NAMED: Final = 100


async def current_feed(request: Request) -> Feed:
    """The feed of this process."""
    feed: Feed = request.app.state.feed
    return feed


def known_types(types: list[str]) -> frozenset[str]:
    """Types of events by name.

    Raises:
        Invalid: there is no such type.
    """
    for each in types:
        if each not in TYPES:
            raise Invalid.field("types", f"{each[:100]!r} is not a type of event")
    return frozenset(types)


@router.get("", status_code=200, summary="Stream events", response_class=EventStream, responses=RESPONSES)
async def stream_events(
    *,
    caller: CurrentCaller,
    expires_at: TokenExpiry,
    feed: Annotated[Feed, Depends(current_feed)],
    types: Annotated[list[str] | None, Query(max_length=MOST_NAMED, description="only these types of events")] = None,
    charge_point_ids: Annotated[
        list[UUID] | None, Query(alias="charge_point_id", max_length=MOST_NAMED, description="only these charge points")
    ] = None,
    last_event_id: Annotated[
        int | None,
        Header(
            ge=0, le=2**63 - 1, description="`id` of the last event that was received: what came since is sent first"
        ),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}),  # a header is never null
    ] = None,
) -> EventStream:
    """Server-sent events of all that the caller may see at the moment of each event.

    It begins with `ready`, or with `resync` where too much was missed: then read the resources again. Of two events
    about one object the higher `version` is the newer. A comment comes every 15 seconds. The stream ends with its
    access token or log-in, and for a client that does not read; come back with a new token and `Last-Event-ID`.
    """
    wanted = Filter(known_types(types or []), frozenset(charge_point_ids or []))
    if not feed.is_ready:
        raise Unavailable
    if not feed.hub.has_room_for(caller.user_id):
        raise TooManyStreams
    subscriber = Subscriber(caller, wanted, expires_at)
    return EventStream(feed, subscriber, feed.hub.add(subscriber), last_event_id)
