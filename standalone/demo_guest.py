"""`python -m standalone.demo_guest API OCPP FOLDER`: the demo in a stack that somebody else started, as in compose.

Waits for the api, makes the demo's people and wallbox through it, says how to log in, and becomes the simulator.
"""

import os
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

import httpx

from standalone.demo import DemoClient
from standalone.problems import Problem
from standalone.services import simulator_command

POLL_S: Final = 1.0
REQUEST_TIMEOUT_S: Final = 5.0


def wait_for(api: str) -> None:
    """Until the api is ready; says once what is missing, such as the migrations, which a person starts."""
    said = ""
    while (missing := _missing(api)) != "":
        if missing != said:
            print(f"The demo waits: {missing}", flush=True)
            said = missing
        time.sleep(POLL_S)


def _missing(api: str) -> str:
    try:
        answer = httpx.get(f"{api}/readyz", timeout=REQUEST_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return "the api does not answer."
    if answer.is_success:
        return ""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return f"the api answers {answer.status_code}."


def main() -> NoReturn:
    """The entry of the process; where all goes well it becomes the simulator."""
    api, ocpp, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    wait_for(api)
    try:
        with DemoClient(api, folder / "demo.json") as client:
            demo = client.set_up()
    except Problem as problem:
        sys.exit(str(problem))
    for person in (demo.owner, demo.guest):
        print(f"Log in as {person.email} with {person.password}", flush=True)
    command = simulator_command(ocpp, demo.identity, [demo.owner.tag, demo.guest.tag], folder / "simulator.json")
    os.environ["SIMULATOR_KEY"] = demo.key
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 - a list of our own making


if __name__ == "__main__":
    main()
