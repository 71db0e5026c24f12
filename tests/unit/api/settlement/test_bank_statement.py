"""Reading a bank's CSV: whole and exact, or not at all, with the lines that are wrong."""

import contextlib
import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.money import format_minor
from api.settlement.bank_statement import (
    MOST_LINES,
    Movement,
    StatementError,
    parse_amount,
    parse_date,
    parse_symbol,
    read_statement,
)

HEAD = "id,date,amount,currency,variable_symbol,account,name,message\r\n"
FIO = """"accountId";"2000145399"
"bankId";"0800"
"iban";"CZ6508000000192000145399"
"openingBalance";"18 204,70"

"ID operace";"Datum";"Objem";"Měna";"Protiúčet";"Název protiúčtu";"Kód banky";"Název banky";"KS";"VS";"SS";"Poznámka";"Zpráva pro příjemce";"Typ"
"26714150488";"04.05.2026";"1 500,50";"CZK";"123456789";"Žluťoučký kůň";"2010";"Fio";"";"1000000008";"";"";"díky; moc";"Příjem"
"26714150489";"05.05.2026";"-20000";"CZK";"";"";"";"";"";"";"";"";"poplatek";"Poplatek"
"""  # noqa: E501


def errors_of(content: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(StatementError) as caught:
        read_statement(content.encode() if isinstance(content, str) else content)
    return caught.value.errors


def test_our_own_columns() -> None:
    statement = read_statement(f'{HEAD}A1,2026-05-04,500.00,CZK,1000000008,1/0800,"Novák, Petr",nabíjení\r\n'.encode())
    assert statement.iban is None
    assert statement.movements == [
        (2, Movement("A1", date(2026, 5, 4), 50_000, "CZK", "1000000008", "1/0800", "Novák, Petr", "nabíjení"))
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1250"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_fio_in_each_encoding(encoding: str, newline: str) -> None:
    statement = read_statement(FIO.replace("\n", newline).encode(encoding))
    assert statement.iban == "CZ6508000000192000145399"
    assert [movement for _, movement in statement.movements] == [
        Movement("26714150488", date(2026, 5, 4), 150_050, "CZK", "1000000008", "123456789/2010", "Žluťoučký kůň",
                 "díky; moc"),
        Movement("26714150489", date(2026, 5, 5), -2_000_000, "CZK", None, "", "", "poplatek"),
    ]  # fmt: skip


def test_columns_may_stand_in_any_order_and_be_missing() -> None:
    statement = read_statement(b"currency;amount;ID;note;Date\nCZK;1,5;7;x;1.2.2026\n\n;;;;\n")
    assert [movement.amount_minor for _, movement in statement.movements] == [150]


def test_every_wrong_line_is_named_and_nothing_is_taken() -> None:
    lines = ["1,2026-05-04,1.00,CZK", "2,2026-02-30,1.00,CZK", "3,2026-05-04,1.005,CZK", "4,2026-05-04,1.00,XBT",
             ",2026-05-04,1.00,CZK", "6,2026-05-04,1.000,CZK", "1,2026-05-04,2.00,CZK", "8"]  # fmt: skip
    errors = errors_of(HEAD + "\n".join(lines))
    assert [line for line, _ in errors] == [3, 4, 5, 6, 7, 8, 9]
    for (_, message), part in zip(
        errors, ["'2026-02-30'", "more decimals", "XBT", "without reference", "more decimals", "twice", "without"],
        strict=True,
    ):  # fmt: skip
        assert part in message


def test_the_same_line_twice_is_one_movement() -> None:
    assert len(read_statement((HEAD + "1,2026-05-04,1.00,CZK\n" * 3).encode()).movements) == 1


def test_what_moves_nothing_is_left_out() -> None:
    assert read_statement(f"{HEAD}1,2026-05-04,0.00,CZK\n".encode()).movements == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x00",
        b"id,date\n1,2026-05-04\n",
        b"\x81\x83\x88",
        b"PK\x03\x04\x00\x00",
        "[1,2]".encode("utf-16"),
    ],
)
def test_what_is_no_statement(content: bytes) -> None:
    assert errors_of(content)[0][0] == 0


def test_a_quote_that_does_not_end() -> None:
    assert "not CSV" in errors_of(f'{HEAD}1,2026-05-04,"1.00,CZK\n')[0][1]


def test_a_file_without_end() -> None:
    assert "lines" in errors_of(HEAD + "1,2026-05-04,1.00,CZK\n" * (MOST_LINES + 1))[0][1]


def test_a_statement_of_an_account_that_is_none() -> None:
    assert errors_of(FIO.replace("CZ65", "CZ66"))[0][0] == 3


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1", 100),
        ("1,5", 150),
        ("-1 234 567,89", -123_456_789),
        ("+0.07", 7),
        ("1\u00a0234,50", 123_450),
        ("-20000", -2_000_000),
    ],
)  # fmt: skip
def test_amounts(text: str, minor: int) -> None:
    assert parse_amount(text, "CZK") == minor


@pytest.mark.parametrize(
    "text", ["1.234,50", "1,234.50", "1e3", "12 34", "--1", "٣", "1,", ",5", "NaN", "1.000", "9" * 12]
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals|between"):
        parse_amount(text, "CZK")


@given(st.integers(-(10**11), 10**11))
def test_an_amount_that_we_write_is_read_back(minor: int) -> None:
    assert parse_amount(format_minor(minor, "CZK"), "CZK") == minor
    assert parse_amount(format_minor(minor, "CZK").replace(".", ","), "CZK") == minor


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEAD + text).encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(StatementError):
        assert all(movement.amount_minor for _, movement in read_statement(content).movements)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**9), st.text(max_size=30)), max_size=20))
def test_what_is_written_as_csv_comes_back(lines: list[tuple[int, int, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "date", "amount", "currency", "message"])
    for place, (number, minor, message) in enumerate(lines):
        cells = [f"{place}-{number}", "2026-05-04", format_minor(minor, "CZK"), "CZK", message.replace("\x00", "")]
        writer.writerow(cells)
    found = read_statement(text.getvalue().encode("utf-8", "replace")).movements
    assert [movement.amount_minor for _, movement in found] == [minor for _, minor, _ in lines]


@pytest.mark.parametrize("text", ["2026-05-04", "4.5.2026", "04.05.2026", "4. 5. 2026"])
def test_days(text: str) -> None:
    assert parse_date(text) == date(2026, 5, 4)


@pytest.mark.parametrize(("text", "symbol"), [("0001", "1"), ("", None), ("0000000000", None), ("12345678901", None),
                                              ("12a", None), ("1000000008", "1000000008")])  # fmt: skip
def test_variable_symbols(text: str, symbol: str | None) -> None:
    assert parse_symbol(text) == symbol
