"""Variable symbols that notice slips, and payment codes that a bank's app reads."""

import io

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from api.settlement.payment_order import PaymentOrder, read_symbol, to_image, to_spayd, to_symbol

numbers = st.integers(100_000_000, 999_999_999)
ORDER = PaymentOrder("CZ6508000000192000145399", "Voltuj", 50_000, "CZK", "1000000008", "Voltuj")


@given(numbers)
def test_a_symbol_leads_back_to_its_number(number: int) -> None:
    assert len(to_symbol(number)) == 10
    assert read_symbol(to_symbol(number)) == number


@given(number=numbers, place=st.integers(0, 9), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_is_nobodys_symbol(number: int, place: int, digit: str) -> None:
    symbol = to_symbol(number)
    slip = symbol[:place] + digit + symbol[place + 1 :]
    assert (read_symbol(slip) is None) == (slip != symbol)


@pytest.mark.parametrize("symbol", [None, "", "1", "100000000", "10000000080"])
def test_what_is_not_of_ours(symbol: str | None) -> None:
    assert read_symbol(symbol) is None


def test_the_code_has_the_fields_of_the_standard() -> None:
    head, version, *fields = to_spayd(ORDER).split("*")
    assert (head, version) == ("SPD", "1.0")
    assert dict(field.split(":", 1) for field in fields) == {
        "ACC": ORDER.iban, "AM": "500.00", "CC": "CZK", "RN": "Voltuj", "MSG": "Voltuj", "X-VS": "1000000008",
    }  # fmt: skip


def test_without_an_amount_the_payer_chooses() -> None:
    order = PaymentOrder(ORDER.iban, "Voltuj", None, "CZK", "1000000008", "")
    assert "*AM:" not in to_spayd(order)


@given(st.text(max_size=200))
def test_no_name_or_message_adds_a_field(text: str) -> None:
    code = to_spayd(PaymentOrder(ORDER.iban, text, 1, "CZK", "1000000008", text))
    fields = code.split("*")[2:]
    assert [field.split(":", 1)[0] for field in fields if not field.startswith(("RN:", "MSG:"))] == [
        "ACC", "AM", "CC", "X-VS",
    ]  # fmt: skip
    assert code.isascii()
    assert all(len(field) <= 64 for field in fields)


def test_czech_letters_lose_their_marks() -> None:
    assert "RN:Prilis zlutoucky" in to_spayd(PaymentOrder(ORDER.iban, "Příliš žluťoučký", 1, "CZK", "1000000008", "x"))


def test_the_image_says_what_the_code_says() -> None:
    assert to_image(ORDER, "png").startswith(b"\x89PNG")
    expected = io.BytesIO()
    segno.make_qr(to_spayd(ORDER), error="m").save(expected, kind="svg", scale=8, border=4)
    assert to_image(ORDER, "svg") == expected.getvalue()
