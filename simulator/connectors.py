"""The connectors of a charge point and the session that runs on each. State only; nothing is sent from here."""

import asyncio
from dataclasses import dataclass, field

from simulator.meter import Meter
from simulator.state import Transaction


@dataclass
class Session:
    """One visit of a car, from presenting the card to leaving. `status` is a ChargePointStatus."""

    id_tag: str
    remote: bool
    status: str = "Preparing"
    transaction: Transaction | None = None
    power_w: int = 0
    reason: str = "Local"
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def stop(self, reason: str) -> None:
        """Asks the session to end; the first reason counts."""
        if not self.stopping.is_set():
            self.reason = reason
            self.stopping.set()


@dataclass
class Connector:
    """One outlet with a meter of its own."""

    id: int
    meter: Meter
    operative: bool = True
    planned: bool | None = None
    """What ChangeAvailability asked for, to come true when the session is over (5.2)."""
    reserved: bool = False
    session: Session | None = None
    announced: str = ""
    """The status that the central system was told last."""

    @property
    def status(self) -> str:
        """What a StatusNotification says now (7.7)."""
        if self.session is not None:
            return self.session.status
        if not self.operative:
            return "Unavailable"
        return "Reserved" if self.reserved else "Available"


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True
