"""A receipt as data, in no language: what a settled session came to, taken from its sealed settlement.

Nothing is priced here; sums are sums of the settlement's own lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.accounting.tariff import Tariff

Kind = Literal["receipt", "credit_note", "debit_note", "correction"]
NUMBER_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Seller:
    """The owner of the wallbox; `vat_id` is shown where there is one."""

    name: str
    is_vat_registered: bool
    vat_id: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """An earlier revision of the receipt, which a correction replaces."""

    number: int
    issued_at: datetime
    total_minor: int


@dataclass(frozen=True, slots=True)
class VatPart:
    """What was charged at one rate of VAT; None is no VAT."""

    rate_bp: int | None
    net_minor: int
    vat_minor: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """One revision; its times and registers are those that were billed, None where a session never ended."""

    number: int
    revision: int
    settlement_id: UUID
    issued_at: datetime
    seller: Seller
    driver_name: str
    is_own: bool
    """Whether the owner charged on the own wallbox: nothing is paid then."""
    transaction_id: UUID
    charge_point_name: str
    connector_id: int
    time_zone: str
    started_at: datetime
    stopped_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    energy_wh: int | None
    currency: str
    tariff: Tariff | None
    lines: Sequence[Mapping[str, Any]]
    """As in the charge detail record, those of VAT too."""
    net_minor: int
    vat_minor: int
    corrects: Issued | None

    @property
    def total_minor(self) -> int:
        """What the session comes to, VAT included."""
        return self.net_minor + self.vat_minor

    @property
    def difference_minor(self) -> int:
        """By how much it differs from the revision that it replaces; the total of a first one."""
        return self.total_minor - (self.corrects.total_minor if self.corrects else 0)

    @property
    def kind(self) -> Kind:
        """What it is to a bookkeeper."""
        if self.corrects is None:
            return "receipt"
        if self.difference_minor == 0:
            return "correction"
        return "credit_note" if self.difference_minor < 0 else "debit_note"

    @property
    def vat_parts(self) -> list[VatPart]:
        """The sums of the lines by their rate of VAT, in the order of the lines."""
        rates = dict.fromkeys(line.get("vat_bp") for line in self.lines)
        return [VatPart(rate, self._sum(rate, is_vat=False), self._sum(rate, is_vat=True)) for rate in rates]

    def _sum(self, rate_bp: int | None, *, is_vat: bool) -> int:
        return sum(
            line["amount_minor"]
            for line in self.lines
            if line.get("vat_bp") == rate_bp and (line["type"] == "VAT") == is_vat
        )


def number_text(number: int) -> str:
    """A receipt's number as it is written: six digits at least."""
    return f"{number:0{NUMBER_DIGITS}d}"
