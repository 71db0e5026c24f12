"""What the mail tests share: mail servers and listeners as processes of their own, and rows in the outbox."""

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import pytest

from standalone.databases import REPOSITORY, DatabaseUrls


def read_mails(folder: Path) -> list[EmailMessage]:
    """The mails in a folder, in their order."""
    parsed = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]
    return [each for each in parsed if isinstance(each, EmailMessage)]


@dataclass
class MailServer:
    """A running one."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def settings(self) -> dict[str, str]:
        """How our processes reach it."""
        return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.port), "SMTP_SECURITY": "none",
                "MAIL_FROM": "Voltuj <mail@voltuj.test>"}  # fmt: skip

    def mails(self) -> list[EmailMessage]:
        """What it took, in its order."""
        return read_mails(self.folder)


StartMailServer = Callable[..., MailServer]


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[StartMailServer]:
    """Starts mail servers, which end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> MailServer:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        command = [sys.executable, "-m", "tests.harness.mail_server", str(folder), *options]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        return MailServer(process, folder, int(process.stdout.readline()))

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
async def connection(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """The restricted role."""
    connection = await asyncpg.connect(database.application)
    yield connection
    await connection.close()
