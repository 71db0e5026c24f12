"""Every metric that the dashboard and the alert rules name exists in a process of ours."""

import json
import re
from functools import partial
from pathlib import Path

import httpx

from standalone.databases import REPOSITORY
from standalone.servers import free_port
from tests.harness.stack import Stack, eventually

MONITORING = REPOSITORY / "deploy" / "monitoring"
RULES = MONITORING / "rules.yaml"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "voltuj.json"
SERVICES = REPOSITORY / "docker-compose.yaml"
NAME = re.compile(r"\bvoltuj_\w+")
OF_PROMETHEUS = {"up", "ALERTS"}
FUNCTIONS = {
    "sum",
    "min",
    "max",
    "rate",
    "increase",
    "absent",
    "histogram_quantile",
    "topk",
    "offset",
    "by",
    "and",
    "or",
}


def rule_expressions() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)


def panel_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def metrics_of(text: str) -> set[str]:
    """What a scrape can give by the TYPE lines: a series without labels yet has no sample to be seen."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + part for part in parts}
    return found


async def scrape(port: int, path: str = "/metrics") -> str:
    async with httpx.AsyncClient(timeout=10) as client:
        try:
            answer = await client.get(f"http://127.0.0.1:{port}{path}")
        except httpx.HTTPError:
            return ""
        return answer.text if answer.status_code == 200 else ""


async def test_every_metric_named_exists(stack: Stack) -> None:
    listener_port = free_port()
    await stack.listener(LISTENER_METRICS_HOST="0.0.0.0", LISTENER_METRICS_PORT=str(listener_port))  # noqa: S104
    api = await stack.api()
    gateway = await stack.gateway()
    ports = (listener_port, api.port, gateway.operations_port)
    scraped = [await eventually(partial(scrape, port), "metrics") for port in ports]
    assert all(metrics_of(text) for text in scraped)
    existing = set.union(*(metrics_of(text) for text in scraped))
    for expression in (*rule_expressions(), *panel_expressions()):
        named = set(NAME.findall(re.sub(r'"[^"]*"', "", expression)))
        assert named <= existing, expression
        assert named or OF_PROMETHEUS & set(re.findall(r"\w+", expression)), expression


def test_the_expressions_are_well_formed() -> None:
    """As far as can be told without Prometheus: brackets pair, and every word is a function, a label or a metric."""
    expressions = [*rule_expressions(), *panel_expressions()]
    assert len(expressions) > 30
    for expression in expressions:
        bare = re.sub(r'"[^"]*"', "", expression)
        for opening, closing in ("()", "{}", "[]"):
            assert bare.count(opening) == bare.count(closing), expression
        calls = set(re.findall(r"(\w+)\s*\(", bare))
        assert calls <= FUNCTIONS, expression


def test_every_alert_says_what_it_means() -> None:
    alerts = RULES.read_text().split("      - alert: ")[1:]
    names = [alert.splitlines()[0] for alert in alerts]
    assert len(set(names)) == len(names)
    for alert in alerts:
        assert re.search(r"severity: (page|ticket)", alert), alert
        assert re.search(r"summary: .{20,}", alert), alert


def test_prometheus_scrapes_the_services_of_compose_at_their_ports() -> None:
    text = (MONITORING / "prometheus.yaml").read_text()
    targets = dict(re.findall(r"names: \[(\w+)\], type: A, port: (\d+)", text))
    assert targets == {"api": "8000", "listener": "9102", "ocpp_gateway": "9101"}
    compose = SERVICES.read_text()
    assert all(f"\n  {service}:\n" in compose for service in targets)
    jobs = set(re.findall(r"job_name: (\S+)", text))
    asked = set(re.findall(r'job="([^"]+)"', " ".join(rule_expressions())))
    assert asked == jobs


def test_compose_mounts_files_that_are_there() -> None:
    for mounted in re.findall(r"- \./(deploy/monitoring/\S+?):", SERVICES.read_text()):
        assert Path(REPOSITORY / mounted).exists(), mounted
