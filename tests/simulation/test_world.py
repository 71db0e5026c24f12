"""`World` driven by hypothesis: what happens next is drawn, and a failure is shrunk to the shortest schedule.

`SIMULATION_STEPS` and `SIMULATION_SEED` are set by `make simulate`; without them a small seeded form runs.
"""

import os

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.simulation.world import CHANNELS, World

STEPS_A_SCHEDULE = 100
SCHEDULES_A_PART = 500
"""Hypothesis keeps in memory what it has drawn; a part of its own, with a seed of its own, forgets it."""
STEPS = int(os.environ.get("SIMULATION_STEPS", "20000"))
SEED = int(os.environ.get("SIMULATION_SEED", "1"))
GARBAGE = [b"", b"{}", b"[]", b"[2]", b'[2,"bad"]', b'[2,"bad","Authorize",{}]', b'[2,"bad","Nonsense",{}]', b"\xff",
           b'[3,"nobody\'s",{}]', b'[4,"-1","GenericError","",{}]']  # fmt: skip


class Schedule(RuleBasedStateMachine):
    """One schedule of what may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule()
    def boot(self) -> None:
        self.world.boot()

    @rule(action=st.sampled_from(["Heartbeat", "Authorize", "StatusNotification"]))
    def call(self, action: str) -> None:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        self.world.call(action, {"Heartbeat": {}, "Authorize": {"idTag": "A"}}.get(action, status))

    @rule(reset_clock=st.booleans())
    def begin_session(self, reset_clock: bool) -> None:
        self.world.begin_session(reset_clock=reset_clock)

    @rule()
    def repeat_start(self) -> None:
        self.world.repeat_start()

    @rule()
    def end_session(self) -> None:
        self.world.end_session()

    @rule(frame=st.sampled_from(GARBAGE))
    def say(self, frame: bytes) -> None:
        self.world.say(frame)

    @rule(attempts=st.integers(1, 3))
    def commit(self, attempts: int) -> None:
        self.world.commit(attempts=attempts)

    @rule(deadline_s=st.sampled_from([1.0, 40.0, 600.0]))
    def command(self, deadline_s: float) -> None:
        self.world.command(deadline_s)

    @rule(kind=st.sampled_from(["result", "wrong", "error", "other"]))
    def answer_command(self, kind: str) -> None:
        self.world.answer_command(kind)

    @rule(seconds=st.sampled_from([0.01, 1.0, 10.0, 31.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(up=st.sets(st.sampled_from(CHANNELS)))
    def membership(self, up: set[str]) -> None:
        self.world.membership(up)

    @rule(key=st.sampled_from(["cp", "other"]), misses=st.booleans())
    def publish(self, key: str, misses: bool) -> None:
        self.world.publish(key, misses=misses)

    @rule()
    def reconnect(self) -> None:
        self.world.reconnect()

    def teardown(self) -> None:
        self.world.settle()


@pytest.mark.timeout(3600)
def test_every_schedule_keeps_the_promises() -> None:
    left, part = max(1, STEPS // STEPS_A_SCHEDULE), 0
    while left > 0:
        drawn = settings(
            max_examples=min(left, SCHEDULES_A_PART),
            stateful_step_count=STEPS_A_SCHEDULE,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(hypothesis.seed(f"{SEED}-{part}")(Schedule), settings=drawn)
        left, part = left - SCHEDULES_A_PART, part + 1
