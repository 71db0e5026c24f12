"""One campaign: a real api process, people with things in it, and schemathesis against every operation of its OpenAPI.

It judges nothing by itself: the checks are schemathesis', their settings stand in `schemathesis.toml` beside this file.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from standalone.databases import REPOSITORY
from tests.fuzz.campaign import SUSPECT
from tests.harness.person import PASSWORD, Person
from tests.harness.stack import Stack

CONFIGURATION: Final = Path(__file__).with_name("schemathesis.toml")
ROLES: Final = ("owner", "guest", "operator")
SETTINGS: Final = {"ACCESS_TOKEN_MINUTES": "1440", "LOG_IN_LIMIT_ADDRESS": "off", "LOG_IN_LIMIT_ACCOUNT": "off"}


@dataclass
class Outcome:
    """What schemathesis said of one role."""

    role: str
    status: int
    text: str


async def run(stack: Stack, *, seed: int, arguments: list[str], roles: tuple[str, ...] = ROLES) -> list[Outcome]:
    """Starts the service and asks it everything as each role in turn.

    Raises:
        AssertionError: the api's log holds an error that no answer showed.
    """
    await stack.listener()
    api = await stack.api(**SETTINGS)
    people = {role: await Person.register(api.port, role) for role in ROLES}
    await _make_operator(stack.database.owner, people["operator"].email)
    ids = await _furnish(people["owner"], people["guest"])
    outcomes = []
    for role in roles:
        context: dict[str, object] = {
            "url": f"http://127.0.0.1:{api.port}",
            "email": people[role].email,
            "password": PASSWORD,
            "ids": ids,
        }
        outcomes.append(await _ask(role, context, seed, arguments, stack.folder))
    for person in people.values():
        await person.close()
    suspects = [line for line in api.log.read_bytes().splitlines() if SUSPECT.search(line)]
    assert not suspects, f"{api.log}: {suspects[:3]!r}"
    return outcomes


async def _make_operator(owner_url: str, email: str) -> None:
    connection = await asyncpg.connect(owner_url)
    await connection.execute("update users set role = 'operator' where email = $1", email)
    await connection.close()


async def _furnish(owner: Person, guest: Person) -> dict[str, str]:
    """Ids of things that exist, by the name of their path parameter; the guest may use the charge point."""
    point = await owner.wallbox()
    grant = await owner.post(f"/charge-points/{point['id']}/grants", {"email": guest.email})
    group = await owner.post("/groups", {"name": "Family"})
    home = {"name": "Home", "address": "Nerudova 12", "city": "Praha", "country": "CZE"}
    location = await owner.post("/locations", home)
    elements = [{"price_components": [{"type": "ENERGY", "price": "5.5", "step_size": 1}]}]
    tariff = await owner.post("/tariffs", {"name": "Day", "currency": "CZK", "elements": elements})
    webhook = await owner.post("/webhooks", {"url": "https://home.example.org/"})
    [tag] = (await guest.get("/id-tags"))["items"]
    return {
        "charge_point_id": point["id"],
        "grant_id": grant["id"],
        "group_id": group["id"],
        "location_id": location["id"],
        "tariff_id": tariff["id"],
        "webhook_id": webhook["id"],
        "id_tag_id": tag["id"],
        "user_id": (await guest.get("/me"))["id"],
    }


async def _ask(role: str, context: dict[str, object], seed: int, arguments: list[str], folder: Path) -> Outcome:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"]
    command += [f"{context['url']}/api/v1/openapi.json", "--seed", str(seed), "--no-color", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "OPENAPI_RUN": json.dumps(context),
            "SCHEMATHESIS_HOOKS": "tests.openapi.hooks",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        text, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return Outcome(role, process.returncode or 0, text.decode(errors="replace"))
