"""Real small programs, started, watched, started again and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from standalone.folder import Folder
from standalone.interrupts import Interrupts
from standalone.problems import ChildEndedError
from standalone.supervisor import Part, Supervisor, spawn

DEADLINE_S = 15.0
FOR_EVER = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); {FOR_EVER}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def supervisor(folder: Folder) -> Iterator[Supervisor]:
    made = Supervisor(folder, Interrupts())
    yield made
    made.stop(lambda _: None)


def part(folder: Folder, name: str, program: str) -> Part:
    log = folder.log(name)
    command = [sys.executable, "-c", program]
    return Part(name, log, partial(spawn, command, log, dict(os.environ), folder.path))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "the deadline has passed"
        time.sleep(0.02)


def watch_until_running(supervisor: Supervisor, part: Part) -> list[str]:
    said: list[str] = []

    def look() -> bool:
        said.extend(supervisor.watch())
        return part.running

    until(look)
    return said


def test_stopped_in_reverse_order(folder: Folder, supervisor: Supervisor) -> None:
    for name in ("one", "two", "three"):
        supervisor.start(part(folder, name, FOR_EVER))
    supervisor.check_all_run()
    stopped: list[str] = []
    supervisor.stop(stopped.append)
    assert stopped == ["three", "two", "one"]
    assert not any(one.running for one in supervisor.parts)


def test_what_ends_while_starting_is_one_sentence(folder: Folder, supervisor: Supervisor) -> None:
    log = folder.log("api")
    log.write_text('{"event": "of an earlier run"}\n')
    ends = (
        """print('{"event": "first"}'); print('{"event": "cannot start", "error": "no port"}'); raise SystemExit(3)"""
    )
    supervisor.start(part(folder, "api", ends))
    until(lambda: not supervisor.parts[0].running)
    with pytest.raises(ChildEndedError) as caught:
        supervisor.check_all_run()
    assert str(caught.value) == f"The api ended at once (exit code 3): cannot start: no port (log: {log})"


def test_a_silent_end_has_words_too(folder: Folder, supervisor: Supervisor) -> None:
    folder.log("api").write_text("of an earlier run\n")
    supervisor.start(part(folder, "api", "pass"))
    until(lambda: not supervisor.parts[0].running)
    with pytest.raises(ChildEndedError, match="it said nothing"):
        supervisor.check_all_run()


def test_what_dies_is_started_again_with_back_off(folder: Folder, supervisor: Supervisor) -> None:
    supervisor.start(part(folder, "api", FOR_EVER))
    (running,) = supervisor.parts
    for wait_s in (1, 2):
        assert running.process is not None
        running.process.kill()
        until(lambda: not running.running)
        said = watch_until_running(supervisor, running)
        assert said[0].startswith("The api ended (exit code -9)")
        assert said[0].endswith(f"It is started again in {wait_s} s.")
        assert said[1] == "The api is started again."
    assert supervisor.watch() == []


def test_a_second_request_kills(folder: Folder) -> None:
    interrupts = Interrupts()
    supervisor = Supervisor(folder, interrupts)
    supervisor.start(part(folder, "stubborn", STUBBORN))
    (stubborn,) = supervisor.parts
    until(stubborn.log.read_text)
    interrupts.count = 2
    supervisor.stop(lambda _: None)
    assert stubborn.process is not None
    assert stubborn.process.returncode == -signal.SIGKILL


def test_children_die_with_us(folder: Folder, tmp_path: Path) -> None:
    """Killed with -9, the parent can stop nothing: Linux tells the child."""
    program = tmp_path / "parent.py"
    program.write_text(
        "import os, pathlib, sys, time\n"
        "from standalone.supervisor import spawn\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        f"child = spawn([sys.executable, '-c', {FOR_EVER!r}], folder / 'log', dict(os.environ), folder)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, _ = psutil.wait_procs([child], DEADLINE_S)
    assert gone
