"""Certification cases of Core: reset, and unlocking a connector."""

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED
from tests.conformance.test_sessions import METER_START_WH, charging, is_charging, is_stopped


async def reset(case: Case, kind: str) -> None:
    """Reset without a session: the charge point says yes, goes away, boots, and is served as before."""
    command = await case.send("Reset", {"type": kind}, ACCEPTED)
    assert command["finished_at"] is not None
    booted_at = (await case.owner.get(case.path))["booted_at"]
    await case.cp.disconnect()
    await case.is_online(False)
    await case.cp.connect()
    assert (await case.cp.boot()).status == "Accepted"
    shown = await case.owner.get(case.path)
    assert shown["booted_at"] > booted_at
    assert (shown["online"], shown["registration"]) == (True, "Accepted")
    await case.connector_is("Available")


async def test_tc_013_hard_reset(booted: Case) -> None:
    """5.14: a hard reset; afterwards the charge point boots and reports its connectors (4.2)."""
    await reset(booted, "Hard")


async def test_tc_014_soft_reset(booted: Case) -> None:
    """5.14: a soft reset; afterwards the charge point boots and reports its connectors (4.2)."""
    await reset(booted, "Soft")


async def unlock(case: Case, answer: str, status: str, connector_id: int = 1) -> None:
    """UnlockConnector with the given answer."""
    await case.send("UnlockConnector", {"connectorId": connector_id}, {"status": answer}, status=status)


async def test_tc_017_1_unlock_without_a_session(booted: Case) -> None:
    """5.18: a connector with a detachable cable is unlocked; no transaction is touched."""
    await unlock(booted, "Unlocked", "accepted")
    await booted.connector_is("Available")
    assert await booted.transactions() == []


async def test_tc_017_2_unlock_with_a_fixed_cable(booted: Case) -> None:
    """5.18: a charge point with a fixed cable has nothing to unlock and says NotSupported."""
    await unlock(booted, "NotSupported", "rejected")
    assert await booted.transactions() == []


async def test_tc_018_1_unlock_with_a_session(booted: Case) -> None:
    """5.18: where a session runs, it is stopped first, with reason UnlockCommand."""
    ocpp_id = await charging(booted, await booted.owner.card())
    await unlock(booted, "Unlocked", "accepted")
    await booted.cp.stop(ocpp_id, METER_START_WH + 500, "UnlockCommand")
    await booted.cp.status("Finishing")
    await booted.cp.status("Available")
    await is_stopped(booted, ocpp_id, "UnlockCommand", 500)


async def test_tc_030_unlock_failed(booted: Case) -> None:
    """5.18: UnlockFailed is an answer; the session goes on."""
    card = await booted.owner.card()
    ocpp_id = await charging(booted, card)
    await unlock(booted, "UnlockFailed", "rejected")
    await is_charging(booted, ocpp_id, card)


async def test_tc_031_unlock_of_an_unknown_connector(booted: Case) -> None:
    """5.18: the charge point decides whether it has such a connector; an unknown one is NotSupported."""
    await unlock(booted, "NotSupported", "rejected", connector_id=5)
    items = (await booted.owner.get(f"{booted.path}/connectors"))["items"]
    assert [item["connector_id"] for item in items] == [0, 1]
