"""How each of our programs is started: its command and its environment, and how to see that it is ready."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from standalone.databases import REPOSITORY, DatabaseUrls, alembic
from standalone.folder import Folder
from standalone.network import in_url, lan_address, reachable
from standalone.problems import Problem
from standalone.settings import Environment, Options
from standalone.supervisor import POLL_S, Part, spawn

SECRET = {"DATABASE_URL", "MIGRATIONS_DATABASE_URL", "JWT_SECRET", "SIMULATOR_KEY"}
READY_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 5.0
SESSION_S, METER_INTERVAL_S, PAUSE_S, POWER_W = 30, 5, 10, 22_000
"""The demo's car: short sessions, so that the first finished one is there while people still watch."""


@dataclass(frozen=True)
class Addresses:
    """Where the parts of this installation are."""

    api: str
    wallbox: str
    """What is typed into a wallbox, before the identity."""
    wallbox_here: str
    operations: str


def addresses(options: Options) -> Addresses:
    """Where everything will be with these options."""
    api = f"http://{in_url(reachable(options.api_host))}:{options.http_port}"
    here = reachable(options.gateway_host)
    outside = lan_address() if options.gateway_host in {"0.0.0.0", "::", ""} else here  # noqa: S104 - compares only
    return Addresses(
        api,
        f"ws://{in_url(outside)}:{options.ocpp_port}",
        f"ws://{in_url(here)}:{options.ocpp_port}",
        f"http://127.0.0.1:{options.operations_port}",
    )


@dataclass(frozen=True)
class Services:
    """Makes the parts of one installation."""

    folder: Folder
    options: Options
    environment: Environment
    database: DatabaseUrls
    redis_url: str
    jwt_secret: str

    def parts(self) -> list[Part]:
        """Listeners, api, gateway: in the order in which they are started."""
        options, where = self.options, addresses(self.options)
        names = ["listener"] if options.listeners == 1 else [f"listener {n + 1}" for n in range(options.listeners)]
        listeners = [self._part(name, ["api.listener"], self._api_environment(where)) for name in names]
        gateway = {
            "GATEWAY_HOST": options.gateway_host,
            "GATEWAY_PORT": str(options.ocpp_port),
            "GATEWAY_OPERATIONS_HOST": "127.0.0.1",
            "GATEWAY_OPERATIONS_PORT": str(options.operations_port),
        }
        return [
            *listeners,
            self._part("api", ["api.app"], self._api_environment(where)),
            self._part("gateway", ["ocpp_gateway"], gateway),
        ]

    def simulator(self, identity: str, key: str, id_tags: list[str]) -> Part:
        """The demo's wallbox."""
        url, state = addresses(self.options).wallbox_here, self.folder.simulator_state
        return self._part("simulator", simulator_command(url, identity, id_tags, state), {"SIMULATOR_KEY": key})

    def _api_environment(self, where: Addresses) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database.application,
            "JWT_SECRET": self.jwt_secret,
            "API_HOST": self.options.api_host,
            "API_PORT": str(self.options.http_port),
            "PUBLIC_API_URL": where.api,
            "PUBLIC_URL": where.api,
            "PUBLIC_OCPP_URL": where.wallbox,
            "FILES_DIR": str(self.folder.path / "files"),
            "EMAIL_VERIFICATION": "off",
            "MAIL_DIR": str(self.folder.path / "mails"),
        }

    def _part(self, name: str, module: list[str], environment: dict[str, str]) -> Part:
        """No child gets the owner's URL, nor more of our secrets than it needs."""
        inherited = {key: value for key, value in self.environment.all.items() if key not in SECRET}
        merged = {**inherited, "PYTHONUNBUFFERED": "1", "REDIS_URL": self.redis_url, **environment}
        log = self.folder.log(name.replace(" ", "-"))
        command = [sys.executable, "-m", *module]
        return Part(name, log, partial(spawn, command, log, merged, REPOSITORY))


def simulator_command(url: str, identity: str, id_tags: list[str], state: Path) -> list[str]:
    """The demo's wallbox as a module with its arguments; the key goes into SIMULATOR_KEY."""
    arguments = ["simulator", "--plain", "--url", url, "--identity", identity]
    for tag in id_tags:
        arguments += ["--id-tag", tag]
    arguments += ["--power", str(POWER_W), "--duration", str(SESSION_S), "--pause", str(PAUSE_S)]
    return [*arguments, "--meter-interval", str(METER_INTERVAL_S), "--state", str(state)]


def wait_until_ready(options: Options, check: Callable[[], None], logs: str) -> None:
    """Waits for the api and the gateway to say so themselves; `check` raises where one has ended.

    Raises:
        Problem: it takes too long.
    """
    where, end, answer = addresses(options), time.monotonic() + READY_TIMEOUT_S, ""
    with httpx.Client(timeout=REQUEST_TIMEOUT_S, trust_env=False) as client:
        for name, url in (("api", where.api), ("gateway", where.operations)):
            while (answer := _readiness(client, f"{url}/readyz")) != "":
                check()
                if time.monotonic() > end:
                    raise Problem(f"The {name} does not get ready: {answer} (logs: {logs})")
                time.sleep(POLL_S)


def _readiness(client: httpx.Client, url: str) -> str:
    """Empty, or why not."""
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return f"{url} does not answer ({error})."
    return "" if answer.status_code == httpx.codes.OK else f"{url} answers {answer.status_code}: {answer.text[:200]}"


def run_migrations(urls: DatabaseUrls) -> None:
    """`alembic upgrade head`.

    Raises:
        Problem: with the last line that it said.
    """
    result = alembic(urls, "upgrade", "head")
    if result.returncode != 0:
        lines = [line for line in f"{result.stdout}\n{result.stderr}".splitlines() if line.strip()]
        raise Problem(f"The database cannot be migrated: {lines[-1].strip() if lines else 'alembic said nothing'}")
