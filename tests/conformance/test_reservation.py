"""Certification cases of Reservation."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED, REJECTED
from tests.conformance.test_sessions import METER_START_WH, is_charging
from tests.harness.stack import eventually

RESERVATION_ID = 7


def in_seconds(seconds: float) -> str:
    """A time to come, as OCPP writes it."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def reserve(
    case: Case,
    card: str,
    answer: str = "Accepted",
    *,
    connector_id: int = 1,
    seconds: float = 3600,
    **fields: Any,
) -> None:
    """ReserveNow; after Accepted the charge point reports the connector as Reserved, connector 0 never (7.7)."""
    payload = {
        "reservationId": RESERVATION_ID,
        "connectorId": connector_id,
        "idTag": card,
        "expiryDate": in_seconds(seconds),
        **fields,
    }
    status = "accepted" if answer == "Accepted" else "rejected"
    await case.send("ReserveNow", payload, {"status": answer}, status=status)
    if answer == "Accepted" and connector_id > 0:
        await case.cp.status("Reserved", connector_id)


async def reservation(case: Case) -> dict[str, Any]:
    """The only reservation, as the API shows it."""
    [found] = (await case.owner.get(f"{case.path}/reservations"))["items"]
    assert found["reservation_id"] == RESERVATION_ID
    return dict(found)


async def stands(case: Case, card: str, connector_id: int = 1) -> None:
    """The API shows it as the charge point accepted it."""
    shown = await reservation(case)
    assert (shown["status"], shown["connector_id"], shown["id_tag"]) == ("accepted", connector_id, card)
    await case.connector_is("Reserved" if connector_id else "Available", connector_id)


async def use(case: Case, card: str) -> None:
    """Who reserved, or is of the same group, charges; the Start names the reservation and ends it (4.8)."""
    assert (await case.cp.authorize(card))["status"] == "Accepted"
    await case.cp.status("Preparing")
    started = await case.cp.start(card, METER_START_WH, reservation_id=RESERVATION_ID)
    assert started.id_tag_info["status"] == "Accepted"
    await case.cp.status("Charging")
    await is_charging(case, started.transaction_id, card)
    shown = await reservation(case)
    assert shown["status"] == "used"
    assert shown["transaction_id"] == (await case.transaction())["id"]


async def test_tc_046_reservation_used(booted: Case) -> None:
    """5.13: a connector is kept for an idTag until it comes; the Start carries the reservationId."""
    card = await booted.owner.card()
    await reserve(booted, card)
    await stands(booted, card)
    await use(booted, card)


async def test_tc_047_reservation_expired(booted: Case) -> None:
    """5.13: at expiryDate the charge point frees the connector, and the reservation is over."""
    card = await booted.owner.card()
    await reserve(booted, card, seconds=3)
    await stands(booted, card)

    async def is_expired() -> bool:
        return bool((await reservation(booted))["status"] == "expired")

    await eventually(is_expired, "the reservation to expire")
    await booted.cp.status("Available")
    await booted.connector_is("Available")
    assert (await reservation(booted))["status"] == "expired"


async def refused(case: Case, answer: str) -> None:
    """The charge point does not reserve, and says why (7.44)."""
    await reserve(case, await case.owner.card(), answer)
    assert (await reservation(case))["status"] == answer.lower()


async def test_tc_048_1_reservation_faulted(booted: Case) -> None:
    """5.13, 7.44: a Faulted connector is not reserved."""
    await booted.cp.status("Faulted", error_code="GroundFailure")
    await refused(booted, "Faulted")
    await booted.connector_is("Faulted")


async def test_tc_048_2_reservation_occupied(booted: Case) -> None:
    """5.13, 7.44: an Occupied connector is not reserved."""
    await booted.cp.status("Preparing")
    await refused(booted, "Occupied")
    await booted.connector_is("Preparing")


async def test_tc_048_3_reservation_unavailable(booted: Case) -> None:
    """5.13, 7.44: an Unavailable connector is not reserved."""
    await booted.cp.status("Unavailable")
    await refused(booted, "Unavailable")
    await booted.connector_is("Unavailable")


async def test_tc_048_4_reservation_rejected(booted: Case) -> None:
    """5.13, 7.44: a charge point that takes no reservations says Rejected."""
    await refused(booted, "Rejected")
    await booted.connector_is("Available")


async def test_tc_049_reservation_of_connector_0(booted: Case) -> None:
    """5.13: connectorId 0 keeps any one connector for the idTag; it charges at connector 1."""
    card = await booted.owner.card()
    await reserve(booted, card, connector_id=0)
    await stands(booted, card, connector_id=0)
    await use(booted, card)


async def test_tc_051_cancel_reservation(booted: Case) -> None:
    """5.2: the reservation is cancelled by its id, and the connector is free."""
    await reserve(booted, await booted.owner.card())
    await booted.send("CancelReservation", {"reservationId": RESERVATION_ID}, ACCEPTED)
    await booted.cp.status("Available")
    await booted.connector_is("Available")
    assert (await reservation(booted))["status"] == "cancelled"


async def test_tc_052_cancel_reservation_rejected(booted: Case) -> None:
    """5.2: Rejected where the charge point knows no such reservation; what it does know stands."""
    card = await booted.owner.card()
    await reserve(booted, card)
    await booted.send("CancelReservation", {"reservationId": RESERVATION_ID + 1}, REJECTED, status="rejected")
    await stands(booted, card)


async def test_tc_053_reservation_used_by_the_parent_id(booted: Case) -> None:
    """5.13: an idTag of the same group may use the reservation; Authorize tells the parentIdTag that decides it."""
    parent = (await booted.owner.card())[:12] + "P"
    reserved, other = [await booted.owner.card(parent_tag=parent) for _ in range(2)]
    await reserve(booted, reserved, parentIdTag=parent)
    await stands(booted, reserved)
    assert (await booted.cp.authorize(other))["parent_id_tag"] == parent
    await use(booted, other)
