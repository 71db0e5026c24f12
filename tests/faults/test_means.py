"""What the campaign breaks the stack with does what it says: cables, clocks, failpoints, and the table of them."""

import asyncio
import itertools
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.campaign.__main__ import coverage
from tests.faults.campaign.campaign import Report
from tests.faults.campaign.clocks import Clock, compile_library
from tests.faults.campaign.namespaces import Cable, are_possible
from tests.faults.campaign.traps import HttpTap, KilledError, Trap
from tests.faults.campaign.troubles import MOMENTS, Failpoints
from tests.harness.stack import eventually

ECHO = """
import asyncio, sys
async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
async def serve():
    server = await asyncio.start_server(echo, sys.argv[1], 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(serve())
"""
TELL_TIME = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""
HEAD = b"POST /api/v1/operator/bank-statements HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
OTHER = b"GET /api/v1/credit HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def echo_inside(cable: Cable) -> AsyncIterator[int]:
    """The port of an echo server in the network at the end of the cable."""
    process = await asyncio.create_subprocess_exec(
        *(*cable.inside, sys.executable, "-c", ECHO, cable.there), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    yield int(await process.stdout.readline())
    process.kill()
    await process.communicate()


def own_addresses() -> str:
    return subprocess.check_output(["ip", "address"], text=True)


@pytest.mark.skipif(not are_possible(), reason="this machine permits no network namespaces")
async def test_a_pulled_cable_is_silent_and_what_was_sent_arrives_afterwards() -> None:
    with Cable() as cable:
        async with echo_inside(cable) as port:
            reader, writer = await asyncio.open_connection(cable.there, port)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            cable.pull()
            writer.write(b"while")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.5)
            cable.plug()
            assert await asyncio.wait_for(reader.readexactly(5), 20) == b"while"
            writer.close()
            await writer.wait_closed()


@pytest.mark.skipif(not are_possible(), reason="this machine permits no network namespaces")
async def test_a_cable_leaves_nothing_behind() -> None:
    with Cable() as cable:
        assert cable.here in own_addresses()

    async def gone() -> bool:
        return cable.here not in own_addresses()

    await eventually(gone, "the cable to be gone")


def test_a_clock_moves_while_its_process_runs(tmp_path: Path) -> None:
    library = compile_library(tmp_path)
    if library is None:
        pytest.skip("this machine has no C compiler")
    clock = Clock(library, tmp_path / "clock")
    process = subprocess.Popen(
        [sys.executable, "-c", TELL_TIME],
        env=clock.settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    apart = []
    for ahead_s in (0, 1000, -1000, 0):
        clock.move(ahead_s)
        process.stdin.write("now\n")
        day, monotonic = map(float, process.stdout.readline().split())
        apart.append(day - monotonic)
    process.communicate()
    steps = [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(apart)]
    assert steps == [1, -2, 1]


def test_http_is_received_when_it_is_whole_and_answered_on_the_same_connection() -> None:
    trap = Trap()
    tap = HttpTap(trap)
    for chunk, received in ((HEAD[:70], 0), (HEAD[70:] + b"ab", 0), (b"cd", 1)):
        tap.before_server(chunk)
        tap.after_server()
        assert trap.seen["top_up", "received"] == received
    for _ in range(2):
        tap.before_process(b"HTTP/1.1 201 Created\r\n")
        tap.after_process()
    tap.before_server(OTHER)
    tap.after_server()
    tap.before_process(b"HTTP/1.1 200 OK\r\n")
    tap.after_process()
    points = ("received", "before_answer", "after_answer")
    assert trap.seen == {("top_up", point): 1 for point in points}


def test_a_process_dies_at_the_moment_that_is_armed() -> None:
    killed: list[bool] = []
    trap = Trap(lambda: killed.append(True), armed=("top_up", "before_answer"))
    tap = HttpTap(trap)
    tap.before_server(HEAD + b"abcd")
    tap.after_server()
    assert not killed
    with pytest.raises(KilledError):
        tap.before_process(b"HTTP/1.1 201 Created\r\n")
    assert killed
    assert trap.armed is None


def test_failpoints_that_were_not_hit_come_first() -> None:
    failpoints = Failpoints(random.Random(1))
    for moment in MOMENTS[3:]:
        failpoints.hits[moment] += 1
    assert sorted(failpoints.next() for _ in range(3)) == sorted(MOMENTS[:3])
    failpoints.hits.update(MOMENTS[:3])
    assert sorted(failpoints.next() for _ in MOMENTS) == sorted(MOMENTS)


def test_a_campaign_says_which_failpoints_it_left_out() -> None:
    report = Report(seed=1, wanted=1, missed=[*MOMENTS[:2]])
    report.failpoints.update(MOMENTS[2:])
    lines = coverage(report)
    assert lines[0] == f"killed at {len(MOMENTS) - 2} of {len(MOMENTS)} failpoints:"
    assert lines[-1] == f"NOT COVERED: {' '.join(MOMENTS[0])}, {' '.join(MOMENTS[1])}"
    report.missed = []
    assert not any("NOT COVERED" in line for line in coverage(report))
