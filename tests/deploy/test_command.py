"""The `voltuj` command as docs/production.md tells an operator to type it, in containers of the production stack."""

import asyncio
import shutil
import stat
from pathlib import Path

import pytest

from tests.deploy.compose import REPOSITORY, Production
from tests.harness.person import PASSWORD, Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox

OPERATOR = "operator@example.org"


def as_owner_of_the_database(folder: Path) -> list[str]:
    """`docker compose run ... migrate voltuj`, with a folder of the host for the backup."""
    owner = folder.stat()
    user = f"{owner.st_uid}:{owner.st_gid}"
    return ["run", "--rm", "--no-deps", "-T", "--user", user, "-v", f"{folder}:/backup", "migrate", "voltuj"]


async def charge(production: Production, owner: Person) -> None:
    """A session that is settled."""
    created, card = await owner.wallbox(), await owner.card()
    async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000)
        await wallbox.meter(started.transaction_id, 1040)
        await wallbox.stop(started.transaction_id, 1050, card)


def test_the_doctor_finds_the_stack_well(production: Production) -> None:
    done = production.compose("exec", "-T", "api", "voltuj", "doctor", "--through", "apache", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("its certificate comes from an authority") == 2, "it is self-signed"
    assert "│ fail" not in done.stdout

    production.compose("exec", "-T", "api", "sh", "-c", "cat >/tmp/ca.pem", stdin=production.authority)
    trusting = ("--through", "apache", "--authority", "/tmp/ca.pem")
    done = production.compose("exec", "-T", "api", "voltuj", "doctor", *trusting, check=False)
    for what in ("the gateway is there", "the api is there", "connections taken", "at the newest revision"):
        assert what in done.stdout, done.stdout
    assert "│ fail" not in done.stdout


async def test_an_operator_is_made_from_a_pipe(production: Production) -> None:
    made = production.compose(
        "exec", "-T", "api", "voltuj", "create-operator", "--password-stdin", OPERATOR, stdin=f"{PASSWORD}\n"
    )
    assert "is an operator now" in made.stdout
    async with production.http() as http:
        http.base_url = http.base_url.join("/api/v1")
        operator = Person(http, OPERATOR)
        await operator.log_in()
        assert (await operator.get("/me"))["role"] == "operator"


@pytest.mark.slow
async def test_a_backup_is_drilled_and_restored_into_an_empty_installation(
    production: Production, owner: Person, tmp_path: Path
) -> None:
    await charge(production, owner)
    folder = tmp_path / "backup"
    folder.mkdir()
    operate = as_owner_of_the_database(folder)
    made = await asyncio.to_thread(production.compose, *operate, "backup", "/backup/voltuj.dump")
    assert "rows" in made.stdout
    assert stat.S_IMODE((folder / "voltuj.dump").stat().st_mode) == 0o600
    drilled = await asyncio.to_thread(production.compose, *operate, "restore", "--drill", "/backup/voltuj.dump")
    assert "can be restored" in drilled.stdout
    books = production.compose("exec", "-T", "api", "voltuj", "check-books").stdout
    assert "add up" in books

    environment = tmp_path / ".env"
    environment.write_text(
        production.environment_file.read_text() + "INSIDE_SUBNET=172.31.203.0/24\n", encoding="utf-8"
    )
    empty = Production("voltuj-ci-restored", "docker-compose.yaml", REPOSITORY, environment)
    await asyncio.to_thread(empty.down)
    try:
        await asyncio.to_thread(empty.compose, "up", "--detach", "--wait", "postgres")
        restored = await asyncio.to_thread(empty.compose, *operate, "restore", "/backup/voltuj.dump")
        assert "is restored" in restored.stdout
        checked = await asyncio.to_thread(
            empty.compose, "run", "--rm", "--no-deps", "-T", "api", "voltuj", "check-books"
        )
        assert checked.stdout == books
        again = await asyncio.to_thread(empty.compose, *operate, "restore", "/backup/voltuj.dump", check=False)
        assert again.returncode == 1
        assert "has tables already" in again.stderr
    finally:
        await asyncio.to_thread(empty.down)


@pytest.mark.slow
async def test_a_new_secret_logs_nobody_out(production: Production, owner: Person, tmp_path: Path) -> None:
    """In the folder of the installation's `.env`, which stays the host user's; the old secret is kept beside."""
    await asyncio.to_thread(production.compose, "up", "--detach", "--wait")
    kept = tmp_path / "kept.env"
    shutil.copy(production.environment_file, kept)
    folder = production.environment_file.parent
    try:
        rotate = ("run", "--rm", "--no-deps", "-T", "--user", f"{folder.stat().st_uid}:{folder.stat().st_gid}")
        command = ("-v", f"{folder}:/host", "api", "voltuj", "rotate-secret", "jwt", "--env-file", "/host/.env")
        await asyncio.to_thread(production.compose, *rotate, *command)
        before, now = (_settings(file) for file in (kept, production.environment_file))
        assert now["JWT_SECRET"] != before["JWT_SECRET"] == now["JWT_SECRET_PREVIOUS"]
        others = _started(production)
        taken = await asyncio.to_thread(production.upgrade)
        assert taken.returncode == 0, taken.stderr
        assert _started(production) == others, "only what the secret concerns was replaced"

        async def is_answered() -> bool:
            status = (await owner.http.get("/me")).status_code
            assert status in {200, 503}, "logged out"
            return status == 200

        await eventually(is_answered, "the api to answer", 60)
        await owner.log_in()
        await owner.get("/me")
    finally:
        shutil.copy(kept, production.environment_file)
        await asyncio.to_thread(production.upgrade)


def _started(production: Production) -> list[str]:
    """When what does not sign or check tokens was started."""
    others = ("postgres", "redis", "ocpp_gateway", "apache")
    return [each["State"]["StartedAt"] for name in others for each in production.containers(name)]


def _settings(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
