"""An upgrade as docs/production.md tells it, under load: what every wallbox noted is what is in the database."""

import asyncio
import contextlib
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.deploy.compose import Production
from tests.harness.person import Person
from tests.harness.release import NEXT, revision_after
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox

GARAGES = 24
METERED = 3
"""MeterValues of each session."""
MADE = "made under load "
EXPAND = """
    op.execute("alter table transactions add column novelty bigint not null default 7")
    op.execute("create table novelties (id bigint primary key)")
"""
CONTRACT = """
    op.execute("drop table novelties")
    op.execute("alter table transactions drop column novelty")
"""
BREAK = """
    op.execute("create table novelties (id bigint primary key)")
    op.execute("select 1 / 0")
"""
ROLLED = ("listener", "api", "ocpp_gateway")
PRESENT, LATER = "voltuj-api:ci-present", "voltuj-api:ci-later"
OVERRIDE = """
services:
  migrate:
    build: {{ context: "{folder}", dockerfile: Dockerfile }}
  ocpp_gateway:
    build: {{ labels: {{ release: next }} }}
"""
STORED = """
select c.identity, t.ocpp_transaction_id, t.status, t.energy_wh, count(distinct m.sampled_at)
from transactions t join charge_points c on c.id = t.charge_point_id left join meter_values m on m.transaction_id = t.id
where c.name like '{garages}%' group by 1, 2, 3, 4
"""


@contextlib.contextmanager
def release(production: Production, folder: Path, upgrade: str, downgrade: str) -> Iterator[Path]:
    """A release with one more revision, to be built by `./upgrade`: the compose file to lay over the present one."""
    folder.mkdir()
    (folder / "next.py").write_text(revision_after(upgrade, downgrade=downgrade))
    (folder / "Dockerfile").write_text(f"FROM {PRESENT} AS production\nCOPY next.py /voltuj/api/migrations/versions/\n")
    override = folder / "override.yaml"
    override.write_text(OVERRIDE.format(folder=folder))
    docker("tag", "voltuj-api:ci", PRESENT)
    try:
        yield override
    finally:
        docker("rmi", "--force", PRESENT)
        production.compose("build")


def docker(*arguments: str) -> None:
    """A docker command that must succeed."""
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


@dataclass
class Garage:
    """A wallbox that charges without end, and what it noted of the sessions that were acknowledged."""

    wallbox: Wallbox
    card: str
    noted: list[tuple[str, int, str, int, int]] = field(default_factory=list)

    async def charge(self, end: asyncio.Event) -> None:
        """Sessions of 30 Wh until `end`; one that has begun is brought to its end."""
        register_wh = 1000
        while not end.is_set():
            started = await self.wallbox.start(self.card, register_wh)
            for step in range(1, METERED + 1):
                await self.wallbox.meter(started.transaction_id, register_wh + 10 * step)
            register_wh += 10 * METERED
            await self.wallbox.stop(started.transaction_id, register_wh, self.card)
            self.noted.append((self.wallbox.identity, started.transaction_id, "stopped", 10 * METERED, METERED))


@dataclass
class Load:
    """Garages that charge and an app that writes."""

    name: str
    garages: list[Garage]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    """Labels of the cards for which the api said that they are made."""

    def sessions(self) -> int:
        """How many have been brought to their end."""
        return sum(len(garage.noted) for garage in self.garages)

    async def grows(self) -> None:
        """Waits until every wallbox has ended a session since, and the app has written."""
        before, cards = [len(garage.noted) for garage in self.garages], len(self.cards)

        async def has_grown() -> bool:
            for task in self.tasks:
                if task.done():
                    task.result()
            sessions = [len(garage.noted) for garage in self.garages]
            return all(now > then for now, then in zip(sessions, before, strict=True)) and len(self.cards) > cards

        await eventually(has_grown, "sessions of every wallbox to go on", 120)


async def _make_cards(owner: Person, made: list[str], end: asyncio.Event) -> None:
    """An app that repeats each request under the same key until it is answered."""
    while not end.is_set():
        label, key = MADE + uuid.uuid4().hex, {"Idempotency-Key": uuid.uuid4().hex}
        status = 0
        while status != 201:
            with contextlib.suppress(httpx.TransportError):
                answer = await owner.http.post("/id-tags", json={"label": label, "kind": "card"}, headers=key)
                status = answer.status_code
                assert status in {201, 409, 502, 503, 504}, answer.text
        made.append(label)


@contextlib.asynccontextmanager
async def load(production: Production, owner: Person) -> AsyncIterator[Load]:
    """Garages that charge, and an app that writes, until the block ends."""
    name = f"Load {uuid.uuid4().hex[:8]}"
    made = [await owner.wallbox(name=f"{name} {number}") for number in range(GARAGES)]
    boxes = [Wallbox(production.ocpp_url, one["identity"], one["key"], tls=production.tls) for one in made]
    running, end = Load(name, [Garage(box, await owner.card()) for box in boxes]), asyncio.Event()
    for box in boxes:
        await box.connect()
        await box.boot()
    tasks = running.tasks
    tasks += [asyncio.create_task(garage.charge(end)) for garage in running.garages]
    tasks.append(asyncio.create_task(_make_cards(owner, running.cards, end)))
    try:
        yield running
        end.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for box in boxes:
            await box.disconnect()


def stored(production: Production, garages: str) -> list[tuple[str, int, str, int, int]]:
    """What the database has of these garages."""
    written = production.query(STORED.format(garages=garages))
    return [(row[0], int(row[1]), row[2], int(row[3]), int(row[4])) for row in written]


async def labels(owner: Person) -> list[str]:
    """Of all cards that the owner has."""
    found, cursor = [], None
    while True:
        page = await owner.get("/id-tags", limit=100, **({"cursor": cursor} if cursor else {}))
        found += [card["label"] for card in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def running_images(production: Production) -> dict[str, set[str]]:
    """Which ones api, listener and gateway run from."""
    return {name: {container["Image"] for container in production.containers(name)} for name in ROLLED}


def containers(production: Production) -> dict[str, list[str]]:
    """Of all services that go on running, with when each was started."""
    services = (*ROLLED, "apache", "postgres", "redis")
    return {
        name: sorted(each["Id"] + each["State"]["StartedAt"] for each in production.containers(name))
        for name in services
    }


def settle(production: Production, *options: str) -> None:
    """Everything as a plain `up` has it, whatever was done before with single services."""
    production.compose("up", "--detach", "--wait", *options)


def scale(production: Production, **replicas: int) -> None:
    """`docker compose up --scale ...`."""
    wanted = [part for name, count in replicas.items() for part in ("--scale", f"{name}={count}")]
    production.compose("up", "--detach", "--no-recreate", "--wait", *wanted)


@contextlib.asynccontextmanager
async def undone(production: Production) -> AsyncIterator[None]:
    """What the later release did to the database is taken back in the end, for the tests that follow."""
    try:
        yield
    finally:
        await asyncio.to_thread(production.upgrade, "--back")
        down = ("run", "--rm", "--no-deps", "-T", "migrate", "alembic", "downgrade", "-1")
        later = {"VOLTUJ_VERSION": LATER.rpartition(":")[2]}
        await asyncio.to_thread(production.compose, *down, environment=later, check=False)
        docker("rmi", "--force", LATER)
        await asyncio.to_thread(scale, production, listener=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_upgrade_and_the_way_back_lose_nothing(production: Production, owner: Person, tmp_path: Path) -> None:
    await asyncio.to_thread(scale, production, listener=2)
    await asyncio.to_thread(settle, production, "--scale", "listener=2")
    before, apache = running_images(production), containers(production)["apache"]
    with release(production, tmp_path / "next", EXPAND, CONTRACT) as next_release:
        async with load(production, owner) as running:
            await running.grows()
            async with undone(production):
                upgraded = await asyncio.to_thread(production.upgrade, override=next_release)
                assert upgraded.returncode == 0, upgraded.stderr
                docker("tag", "voltuj-api:ci", LATER)
                now = running_images(production)
                assert all(now[name].isdisjoint(before[name]) for name in ROLLED), "all were replaced"
                assert containers(production)["apache"] == apache, "it was not, and so tunnels were cut once"
                assert len(production.containers("listener")) == 2
                assert production.query("select version_num from alembic_version") == [[NEXT]]
                await running.grows()
                back = await asyncio.to_thread(production.upgrade, "--back")
                assert back.returncode == 0, back.stderr
                assert running_images(production) == before
                as_it_was = containers(production)
                await asyncio.to_thread(settle, production, "--scale", "listener=2")
                assert "of a later release" in production.logs("migrate")
                assert containers(production) == as_it_was, "nothing was started again"
                await running.grows()
        noted = [session for garage in running.garages for session in garage.noted]
        assert len(noted) > 3 * GARAGES
        assert sorted(await asyncio.to_thread(stored, production, running.name)) == sorted(noted)
        assert [garage.wallbox.call_errors for garage in running.garages if garage.wallbox.call_errors] == []
        made = [label for label in await labels(owner) if label.startswith(MADE)]
        assert sorted(made) == sorted(running.cards)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_migration_that_fails_leaves_the_old_release_answering(
    production: Production, owner: Person, tmp_path: Path
) -> None:
    """ADR 0015. What somebody types afterwards does not take the broken release either."""
    created, card = await owner.wallbox(), await owner.card()
    await asyncio.to_thread(settle, production)
    before = containers(production)
    [[revision]] = production.query("select version_num from alembic_version")
    with release(production, tmp_path / "broken", BREAK, "pass") as broken:
        async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
            await wallbox.boot()
            started = await wallbox.start(card, 1000)
            failed = await asyncio.to_thread(production.upgrade, override=broken)
            assert failed.returncode == 1
            assert "division by zero" in failed.stderr
            assert "The migration failed. No service was replaced" in failed.stderr
            assert production.query("select version_num, to_regclass('novelties') from alembic_version") == [
                [revision, ""]
            ]
            assert (await owner.http.get("/me")).status_code == 200
            await asyncio.to_thread(production.compose, "up", "--detach", "--wait")
            assert containers(production) == before
            await wallbox.meter(started.transaction_id, 1010)
            await wallbox.stop(started.transaction_id, 1020, card)
            assert wallbox.closes == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_where_somebody_typed_up_instead_the_way_back_brings_the_old_release(
    production: Production, owner: Person, tmp_path: Path
) -> None:
    """What ADR 0015 observes of `docker compose up`: it takes the old containers away before it starts `migrate`."""
    created, card = await owner.wallbox(), await owner.card()
    async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000)
        with release(production, tmp_path / "broken", BREAK, "pass") as broken:
            up = ("up", "--detach", "--build")
            failed = await asyncio.to_thread(production.compose, *up, check=False, override=broken)
            assert failed.returncode != 0
            assert 'service "migrate" didn\'t complete successfully' in failed.stderr
            assert [each["State"]["Status"] for each in production.containers("api")] == ["created"]
        back = await asyncio.to_thread(production.upgrade, "--back")
        assert back.returncode == 0, back.stderr
        await wallbox.meter(started.transaction_id, 1010)
        await wallbox.stop(started.transaction_id, 1020, card)
    [transaction] = (await owner.get("/transactions"))["items"]
    assert (transaction["status"], transaction["energy_wh"]) == ("stopped", 20)


async def test_an_upgrade_with_wrong_settings_touches_nothing(production: Production, owner: Person) -> None:
    before = containers(production)
    wrong = {"POSTGRES_PASSWORD": "short"}
    refused = await asyncio.to_thread(production.upgrade, environment=wrong)
    assert refused.returncode == 1
    assert "POSTGRES_PASSWORD is shorter than 24 characters" in refused.stderr
    assert "The settings are wrong. No service was replaced" in refused.stderr
    assert containers(production) == before
    assert (await owner.http.get("/me")).status_code == 200
