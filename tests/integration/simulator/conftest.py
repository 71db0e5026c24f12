"""A central system, and charge points that are stopped when the test is over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.behaviour import Behaviour
from simulator.charge_point import SimulatedChargePoint
from tests.integration.simulator.central_system import CentralSystem

QUICK: dict[str, Any] = {"duration_s": 0.4, "meter_interval_s": 0.1, "pause_s": 0.05, "reconnect_s": 0.05}


@pytest.fixture
async def central_system() -> AsyncIterator[CentralSystem]:
    async with CentralSystem() as running:
        yield running


class Box:
    """A running simulated charge point and what it reported."""

    def __init__(self, url: str, behaviour: Behaviour, state_file: Path | None, connectors: int, retry_s: int) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.charge_point = SimulatedChargePoint(
            url,
            "CP 1",
            "secret",
            connectors=connectors,
            behaviour=behaviour,
            state_file=state_file,
            on_event=lambda event, details: self.events.append((event, details)),
        )
        self.charge_point.configuration.values["TransactionMessageRetryInterval"] = str(retry_s)
        self.running = asyncio.ensure_future(self.charge_point.run())

    def told(self, event: str) -> list[dict[str, Any]]:
        """The details of each event of this name."""
        return [details for name, details in self.events if name == event]


StartBox = Callable[..., Box]


@pytest.fixture
async def start_box(central_system: CentralSystem) -> AsyncIterator[StartBox]:
    """Starts a charge point with a quick behaviour; keyword arguments are fields of Behaviour."""
    boxes: list[Box] = []

    def start(*, state_file: Path | None = None, connectors: int = 1, retry_s: int = 0, **fields: Any) -> Box:
        behaviour = Behaviour(**{**QUICK, **fields})
        boxes.append(Box(central_system.url, behaviour, state_file, connectors, retry_s))
        return boxes[-1]

    yield start
    for box in boxes:
        box.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await box.running
