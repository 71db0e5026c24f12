"""Ports and addresses of this machine. Only looks; the one socket that is opened sends nothing."""

import errno
import socket

from standalone.problems import Problem

NOT_OURS = ("192.0.2.1", 9)
"""An address for documentation (RFC 5737): connecting a datagram socket only chooses the way there."""


def check_port(host: str, port: int, option: str) -> None:
    """Makes sure that a program can listen there.

    Raises:
        Problem: it cannot; names the port and the option that changes it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Problem(f"Port {port} is taken: stop what listens there, or choose another with {option}.") from error
        if error.errno == errno.EACCES:
            raise Problem(f"Port {port} is not allowed here: choose one above 1023 with {option}.") from error
        raise Problem(f"Nothing can listen on {host}, port {port}: {error.strerror or error}.") from error


def lan_address() -> str:
    """The address under which others in the local network reach this machine; 127.0.0.1 where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOT_OURS)
            address = str(probe.getsockname()[0])
        except OSError:
            address = _address_of_name()
    return "127.0.0.1" if address.startswith("0.") else address


def _address_of_name() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def reachable(host: str) -> str:
    """How this machine itself reaches a program that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compares only


def in_url(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
