"""The development stack as a newcomer uses it: one command on a fresh clone, then saved files, revisions."""

import asyncio
import functools
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.compose import REPOSITORY, Project
from tests.harness.stack import eventually

PORTS = {
    "DEV_API_PORT": "18000",
    "DEV_OCPP_PORT": "19001",
    "DEV_GATEWAY_OPERATIONS_PORT": "19101",
    "DEV_POSTGRES_PORT": "15432",
    "DEV_API_DEBUG_PORT": "15678",
    "DEV_LISTENER_DEBUG_PORT": "15679",
    "DEV_GATEWAY_DEBUG_PORT": "15680",
}
OWN = {"MESSAGE_LOG_DAYS": "77"}
"""A setting that somebody adds to a copy of `.env-example`."""
API = f"http://127.0.0.1:{PORTS['DEV_API_PORT']}"
GATEWAY = f"http://127.0.0.1:{PORTS['DEV_GATEWAY_OPERATIONS_PORT']}"
SOMEBODY = 12345
"""A user of the host who is neither root nor known in the images."""


@pytest.fixture
async def development(tmp_path: Path) -> AsyncIterator[Project]:
    """A clone of somebody's, in which the stack was started and nothing else was done."""
    clone = tmp_path / "clone"
    await asyncio.to_thread(_copy_repository, clone)
    settings = clone / ".env"
    added = "".join(f"{name}={value}\n" for name, value in {**PORTS, **OWN}.items())
    settings.write_text((clone / ".env-example").read_text() + added)
    os.chown(settings, clone.stat().st_uid, clone.stat().st_gid)
    project = Project("voltuj-ci-dev", "docker-compose.dev.yaml", clone, settings)
    with_demo(project).down()
    try:
        await asyncio.to_thread(project.compose, "up", "--build", "--detach")
        yield project
    finally:
        with_demo(project).down()


def with_demo(project: Project) -> Project:
    """The same with its profile: without it compose does not know the service."""
    return replace(project, command=[*project.command, "--profile", "demo"])


def _copy_repository(clone: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(lambda name: (REPOSITORY / name).is_file(), listed.stdout.splitlines()):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, clone / name)
    if os.geteuid() == 0:
        for path in (clone, *clone.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY)


async def _get(url: str) -> httpx.Response | None:
    async with httpx.AsyncClient(timeout=5) as http:
        try:
            return await http.get(url)
        except httpx.HTTPError:
            return None


async def _answers(url: str, status: int, text: str = "") -> bool:
    answer = await _get(url)
    return answer is not None and answer.status_code == status and text in answer.text


def _save(file: Path, old: str, new: str) -> None:
    """Changes a file as an editor does, keeping its owner."""
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))


async def _exec(project: Project, *command: str) -> Any:
    """`docker compose exec api ...`, typed where only the production file would be found by itself."""
    plain = Project(project.name, "docker-compose.yaml", project.folder, project.environment_file, project.command)
    return await asyncio.to_thread(plain.compose, "exec", "-T", "api", *command, check=False)


async def _debugger_greets(port: int) -> bool:
    """The debug adapter speaks first. It is away while its service starts again, as after a new revision."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        greeting = await reader.read(64)
        writer.close()
        await writer.wait_closed()
    except OSError:
        return False
    return greeting.startswith(b"Content-Length: ")


async def _demo_charges(project: Project) -> None:
    """Its profile makes people and a wallbox; the owner logs in as its log says, sees a session, and gets a mail."""
    project = with_demo(project)
    await asyncio.to_thread(project.compose, "up", "--build", "--detach", "demo")

    async def log_ins() -> list[tuple[str, str]]:
        return re.findall(r"Log in as (\S+) with (\S+)", await asyncio.to_thread(project.logs, "demo"))

    [(email, password), _] = await eventually(log_ins, "the demo to say how to log in", 120)
    async with httpx.AsyncClient(base_url=f"{API}/api/v1", timeout=10) as http:
        answer = await http.post("/auth/token", data={"username": email, "password": password})
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

        async def sessions() -> Any:
            return (await http.get("/transactions")).json()["items"]

        await eventually(sessions, "the demo's wallbox to charge", 120)
        asked = await http.post("/auth/reset-request", json={"email": email})
        assert asked.status_code == 202, asked.text

    async def mails() -> bool:
        return any((project.folder / "mails").glob("*"))

    await eventually(mails, "the mail in the folder `mails`", 60)


@pytest.mark.parametrize("command", [["docker", "compose"], ["docker-compose"]], ids=" ".join)
@pytest.mark.parametrize("settings", ["", (REPOSITORY / ".env-example").read_text()], ids=["none", "example"])
@pytest.mark.parametrize("file", ["docker-compose.yaml", "docker-compose.dev.yaml"])
def test_compose_reads_the_files_without_a_word(
    environment_file: Path, file: str, settings: str, command: list[str]
) -> None:
    """No variable is mandatory, and none is warned of at each command."""
    if not shutil.which(command[0]):
        pytest.skip(f"there is no {command[0]} here")
    environment_file.write_text(settings)
    project = Project("voltuj-ci-read", file, REPOSITORY, environment_file, command)
    read = project.compose("config", "--quiet")
    assert read.stdout + read.stderr == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_day_of_development(development: Project) -> None:
    await eventually(lambda: _answers(f"{API}/readyz", 503, "alembic upgrade head"), "the missing command", 120)
    assert await _answers(f"{API}/healthz", 200)

    migrated = await _exec(development, "alembic", "upgrade", "head")
    assert migrated.returncode == 0, migrated.stderr
    await eventually(lambda: _answers(f"{API}/readyz", 200), "the api to be ready", 60)
    await eventually(lambda: _answers(f"{GATEWAY}/readyz", 200), "the gateway to be ready", 60)
    await _demo_charges(development)

    _save(development.folder / "api/app.py", 'title="Voltuj"', 'title="Saved"')
    await eventually(lambda: _answers(f"{API}/api/v1/openapi.json", 200, '"Saved"'), "the saved api", 60)
    _save(development.folder / "ocpp_gateway/metrics.py", "Charge points connected now", "Saved text")
    await eventually(lambda: _answers(f"{GATEWAY}/metrics", 200, "Saved text"), "the saved gateway", 60)

    versions = development.folder / "api/migrations/versions"
    before = set(versions.glob("*.py"))
    made = await _exec(development, "alembic", "revision", "--autogenerate", "-m", "a saved table")
    assert made.returncode == 0, made.stderr
    [revision] = set(versions.glob("*.py")) - before
    owner = development.folder.stat()
    assert (revision.stat().st_uid, revision.stat().st_gid) == (owner.st_uid, owner.st_gid)
    strangers = [p for p in development.folder.rglob("*") if p.stat().st_uid != owner.st_uid]
    assert strangers == []

    for name in ("DEV_API_DEBUG_PORT", "DEV_LISTENER_DEBUG_PORT", "DEV_GATEWAY_DEBUG_PORT"):
        await eventually(functools.partial(_debugger_greets, int(PORTS[name])), name, 60)
    told = development.compose("exec", "-T", "listener", "printenv", "MAIL_DIR", *OWN, "JWT_SECRET").stdout.split()
    assert told == ["/voltuj/mails", *OWN.values(), "development-only-development-only-development"]
    if shutil.which("docker-compose"):
        hyphen = Project(development.name, "docker-compose.yaml", development.folder, development.environment_file,
                         ["docker-compose"])  # fmt: skip
        current = await _exec(hyphen, "alembic", "current")
        assert current.returncode == 0, current.stderr
