"""Reservations (5.13) and the local authorization list (5.15)."""

from datetime import UTC, datetime

import pytest

from simulator.admission import LocalList, Reservations

FUTURE = "2099-01-01T00:00:00Z"


def reservations(*statuses: str) -> Reservations:
    return Reservations(lambda: dict(enumerate(statuses, start=1)))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Available", "Accepted"),
        ("Charging", "Occupied"),
        ("Preparing", "Occupied"),
        ("Faulted", "Faulted"),
        ("Unavailable", "Unavailable"),
    ],
)
def test_reserving_a_connector(status: str, expected: str) -> None:
    assert reservations(status).reserve(1, 1, "A", FUTURE) == expected


def test_connector_zero_is_any_free_one() -> None:
    assert reservations("Charging", "Available").reserve(1, 0, "A", FUTURE) == "Accepted"
    assert reservations("Charging", "Charging").reserve(1, 0, "A", FUTURE) == "Occupied"


def test_the_same_id_replaces_a_reservation() -> None:
    """5.13."""
    statuses = {1: "Available"}
    kept = Reservations(lambda: statuses)
    kept.reserve(1, 1, "A", FUTURE)
    statuses[1] = "Reserved"
    assert kept.reserve(2, 1, "B", FUTURE) == "Occupied"
    assert kept.reserve(1, 1, "B", FUTURE) == "Accepted"
    assert kept.use(1, "b") == 1
    assert kept.use(1, "b") is None


def test_expiry() -> None:
    kept = reservations("Available")
    kept.reserve(1, 1, "A", "2026-01-01T00:00:00")
    assert not kept.expire(datetime(2025, 12, 31, tzinfo=UTC))
    assert kept.expire(datetime(2026, 1, 1, tzinfo=UTC))
    assert kept.allow(1, "anybody")


def test_local_list() -> None:
    kept = LocalList()
    entry = {"id_tag": "A", "id_tag_info": {"status": "Accepted"}}
    assert kept.update(3, "Full", [entry]) == "Accepted"
    assert kept.update(3, "Differential", []) == "VersionMismatch"
    assert kept.update(4, "Differential", [{"id_tag": "a"}]) == "Accepted"
    assert (kept.version, kept.statuses) == (4, {})
