"""`.env-example` names every setting of both services with its default, and nothing else."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import api.settings
import ocpp_gateway.settings

EXAMPLE = Path(__file__).parents[2] / ".env-example"
ASSIGNMENT = re.compile(r"^([A-Z0-9_]+)=(.*)$", re.MULTILINE)
SETTINGS: list[type[BaseSettings]] = [api.settings.Settings, ocpp_gateway.settings.Settings]


def explained() -> dict[str, str]:
    return dict(ASSIGNMENT.findall(EXAMPLE.read_text()))


def test_every_setting_is_there_and_no_other() -> None:
    fields = {name.upper() for settings in SETTINGS for name in settings.model_fields}
    assert set(explained()) == fields


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__module__)
def test_the_values_shown_are_the_defaults(settings: type[BaseSettings]) -> None:
    """An empty value stands for a default that is empty, or for a setting that must be given."""
    values = {name.lower(): value for name, value in explained().items()}
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
