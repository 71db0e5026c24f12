"""Payloads against the schemas of OCPP 1.6, and the codes of J 4.2.3."""

import json

import pytest

from ocpp_gateway import validation
from ocpp_gateway.validation import call_flaw, result_flaw

START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


def code(action: str, payload: object) -> str | None:
    flaw = call_flaw(action, json.dumps(payload).encode())
    return flaw.code if flaw is not None else None


class TestAccepted:
    """Nothing that the specification allows is refused."""

    @pytest.mark.parametrize(
        ("action", "payload"),
        [
            ("Heartbeat", {}),
            ("StartTransaction", START),
            ("StartTransaction", START | {"timestamp": "2026-01-01T00:00:00.123+02:00"}),
            ("StartTransaction", START | {"timestamp": "0001-01-01T00:00:00Z"}),
            ("StartTransaction", START | {"meterStart": 10**30, "connectorId": -5}),
            ("StopTransaction", {"meterStop": 1, "timestamp": "2026-01-01T00:00:00Z", "transactionId": -1}),
            ("DataTransfer", {"vendorId": "v", "data": "\x00"}),
            ("SecurityEventNotification", {"type": "t", "timestamp": "2026-01-01T00:00:00Z"}),
            ("SignedFirmwareStatusNotification", {"status": "Installed", "requestId": 1}),
        ],
    )
    def test_call(self, action: str, payload: object) -> None:
        assert code(action, payload) is None

    def test_transaction_ids_up_to_63_bits(self) -> None:
        sample = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1", "unit": "Celcius"}]}
        assert code("MeterValues", {"connectorId": 0, "transactionId": 2**63 - 1, "meterValue": [sample]}) is None

    @pytest.mark.parametrize("payload", [rb'{"idTag":"\ud800"}', b'{"x":1e400000}', b'{"x":%s}' % (b"9" * 5000)])
    def test_json_that_fits_no_value_of_ours_is_not_judged(self, payload: bytes) -> None:
        assert call_flaw("Authorize", payload) is None

    def test_result(self) -> None:
        assert result_flaw("Reset", b'{"status":"Accepted"}') is None
        for limit in range(400):
            period = {"startPeriod": 0, "limit": limit / 10}
            schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
            payload = json.dumps({"status": "Accepted", "chargingSchedule": schedule}).encode()
            assert result_flaw("GetCompositeSchedule", payload) is None


class TestRefused:
    """One code per kind of flaw; of several the first in the table."""

    @pytest.mark.parametrize(
        ("action", "payload", "expected"),
        [
            ("RemoteStopTransaction", {}, "NotSupported"),
            ("TransactionEvent", {}, "NotImplemented"),
            ("", {}, "NotImplemented"),
            ("../../etc/passwd", {}, "NotImplemented"),
            ("Heartbeat", [], "FormationViolation"),
            ("StartTransaction", {"x": 1}, "FormationViolation"),
            ("StartTransaction", {"connectorId": "1"}, "OccurenceConstraintViolation"),
            ("StartTransaction", START | {"connectorId": "1", "idTag": "A" * 21}, "TypeConstraintViolation"),
            ("StartTransaction", START | {"connectorId": 12.0}, "TypeConstraintViolation"),
            ("StartTransaction", START | {"connectorId": True}, "TypeConstraintViolation"),
            ("StartTransaction", START | {"idTag": "A" * 21}, "PropertyConstraintViolation"),
            ("StartTransaction", START | {"timestamp": "2026-02-30T00:00:00Z"}, "PropertyConstraintViolation"),
        ],
    )
    def test_call(self, action: str, payload: object, expected: str) -> None:
        assert code(action, payload) == expected

    @pytest.mark.parametrize(
        "payload", [b"", b"{", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"]
    )
    def test_not_json(self, payload: bytes) -> None:
        flaw = call_flaw("Authorize", payload)
        assert flaw is not None
        assert flaw.code == "FormationViolation"

    def test_the_description_names_the_place(self) -> None:
        flaw = call_flaw(
            "MeterValues", b'{"connectorId":1,"meterValue":[{"timestamp":"x","sampledValue":[{"value":"1"}]}]}'
        )
        assert flaw is not None
        assert flaw.description.startswith("meterValue/0/timestamp:")

    def test_result(self) -> None:
        flaw = result_flaw("Reset", b'{"status":"Perhaps"}')
        assert flaw is not None
        assert flaw.code == "PropertyConstraintViolation"


def test_every_action_is_on_one_side_or_is_data_transfer() -> None:
    both_ways = validation.FROM_CHARGE_POINT & validation.TO_CHARGE_POINT
    assert both_ways == {"DataTransfer"}
    assert len(validation.FROM_CHARGE_POINT | validation.TO_CHARGE_POINT) == 39
