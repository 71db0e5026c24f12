"""The files of the profile `monitoring`, read by a real Prometheus (Debian's) that scrapes the production stack.

Grafana is not started: there is no maintained package of it to stand in for its image.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.compose import REPOSITORY, Production
from tests.harness.stack import eventually

IMAGE = "voltuj-ci-prometheus"
PORT = 19090
FILES = REPOSITORY / "deploy" / "monitoring"
DASHBOARD = FILES / "grafana" / "dashboards" / "voltuj.json"


def docker(*arguments: str) -> str:
    """The output of a docker command that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def prometheus(production: Production) -> Iterator[None]:
    """Prometheus on the stack's networks, with the mounts of docker-compose.yaml."""
    docker("build", "--quiet", "--tag", IMAGE, str(Path(__file__).parent / "prometheus"))
    mounts = [
        part
        for name in ("prometheus.yaml", "rules.yaml")
        for part in ("-v", f"{FILES / name}:/etc/prometheus/{name}:ro")
    ]
    docker("create", "--name", IMAGE, "--network", f"{production.name}_outside", "-p", f"127.0.0.1:{PORT}:9090",
           *mounts, IMAGE)  # fmt: skip
    try:
        docker("network", "connect", f"{production.name}_inside", IMAGE)
        docker("start", IMAGE)
        yield
    finally:
        docker("rm", "--force", IMAGE)


async def ask(path: str, **parameters: str) -> Any:
    """The data of Prometheus's answer; None while it does not give one."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}/api/v1", timeout=10) as http:
        try:
            answer = await http.get(path, params=parameters)
        except httpx.TransportError:
            return None
    assert answer.status_code in {200, 503}, answer.text
    return answer.json()["data"] if answer.status_code == 200 else None


async def scraped_jobs() -> set[str]:
    found = await ask("/targets", state="active")
    targets = found["activeTargets"] if found else []
    return {target["labels"]["job"] for target in targets if target["health"] == "up"}


@pytest.mark.slow
async def test_prometheus_reads_rules_and_scrapes_every_service(production: Production) -> None:
    with prometheus(production):
        checked = docker("exec", IMAGE, "promtool", "check", "config", "/etc/prometheus/prometheus.yaml")
        assert "SUCCESS" in checked

        async def all_are_scraped() -> bool:
            return await scraped_jobs() == {"voltuj-api", "voltuj-listener", "voltuj-gateway"}

        await eventually(all_are_scraped, "every service to be scraped", 90)

        async def all_are_evaluated() -> list[Any]:
            found = [rule for group in (await ask("/rules"))["groups"] for rule in group["rules"]]
            return found if all(rule["health"] == "ok" for rule in found) else []

        rules = await eventually(all_are_evaluated, "every rule to be evaluated", 60)
        assert len(rules) > 5
        assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
        expressions = [t["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for t in panel["targets"]]
        for expression in expressions:
            assert await ask("/query", query=expression.replace("$__rate_interval", "1m")) is not None, expression
