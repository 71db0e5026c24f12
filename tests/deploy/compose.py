"""One compose project as a test sees it: commands, certificates, log-ins. What is expected of it lives in the tests."""

import asyncio
import json
import os
import secrets
import socket
import ssl
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.harness.person import PASSWORD, Person
from tests.harness.stack import eventually

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOMAIN = "charging.example.org"
OWN = "/certificates/own"
SECRETS = (
    *("POSTGRES_PASSWORD", "DATABASE_OWNER_PASSWORD", "DATABASE_API_PASSWORD"),
    *("REDIS_API_PASSWORD", "REDIS_GATEWAY_PASSWORD", "JWT_SECRET"),
)


@dataclass
class Project:
    """A compose project of a name and ports of its own, so that it can stand beside a real one."""

    name: str
    file: str
    folder: Path
    environment_file: Path
    command: list[str] = field(default_factory=lambda: ["docker", "compose"])

    def compose(
        self,
        *arguments: str,
        check: bool = True,
        environment: dict[str, str] | None = None,
        override: Path | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose ARGUMENTS` for this project; `override` is a further compose file.

        Raises:
            AssertionError: it failed, with what it said.
        """
        command = [
            *self.command,
            "--ansi",
            "never",
            "-p",
            self.name,
            "--env-file",
            str(self.environment_file),
            *("-f", self.file),
            *(("-f", str(override)) if override else ()),
        ]
        done = self._run([*command, *arguments], environment or {}, stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"compose {' '.join(arguments)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def upgrade(
        self, *arguments: str, override: Path | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`./upgrade ARGUMENTS` for this project."""
        files = [self.file, *([str(override)] if override else [])]
        own = {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_ENV_FILES": str(self.environment_file),
            "COMPOSE_FILE": ":".join(files),
            "COMPOSE_ANSI": "never",
        }
        return self._run(["./upgrade", *arguments], {**own, **(environment or {})})

    def _run(
        self, command: list[str], environment: dict[str, str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def down(self) -> None:
        """Removes containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What `docker inspect` says of each replica of a service."""
        ids = self.compose("ps", "--all", "--quiet", service).stdout.split()
        if not ids:
            return []
        inspected = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(inspected.stdout)
        return found

    def kill(self, service: str) -> None:
        """kill -9 of all that runs in one replica, from inside: after compose's own `kill` nothing is restarted."""
        self.compose("exec", "-T", service, "sh", "-c", "kill -9 -1", check=False)

    async def healthy(self, service: str, count: int = 1, deadline_s: float = 60) -> None:
        """Waits until `count` replicas are up and pass their health check."""

        async def are_healthy() -> bool:
            states = [c["State"] for c in await asyncio.to_thread(self.containers, service)]
            return [s["Running"] and s.get("Health", {}).get("Status") for s in states].count("healthy") == count

        await eventually(are_healthy, f"{service} to be healthy", deadline_s)

    def query(self, statement: str) -> list[list[str]]:
        """Rows, as text, that PostgreSQL's superuser reads."""
        command = ("psql", "--username", "postgres", "--dbname", "voltuj", "--no-align", "--tuples-only", "--command")
        done = self.compose("exec", "-T", "postgres", *command, statement)
        return [line.split("|") for line in done.stdout.splitlines()]

    def connections(self, index: int = 1) -> int:
        """How many charge points one of the gateways holds, by its own metrics."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9101/metrics').read().decode())"
        done = self.compose("exec", "-T", "--index", str(index), "ocpp_gateway", "python", "-c", script)
        [line] = [line for line in done.stdout.splitlines() if line.startswith("voltuj_gateway_connections ")]
        return int(float(line.split()[1]))

    def logs(self, *services: str) -> str:
        """What the services wrote, without anything that compose adds."""
        ids = self.compose("ps", "--all", "--quiet", *services, check=False).stdout.split()
        written = [subprocess.run(["docker", "logs", i], capture_output=True, text=True, check=True) for i in ids]
        return "".join(done.stdout + done.stderr for done in written)


@dataclass
class Production(Project):
    """The production stack; its ports are published on loopback."""

    http_port: int = 18080
    https_port: int = 18443
    ocpp_port: int = 19000
    authority: str = ""
    """Certificate of the stack's own certificate authority, PEM."""

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts the stack's own certificate authority, and nothing else."""
        return ssl.create_default_context(cadata=self.authority)

    @property
    def ocpp_url(self) -> str:
        """Where charge points connect; `localhost` is one of the certificate's names."""
        return f"wss://localhost:{self.ocpp_port}"

    def read_authority(self) -> None:
        """Learns the certificate that a wallbox is given to trust."""
        self.authority = self.compose("exec", "-T", "apache", "cat", "/certificates/self-signed/ca.pem").stdout

    def put(self, path: str, content: str) -> None:
        """Writes a file in the container of Apache, as docs/production.md tells an operator to."""
        script = 'mkdir -p "$(dirname "$0")" && printf %s "$1" >"$0"'
        self.compose("exec", "-T", "apache", "sh", "-c", script, path, content)

    def lay_down(self, files: dict[str, str]) -> None:
        """Files of the operator's own certificate: fullchain.pem, privkey.pem."""
        for name, content in files.items():
            self.put(f"{OWN}/{name}", content)

    def take_up(self) -> None:
        """Removes the operator's own certificate."""
        self.compose("exec", "-T", "apache", "rm", "-r", OWN)

    def served(self) -> str:
        """The certificate, PEM, that a wallbox is shown now."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.ocpp_port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=DOMAIN) as secure,
        ):
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"")

    async def serves(self, certificate: str) -> bool:
        """Whether wallboxes are shown this one."""
        return await asyncio.to_thread(self.served) == certificate

    def http(self) -> httpx.AsyncClient:
        """A client of the REST api. A graceful reload of Apache closes idle connections, so it keeps none."""
        limits = httpx.Limits(max_keepalive_connections=0)
        url = f"https://localhost:{self.https_port}"
        return httpx.AsyncClient(base_url=url, verify=self.tls, limits=limits, timeout=70)

    async def person(self, name: str = "owner") -> Person:
        """A new account, logged in."""
        http = self.http()
        http.base_url = httpx.URL(f"https://localhost:{self.https_port}/api/v1")
        person = Person(http, f"{name}-{uuid.uuid4().hex[:8]}@example.org")
        try:
            await person.post("/auth/register", {"email": person.email, "password": PASSWORD, "display_name": name})
            await person.log_in()
        except BaseException:
            await person.close()
            raise
        return person


def production_environment(file: Path, **settings: str) -> Path:
    """Writes an `.env` with secrets of its own and the test's ports."""
    made = {
        "DOMAIN": DOMAIN,
        **{name: secrets.token_hex(24) for name in SECRETS},
        "BIND_ADDRESS": "127.0.0.1",
        "HTTP_PORT": str(Production.http_port),
        "HTTPS_PORT": str(Production.https_port),
        "OCPP_PORT": str(Production.ocpp_port),
        "INSIDE_SUBNET": "172.31.201.0/24",
        "VOLTUJ_VERSION": "ci",
        "APACHE_MAX_CONNECTIONS": "2048",
        "EMAIL_VERIFICATION": "off",
        "RATE_LIMIT_ADDRESS": "off",
        "RATE_LIMIT_ACCOUNT": "off",
        **settings,
    }
    file.write_text("".join(f"{name}={value}\n" for name, value in made.items()))
    return file
