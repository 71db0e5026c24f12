"""Text that others typed, where it leaves us: logs, tables, file names. Mails and PDFs have tests of their own."""

import csv
import io
import re
from typing import Any

import pytest

import api.logs
import ocpp_gateway.__main__ as gateway
from api.charge_points.file_routes import safe_name
from api.settlement.tables import to_csv
from standalone.databases import REPOSITORY

FORMULAS = ["=1+1", "+1+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1+1", "\uff20x"]
CSV_WRITERS = {"api/settlement/continuity.py", "api/settlement/statement.py", "api/settlement/tables.py"}
"""The register continuity report has numbers, times and words of ours only; the other two escape."""


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("value", [str, lambda text: [text, "x"]], ids=["text", "list"])
def test_no_cell_of_a_table_is_a_formula(text: str, value: Any) -> None:
    [_, [cell]] = csv.reader(io.StringIO(to_csv(["name"], [{"name": value(text)}]), newline=""))
    assert cell.startswith("'")
    assert text in cell


def test_every_writer_of_csv_is_known_here() -> None:
    found = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "api").rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)", path.read_text())
    }
    assert found == CSV_WRITERS


@pytest.mark.parametrize("escape", [api.logs.escape_controls, gateway.escape_controls], ids=["api", "gateway"])
@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x1b[2J", "\x00", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_value_in_the_log_stays_on_its_line(escape: Any, text: str) -> None:
    written = escape(None, "info", {"event": "refused", "identity": text, "status": 404})
    assert written["identity"].isprintable()
    assert written["identity"] != text
    assert written["status"] == 404


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        ".",
        "/etc/passwd",
        "..\\..\\x",
        "a\x00b",
        "a\r\nb",
        "%2e%2e%2f",
        "\u202ex",
        ".htaccess",
    ],
)
def test_a_file_name_leads_nowhere(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*|", safe_name(name))
