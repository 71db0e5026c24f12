"""`make run` as a newcomer sees it: everything starts, a car charges, Ctrl-C leaves nothing behind, data stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from standalone.servers import free_port

DEADLINE_S = 120.0
POLL_S = 0.2


class Installation:
    """One data folder with its ports, and the process that runs on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.http_port, self.ocpp_port, self.operations_port = free_port(), free_port(), free_port()
        self.output = data.with_suffix(".out")

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Started; killed at the end where the test did not stop it."""
        inherited = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
        command = [sys.executable, "-m", "standalone", "--demo", "--plain", "--data", str(self.data)]
        command += ["--http-port", str(self.http_port), "--ocpp-port", str(self.ocpp_port)]
        command += ["--operations-port", str(self.operations_port)]
        with self.output.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=inherited)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    @property
    def demo(self) -> dict[str, Any]:
        """What the installation keeps about its demo."""
        kept: dict[str, Any] = json.loads((self.data / "demo.json").read_text())
        return kept

    def get(self, path: str) -> dict[str, Any]:
        """Reads as the demo's owner."""
        return self.request("GET", path)

    def request(self, method: str, path: str) -> dict[str, Any]:
        """A request as the demo's owner."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}/api/v1", trust_env=False) as client:
            owner = self.demo["owner"]
            form = {"username": owner["email"], "password": owner["password"]}
            token = client.post("/auth/token", data=form).raise_for_status().json()["access_token"]
            answer = client.request(method, path, headers={"Authorization": f"Bearer {token}"})
            content: dict[str, Any] = answer.raise_for_status().json()
            return content

    def charging_for(self, seconds: float) -> list[dict[str, Any]]:
        """The transactions that have been running for so long."""
        begun = datetime.now(UTC) - timedelta(seconds=seconds)
        active = [one for one in self.get("/transactions")["items"] if one["status"] == "active"]
        return [one for one in active if datetime.fromisoformat(one["started_at"]) < begun]

    def finished(self) -> list[dict[str, Any]]:
        """The finished transactions, newest first."""
        return [one for one in self.get("/transactions?limit=50")["items"] if one["status"] == "stopped"]

    def until(self, process: "subprocess.Popen[bytes]", condition: Callable[[], object]) -> None:
        """Waits for `condition`, as long as the installation runs."""
        end = time.monotonic() + DEADLINE_S
        while not _holds(condition):
            assert process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(POLL_S)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except (httpx.HTTPError, OSError, LookupError):
        return False


def stop(process: "subprocess.Popen[bytes]", number: signal.Signals) -> int:
    """Sends a signal and waits for the end; nothing that it started may be left."""
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    code = process.wait(DEADLINE_S)
    _, left = psutil.wait_procs(children, 1)
    assert left == []
    return code


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "data")


@pytest.mark.slow
def test_a_car_charges_and_a_second_start_keeps_everything(installation: Installation) -> None:
    with installation.running() as process:
        installation.until(process, lambda: installation.charging_for(2))
        running = installation.charging_for(2)[0]["id"]
        installation.request("POST", f"/transactions/{running}/stop")
        installation.until(process, installation.finished)
        transaction = installation.finished()[0]
        assert transaction["energy_wh"] > 0
        assert transaction["held_reasons"] == []
        assert transaction["currency"] == "CZK"
        assert stop(process, signal.SIGINT) == 0
    shown, demo = installation.output.read_text(), installation.demo
    for secret in (demo["owner"]["password"], demo["guest"]["password"], demo["key"], demo["identity"]):
        assert secret in shown

    with installation.running() as process:
        installation.until(process, lambda: installation.get("/charge-points")["items"][0]["online"])
        assert installation.demo == demo
        assert transaction["id"] in {one["id"] for one in installation.finished()}
        assert stop(process, signal.SIGTERM) == 0


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_stops_the_next_start(installation: Installation) -> None:
    with installation.running() as process:
        installation.until(process, lambda: installation.get("/charge-points")["items"][0]["online"])
        process.kill()
        process.wait()
    with installation.running() as process:
        installation.until(process, lambda: installation.get("/charge-points")["items"][0]["online"])
        assert stop(process, signal.SIGINT) == 0


@pytest.mark.slow
def test_a_part_that_dies_is_started_again(installation: Installation) -> None:
    with installation.running() as process:
        installation.until(process, lambda: installation.get("/charge-points")["items"][0]["online"])
        for child in psutil.Process(process.pid).children():
            if "ocpp_gateway" in child.cmdline():
                child.kill()
        installation.until(process, lambda: "The gateway is started again." in installation.output.read_text())
        installation.until(process, lambda: installation.get("/charge-points")["items"][0]["online"])
        assert stop(process, signal.SIGINT) == 0
