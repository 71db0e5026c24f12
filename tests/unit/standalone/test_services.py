"""What each program is told, and what is kept from it."""

from pathlib import Path

from standalone.databases import DatabaseUrls
from standalone.folder import Folder
from standalone.services import Services, addresses
from standalone.settings import Environment, Options


def options(**changes: object) -> Options:
    fields: dict[str, object] = {
        "data": Path("x"), "demo": True, "http_port": 8000, "ocpp_port": 9001, "operations_port": 9101,
        "api_host": "127.0.0.1", "gateway_host": "127.0.0.1", "listeners": 2, "plain": True,
    }  # fmt: skip
    return Options(**{**fields, **changes})  # type: ignore[arg-type]


def test_names_in_order_of_start(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        services = Services(
            folder,
            options(),
            Environment("", "", "", "", {}),
            DatabaseUrls("postgresql://owner@h/d", "postgresql://api@h/d"),
            "unix:///r",
            "s" * 32,
        )
        assert [part.name for part in services.parts()] == ["listener 1", "listener 2", "api", "gateway"]


def test_addresses() -> None:
    where = addresses(options(gateway_host="192.168.1.5", api_host="::1"))
    assert where.wallbox == where.wallbox_here == "ws://192.168.1.5:9001"
    assert where.api == "http://[::1]:8000"
    everywhere = addresses(options(gateway_host="0.0.0.0"))  # noqa: S104 - what the gateway listens on
    assert everywhere.wallbox_here == "ws://127.0.0.1:9001"
    assert "0.0.0.0" not in everywhere.wallbox  # noqa: S104 - compares only
