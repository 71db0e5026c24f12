"""Certification cases of Local Auth List Management."""

from typing import Any

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED


def entry(id_tag: str, **info: Any) -> dict[str, Any]:
    """An AuthorizationData (7.4) that lets the id tag charge."""
    return {"idTag": id_tag, "idTagInfo": {**info, "status": "Accepted"}}


def update(version: int, kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    """SendLocalList.req."""
    return {"listVersion": version, "localAuthorizationList": list(entries), "updateType": kind}


async def local_list(case: Case) -> dict[str, Any]:
    """The list as the API shows it."""
    shown: dict[str, Any] = await case.owner.get(f"{case.path}/local-list")
    return shown


def tags(shown: dict[str, Any]) -> set[str]:
    """The id tags on it."""
    return {item["idTag"] for item in shown["entries"]}


async def test_tc_042_1_local_list_version_not_supported(booted: Case) -> None:
    """5.10: a charge point without local lists says -1."""
    await booted.send("GetLocalListVersion", {}, {"listVersion": -1})
    assert (await local_list(booted))["reported_version"] == -1


async def test_tc_042_2_local_list_version_empty(booted: Case) -> None:
    """5.10: 0 means that the list is empty."""
    await booted.send("GetLocalListVersion", {}, {"listVersion": 0})
    assert (await local_list(booted))["reported_version"] == 0


async def not_taken(case: Case, status: str) -> None:
    """A full update that the charge point does not take: what it has stays as it was."""
    full = update(1, "Full", entry(await case.owner.card()))
    await case.send("SendLocalList", full, {"status": status}, status="rejected")
    await case.send("GetLocalListVersion", {}, {"listVersion": 0})
    shown = await local_list(case)
    assert shown["reported_version"] == 0
    assert tags(shown) == set()


async def test_tc_043_1_send_local_list_not_supported(booted: Case) -> None:
    """5.15: NotSupported where the charge point has no local lists."""
    await not_taken(booted, "NotSupported")


async def test_tc_043_3_send_local_list_failed(booted: Case) -> None:
    """5.15: Failed is an answer; the list is taken for what it was before."""
    await not_taken(booted, "Failed")


async def test_tc_043_4_send_local_list_full(booted: Case) -> None:
    """5.15: a full update replaces the list. Its version is never 0 or -1, which mean an empty list and none."""
    cards = [await booted.owner.card() for _ in range(2)]
    full = update(1, "Full", *(entry(card, expiryDate="2099-01-01T00:00:00Z") for card in cards))
    await booted.send("SendLocalList", full, ACCEPTED)
    await booted.send("GetLocalListVersion", {}, {"listVersion": 1})
    shown = await local_list(booted)
    assert (shown["version"], shown["reported_version"]) == (1, 1)
    assert tags(shown) == set(cards)
    for version in (0, -1):
        body = {"action": "SendLocalList", "payload": update(version, "Full")}
        assert (await booted.owner.http.post(f"{booted.path}/commands", json=body)).status_code == 422


async def test_tc_043_5_send_local_list_differential(booted: Case) -> None:
    """5.15, 7.4: a differential update adds what has an idTagInfo and removes what has none."""
    kept, removed, added = [await booted.owner.card() for _ in range(3)]
    await booted.send("SendLocalList", update(1, "Full", entry(kept), entry(removed)), ACCEPTED)
    await booted.send("SendLocalList", update(2, "Differential", entry(added), {"idTag": removed}), ACCEPTED)
    await booted.send("GetLocalListVersion", {}, {"listVersion": 2})
    shown = await local_list(booted)
    assert (shown["version"], shown["reported_version"]) == (2, 2)
    assert tags(shown) == {kept, added}
