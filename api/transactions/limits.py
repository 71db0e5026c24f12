"""What a session may reach: frozen at its start from the grant that decides and from the driver's money. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.accounting.money import format_minor, format_scaled
from api.sharing.decision import Decision

Reached = Literal["energy_cap_reached", "amount_cap_reached", "credit_used_up"]
SENTENCES: Final[Mapping[str, str]] = {
    "energy_cap_reached": "Stopped by Voltuj: the grant allowed {energy} kWh more when the session began.",
    "amount_cap_reached": "Stopped by Voltuj: the grant allowed {amount} more when the session began.",
    "credit_used_up": "Stopped by Voltuj: there was {credit} to charge with when the session began.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a session and those beside it may come to; None: no limit. Amounts are in its currency."""

    energy_wh: int | None = None
    amount_minor: int | None = None
    credit_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a session has taken so far, together with those that count for the same limit."""

    energy_wh: int = 0
    amount_minor: int = 0
    credit_minor: int = 0


def limits_at_start(decision: Decision, currency: str | None, credit_minor: int | None) -> Limits:
    """What the grant leaves, and the driver's money where the start was asked for it. Running sessions are not taken
    off: they count while they run.
    """
    caps, used = decision.caps, decision.used
    return Limits(
        _left(caps.energy_wh, used.energy_wh),
        _left(caps.amount_minor, used.amount_minor) if caps.currency == currency else None,
        _left(credit_minor, 0),
    )


def _left(cap: int | None, used: int) -> int | None:
    return None if cap is None else max(0, cap - used)


def reached(limits: Limits, taken: Taken) -> Reached | None:
    """The limit that is reached, the grant's before the driver's money."""
    if _is_reached(limits.energy_wh, taken.energy_wh):
        return "energy_cap_reached"
    if _is_reached(limits.amount_minor, taken.amount_minor):
        return "amount_cap_reached"
    return "credit_used_up" if _is_reached(limits.credit_minor, taken.credit_minor) else None


def _is_reached(limit: int | None, taken: int) -> bool:
    return limit is not None and taken >= limit


def sentence(transaction: Mapping[str, Any]) -> str | None:
    """Why a session was stopped, for people; of a row of `transactions`."""
    code = transaction["limit_reached"]
    if code is None:
        return None
    currency = transaction["currency"]

    def money(name: str) -> str:
        minor = transaction[name]
        return "" if minor is None or currency is None else f"{format_minor(minor, currency)} {currency}"

    return SENTENCES[code].format(
        energy=format_scaled(transaction["limit_energy_wh"] or 0, 3),
        amount=money("limit_amount_minor"),
        credit=money("limit_credit_minor"),
    )
