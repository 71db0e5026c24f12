"""What a request depends on is made on the event loop: FastAPI takes a thread for whatever is not a coroutine."""

import inspect
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.identity.caller import _bearer


def dependencies(dependant: Dependant) -> Iterator[object]:
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies(each)


def test_no_request_waits_for_a_thread_to_make_what_it_depends_on() -> None:
    calls = {
        call
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for call in (route.endpoint, *dependencies(route.dependant))
    }
    assert _bearer in calls
    threads = {
        call
        for call in calls - {_bearer}
        if not (inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call))
    }
    assert not threads
    assert inspect.iscoroutinefunction(_bearer.__call__)
