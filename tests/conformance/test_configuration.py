"""Certification cases of Core: configuration keys, the authorization cache."""

from typing import Any

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED, REJECTED

KEYS: list[dict[str, Any]] = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "MeterValueSampleInterval", "readonly": False, "value": "60"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "1"},
    {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,SmartCharging,RemoteTrigger"},
]


async def configuration(case: Case) -> dict[str, dict[str, Any]]:
    """The configuration of the charge point as the API shows it, by key."""
    items = (await case.owner.get(f"{case.path}/configuration"))["items"]
    return {item["key"]: item for item in items}


async def test_tc_019_1_all_configuration_keys(booted: Case) -> None:
    """5.8: without keys in the request the charge point lists all of its configuration."""
    await booted.send("GetConfiguration", {}, {"configurationKey": KEYS})
    shown = await configuration(booted)
    assert {name: (item["value"], item["readonly"]) for name, item in shown.items()} == {
        item["key"]: (item["value"], item["readonly"]) for item in KEYS
    }


async def test_tc_019_2_one_configuration_key(booted: Case) -> None:
    """5.8: only the keys that were asked for are listed; those that it does not know come in unknownKey."""
    answer = {"configurationKey": [KEYS[3]], "unknownKey": ["NoSuchKey"]}
    await booted.send("GetConfiguration", {"key": ["SupportedFeatureProfiles", "NoSuchKey"]}, answer)
    shown = await configuration(booted)
    assert shown["SupportedFeatureProfiles"]["value"] == KEYS[3]["value"]
    assert "HeartbeatInterval" not in shown


async def change(case: Case, key: str, value: str, answer: dict[str, Any], status: str) -> dict[str, dict[str, Any]]:
    """ChangeConfiguration at a charge point whose configuration was read; the configuration afterwards."""
    await case.send("GetConfiguration", {}, {"configurationKey": KEYS})
    await case.send("ChangeConfiguration", {"key": key, "value": value}, answer, status=status)
    return await configuration(case)


async def test_tc_021_change_configuration(booted: Case) -> None:
    """5.3: Accepted means that the new value is in force."""
    shown = await change(booted, "MeterValueSampleInterval", "30", ACCEPTED, "accepted")
    assert shown["MeterValueSampleInterval"]["value"] == "30"
    assert shown["HeartbeatInterval"]["value"] == "300"


async def test_tc_040_1_change_configuration_not_supported(booted: Case) -> None:
    """5.3: a key that the charge point does not know is NotSupported; nothing is kept of it as if it were set."""
    shown = await change(booted, "NoSuchKey", "1", {"status": "NotSupported"}, "rejected")
    assert shown.get("NoSuchKey", {}).get("value") is None
    assert shown["HeartbeatInterval"]["value"] == "300"


async def test_tc_040_2_change_configuration_rejected(booted: Case) -> None:
    """5.3: a value out of range is Rejected; the old one stays in force."""
    shown = await change(booted, "MeterValueSampleInterval", "-1", REJECTED, "rejected")
    assert shown["MeterValueSampleInterval"]["value"] == "60"


async def test_tc_061_clear_cache(booted: Case) -> None:
    """5.4: the charge point forgets the ids that it had cached; the next one is authorized by us again."""
    await booted.send("ClearCache", {}, ACCEPTED)
    assert (await booted.cp.authorize(await booted.owner.card()))["status"] == "Accepted"
