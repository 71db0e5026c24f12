"""The people who come to a charge point with their cards, one after the other. What they set off is not known here."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.connectors import Connector, Session, wait_for_event

if TYPE_CHECKING:
    from simulator.charge_point import SimulatedChargePoint

LOOK_AGAIN_S = 1.0
"""How often a visitor who finds a connector taken looks at the next one."""


async def receive_visitors(box: "SimulatedChargePoint") -> None:
    """Presents the cards in turn at the connectors in turn, until `count` sessions are over and delivered.

    Without cards it only counts the sessions that the central system starts.
    """
    tags = itertools.cycle(box.behaviour.id_tags)
    turns = itertools.cycle(box.connectors.values())
    while not _enough(box):
        await box.introduced.wait()
        box.session_over.clear()
        session = _present(box, next(turns), tags)
        if session is None or session.task is None:
            await wait_for_event(box.session_over, LOOK_AGAIN_S)
        else:
            await asyncio.wait({session.task})
            await asyncio.sleep(0 if _enough(box) else box.behaviour.pause_s)
    await box.outbox.idle.wait()


def _present(box: "SimulatedChargePoint", connector: Connector, tags: Iterator[str]) -> Session | None:
    if not box.behaviour.id_tags or connector.status not in {"Available", "Reserved"}:
        return None
    return box.begin_session(connector, next(tags))


def _enough(box: "SimulatedChargePoint") -> bool:
    return 0 < box.behaviour.count <= box.sessions_over
