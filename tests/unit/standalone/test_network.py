"""Taken ports are named with the option that changes them; the address for wallboxes is one of this machine."""

import socket

import pytest

from standalone.network import check_port, in_url, lan_address, reachable
from standalone.problems import Problem


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=rf"Port {port} is taken.*--http-port"):
            check_port("127.0.0.1", port, "--http-port")
        with pytest.raises(Problem, match=rf"Port {port} is taken.*--ocpp-port"):
            check_port("0.0.0.0", port, "--ocpp-port")  # noqa: S104 - what the gateway listens on
    check_port("127.0.0.1", port, "--http-port")


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(Problem, match="Nothing can listen on 192"):
        check_port("192.0.2.1", 9001, "--ocpp-port")


def test_the_lan_address_is_one_of_this_machine() -> None:
    with socket.socket() as probe:
        probe.bind((lan_address(), 0))


def test_how_we_reach_ourselves() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"  # noqa: S104 - compares only
    assert reachable("192.168.1.2") == "192.168.1.2"
    assert in_url(reachable("::")) == "[::1]"
