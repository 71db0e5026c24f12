"""Settings from environment variables."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from ocpp_gateway.settings import Settings


def test_defaults_are_those_of_the_house() -> None:
    settings = Settings()
    assert (settings.gateway_port, settings.gateway_operations_host) == (9001, "127.0.0.1")


def test_proxies() -> None:
    settings = Settings.model_validate({"gateway_trusted_proxies": "127.0.0.1, 10.1.2.3/8,::1"})
    assert settings.gateway_trusted_proxies == [
        ip_network("127.0.0.1/32"),
        ip_network("10.0.0.0/8"),
        ip_network("::1/128"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway_port": 70000},
        {"redis_url": "http://x"},
        {"redis_prefix": "a*"},
        {"gateway_path_prefix": "ocpp/"},
        {"gateway_trusted_proxies": "nobody"},
        {"gateway_ping_interval_s": 0},
        {"log_level": "loud"},
    ],
)
def test_wrong_ones(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)
