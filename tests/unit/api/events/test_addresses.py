"""Where webhooks may go: URLs, addresses, and the pause between two attempts."""

import pytest

from api.events.addresses import RefusedError, check_addresses, parse_url
from api.events.deliveries import LONGEST_PAUSE_S, pause_s
from api.events.posting import signature


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/", "ftp://example.org/", "//example.org/", "https://", "https:///x", "", "example.org"),
        *("https://example.org:80/", "https://example.org:22/", "https://example.org:99999/", "https://[::1/"),
        *("https://user@example.org/", "https://user:word@example.org/", "https://example.org/#part"),
        *(
            "https://example.org/a b",
            "https://example.org/\r\nX: y",
            "https://example.org/\x00",
            "https://exämple.org/",
        ),
        "https://example.org/" + "x" * 2000,
    ],
)
def test_such_a_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        parse_url(url, loopback=False)


def test_a_url_in_parts() -> None:
    target = parse_url("https://Example.org:8443/a/b?c=d", loopback=False)
    assert (target.host, target.port, target.path) == ("example.org", 8443, "/a/b?c=d")
    assert target.host_header == "example.org:8443"
    assert parse_url("https://[2001:4860::1]", loopback=False).host_header == "[2001:4860::1]"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",  # noqa: S104 - an address to refuse
            "100.64.0.1",
        ),
        *(
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
        ),
        *("fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "::7f00:1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "64:ff9b:1::a00:1"),
    ],
)
def test_such_an_address_is_refused_alone_and_among_public_ones(address: str) -> None:
    target = parse_url("https://example.org/", loopback=False)
    for addresses in ([address], ["93.184.215.14", address]):
        with pytest.raises(RefusedError):
            check_addresses(target, addresses, loopback=False)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14"])
def test_a_public_address_is_taken(address: str) -> None:
    target = parse_url("https://example.org/", loopback=False)
    assert check_addresses(target, [address], loopback=False)
    with pytest.raises(RefusedError):
        check_addresses(target, [], loopback=False)


def test_loopback_where_it_is_allowed_and_nothing_else_by_it() -> None:
    target = parse_url("http://localhost:5000/", loopback=True)
    assert check_addresses(target, ["127.0.0.1", "::1"], loopback=True) == "127.0.0.1"
    for addresses in (["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["93.184.215.14"]):
        with pytest.raises(RefusedError):
            check_addresses(target, addresses, loopback=True)


def test_pauses_grow_to_a_longest() -> None:
    pauses = [pause_s(attempts, 1.0) for attempts in range(1, 40)]
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == max(pauses) == LONGEST_PAUSE_S
    assert pause_s(3, 0.5) == 10.0


def test_a_signature() -> None:
    digest = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature("secret", 1700000000, b"{}") == f"t=1700000000,v1={digest}"
