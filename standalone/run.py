"""The life of an installation on one machine: set up, started in order, watched, stopped in order.

How each part is made lives in the other files.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable

import asyncpg

from standalone.databases import DatabaseUrls, create_database
from standalone.demo import Demo, DemoClient
from standalone.display import Display
from standalone.folder import Folder, Secrets
from standalone.interrupts import Interrupts
from standalone.network import check_port
from standalone.problems import Problem
from standalone.servers import Server, start_postgres, start_redis
from standalone.services import Services, addresses, run_migrations, wait_until_ready
from standalone.settings import Environment, Options
from standalone.supervisor import Part, Supervisor

LOOK_S = 0.5
STATUS_EVERY_S = 2.0


def run(options: Options, environment: Environment, display: Display, interrupts: Interrupts) -> None:
    """Runs until somebody asks to stop; everything that was started is stopped when this returns or raises.

    Raises:
        Problem, ServerError: it cannot start.
        Interrupted: somebody asked to stop.
    """
    with Folder(options.data) as folder:
        for name in folder.end_left_overs():
            display.say(f"Ended {name}, left over from a run that was killed.")
        _check_ports(options)
        supervisor = Supervisor(folder, interrupts)
        try:
            _set_up_and_watch(options, environment, folder, supervisor, display=display)
        finally:
            display.end_status()
            supervisor.stop(lambda name: display.say(f"Stopping {name}"))


def _check_ports(options: Options) -> None:
    wanted = [
        (options.api_host, options.http_port, "--http-port"),
        (options.gateway_host, options.ocpp_port, "--ocpp-port"),
        ("127.0.0.1", options.operations_port, "--operations-port"),
    ]
    ports = [port for _, port, _ in wanted]
    for host, port, option in wanted:
        if ports.count(port) > 1:
            raise Problem(f"Port {port} is chosen twice: choose another with {option}.")
        check_port(host, port, option)


def _set_up_and_watch(
    options: Options, environment: Environment, folder: Folder, supervisor: Supervisor, *, display: Display
) -> None:
    secrets = folder.secrets()
    database = _database(environment, folder, supervisor, secrets, display=display)
    redis_url = _redis(environment, folder, supervisor, display)
    with display.step("Migrating the database"):
        run_migrations(database)
    jwt_secret = environment.jwt_secret or secrets.jwt_secret
    services = Services(folder, options, environment, database, redis_url, jwt_secret)
    with display.step("Starting listener, api and gateway"):
        for part in services.parts():
            supervisor.start(part)
        wait_until_ready(options, supervisor.check_all_run, str(folder.logs))
    if not options.demo:
        display.table(_rows(options, folder, None))
        _watch(supervisor, display, None)
    with DemoClient(addresses(options).api, folder.demo) as client:
        with display.step("Setting up the demo"):
            demo = client.set_up()
            supervisor.start(services.simulator(demo.identity, demo.key, [demo.owner.tag, demo.guest.tag]))
        display.table(_rows(options, folder, demo))
        _watch(supervisor, display, client)


def _database(
    environment: Environment, folder: Folder, supervisor: Supervisor, secrets: Secrets, *, display: Display
) -> DatabaseUrls:
    if environment.database_url:
        return DatabaseUrls(owner=environment.migrations_database_url, application=environment.database_url)
    with display.step("Starting PostgreSQL"):
        log, begin = folder.postgres / "postgres.log", _Begin(lambda: start_postgres(folder.postgres))
        supervisor.start(Part("PostgreSQL", log, begin, signal.SIGINT, hard_signal=signal.SIGQUIT, cleans_up=True))
        try:
            return asyncio.run(create_database(begin.url, "voltuj", secrets.database_password))
        except (asyncpg.PostgresError, OSError) as error:
            raise Problem(f"The database cannot be made: {error} (log: {log})") from error


def _redis(environment: Environment, folder: Folder, supervisor: Supervisor, display: Display) -> str:
    if environment.redis_url:
        return environment.redis_url
    with display.step("Starting Redis"):
        begin = _Begin(lambda: start_redis(folder.redis))
        supervisor.start(Part("Redis", folder.redis / "redis.log", begin, cleans_up=True))
    return begin.url


class _Begin:
    """Starts a server as a part; its URL is the same at every start."""

    def __init__(self, start: Callable[[], Server]) -> None:
        self._start = start
        self.url = ""

    def __call__(self) -> "subprocess.Popen[bytes]":
        server = self._start()
        self.url = server.url
        return server.process


def _rows(options: Options, folder: Folder, demo: Demo | None) -> list[tuple[str, str]]:
    where = addresses(options)
    rows = [("API, with docs", f"{where.api}/docs")]
    if demo is None:
        rows.append(("Wallboxes connect to", f"{where.wallbox}/<identity> (OCPP 1.6J)"))
    else:
        rows += [
            ("Wallbox connects to", f"{where.wallbox}/{demo.identity} (OCPP 1.6J)"),
            ("Wallbox key", demo.key),
            ("Owner", f"{demo.owner.email}  password {demo.owner.password}"),
            ("Guest", f"{demo.guest.email}  password {demo.guest.password}"),
        ]
    return [*rows, ("Metrics", f"{where.api}/metrics"), ("", f"{where.operations}/metrics"),
            ("Data and logs", f"{folder.path}"), ("Stop", "Ctrl-C")]  # fmt: skip


def _watch(supervisor: Supervisor, display: Display, client: DemoClient | None) -> None:
    """Until somebody asks to stop."""
    news, next_status = "", 0.0
    while True:
        for sentence in supervisor.watch():
            display.say(sentence)
        if client is not None and time.monotonic() >= next_status:
            news = _news(client)
            next_status = time.monotonic() + STATUS_EVERY_S
        display.status(f"{_states(supervisor)}{news}")
        time.sleep(LOOK_S)


def _states(supervisor: Supervisor) -> str:
    down = [part.name for part in supervisor.parts if not part.running]
    return f"{', '.join(down)} DOWN" if down else f"{len(supervisor.parts)} parts up"


def _news(client: DemoClient) -> str:
    """What the owner sees now, as the second half of the living line."""
    try:
        status = client.status()
    except Problem as problem:
        return f" · {problem}"
    last = f", last {status.last}" if status.last else ""
    return f" · {status.online}/{status.charge_points} online · {status.transactions} sessions{last}"
