"""What a session may reach: frozen from the decision and the money, and compared with what it has taken."""

from typing import Any

import pytest

from api.sharing.decision import Caps, Decision, Usage
from api.transactions.limits import Limits, Taken, limits_at_start, reached, sentence


def accepted(caps: Caps, used: Usage = Usage()) -> Decision:  # noqa: B008 - frozen
    return Decision("Accepted", "accepted", "", caps=caps, used=used)


@pytest.mark.parametrize(
    ("decision", "currency", "credit_minor", "limits"),
    [
        (accepted(Caps()), "CZK", None, Limits()),
        (accepted(Caps(energy_wh=5000), Usage(energy_wh=1200)), None, None, Limits(energy_wh=3800)),
        (accepted(Caps(energy_wh=5000), Usage(running_energy_wh=900)), "CZK", None, Limits(energy_wh=5000)),
        (accepted(Caps(energy_wh=5), Usage(energy_wh=9)), "CZK", None, Limits(energy_wh=0)),
        (accepted(Caps(None, 900, "CZK"), Usage(0, 100)), "CZK", 5000, Limits(None, 800, 5000)),
        (accepted(Caps(None, 900, "CZK")), "EUR", None, Limits()),
        (accepted(Caps(None, 900, "CZK")), None, None, Limits()),
        (accepted(Caps()), "CZK", -3, Limits(credit_minor=0)),
    ],
)
def test_what_is_left_at_the_start(
    decision: Decision, currency: str | None, credit_minor: int | None, limits: Limits
) -> None:
    assert limits_at_start(decision, currency, credit_minor) == limits


@pytest.mark.parametrize(
    ("limits", "taken", "code"),
    [
        (Limits(), Taken(10**9, 10**9, 10**9), None),
        (Limits(energy_wh=100), Taken(99, 10**9), None),
        (Limits(energy_wh=100), Taken(100), "energy_cap_reached"),
        (Limits(100, 100, 100), Taken(100, 100, 100), "energy_cap_reached"),
        (Limits(100, 100, 100), Taken(99, 100, 100), "amount_cap_reached"),
        (Limits(100, 101, 100), Taken(99, 100, 100), "credit_used_up"),
        (Limits(None, None, 100), Taken(0, 10**9, 99), None),
        (Limits(0), Taken(0), "energy_cap_reached"),
    ],
)
def test_the_first_that_is_reached(limits: Limits, taken: Taken, code: str | None) -> None:
    assert reached(limits, taken) == code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, None),
        ("energy_cap_reached", "Stopped by Voltuj: the grant allowed 3.8 kWh more when the session began."),
        ("amount_cap_reached", "Stopped by Voltuj: the grant allowed 8.00 CZK more when the session began."),
        ("credit_used_up", "Stopped by Voltuj: there was 50.00 CZK to charge with when the session began."),
    ],
)
def test_why_it_was_stopped_is_a_sentence(code: str | None, words: str | None) -> None:
    row: dict[str, Any] = {
        "limit_reached": code, "currency": "CZK", "limit_energy_wh": 3800, "limit_amount_minor": 800,
        "limit_credit_minor": 5000,
    }  # fmt: skip
    assert sentence(row) == words
