"""`.env-example` names every setting of both services and of the compose files with its default, and nothing else."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import api.settings
import ocpp_gateway.settings

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / ".env-example"
ASSIGNMENT = re.compile(r"^#?([A-Z0-9_]+)=(.*)$", re.MULTILINE)
INTERPOLATED = re.compile(r"\$\{([A-Z0-9_]+)(?::-([^${}]*)\}|[:}])")
"""A name and, where it is plain text, its default."""
SETTINGS: list[type[BaseSettings]] = [api.settings.Settings, ocpp_gateway.settings.Settings]
FIXED = {"API_HOST", "API_PORT", "GATEWAY_HOST", "GATEWAY_PORT", "GATEWAY_OPERATIONS_PORT", "WEBHOOK_LOOPBACK"}
"""What production does not leave to its operator: the images say it, or the default stands."""


def explained() -> dict[str, str]:
    return dict(ASSIGNMENT.findall(EXAMPLE.read_text()))


def interpolated() -> list[tuple[str, str]]:
    files = (REPOSITORY / "docker-compose.yaml", REPOSITORY / "docker-compose.dev.yaml")
    return [pair for file in files for pair in INTERPOLATED.findall(file.read_text())]


def test_every_setting_is_there_and_no_other() -> None:
    fields = {name.upper() for settings in SETTINGS for name in settings.model_fields}
    assert set(explained()) == fields | {name for name, _ in interpolated()}


def test_every_setting_reaches_the_containers_of_production() -> None:
    given = set(re.findall(r"(?m)^ +([A-Z0-9_]+): ", (REPOSITORY / "docker-compose.yaml").read_text()))
    fields = {name.upper() for settings in SETTINGS for name in settings.model_fields}
    assert fields - given == FIXED


def test_compose_uses_the_defaults_shown() -> None:
    """DOMAIN is an example; without it the stack does not start."""
    for name, default in interpolated():
        if default and name != "DOMAIN":
            assert default == explained()[name], name


def test_compose_asks_for_no_setting_before_it_obeys() -> None:
    """`docker compose exec api ...` works without an `.env`, also while only the development stack is up."""
    for file in ("docker-compose.yaml", "docker-compose.dev.yaml"):
        text = (REPOSITORY / file).read_text()
        assert "?" not in re.sub(r"(?m)#.*$", "", text), file
        assert not re.findall(r"\$\{[A-Z0-9_]+\}|\$[A-Z0-9_]", text), "without a default compose warns at each command"


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__module__)
def test_the_values_shown_are_the_defaults(settings: type[BaseSettings]) -> None:
    """An empty value stands for a default that is empty, or for a setting that must be given."""
    values = {name.lower(): value for name, value in explained().items()} | {"jwt_secret": ""}
    given = {name: value for name, value in values.items() if value}
    shown = settings.model_validate({"database_url": "postgresql://user@host/name", **given})
    for name, field in settings.model_fields.items():
        if values[name]:
            assert getattr(shown, name) == field.get_default(), name
        else:
            assert field.is_required() or not field.get_default(), name


def test_each_setting_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if ASSIGNMENT.match(line):
            assert lines[number - 1].startswith("#") or ASSIGNMENT.match(lines[number - 1]), line
