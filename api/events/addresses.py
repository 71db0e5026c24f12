"""Which URLs a webhook may have and to which addresses a delivery may go. Pure: no name is resolved here.

The CSMS must not be a way into the networks around it: only public addresses, asked anew at each delivery.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

PORTS: Final = frozenset({443, 8443})
LONGEST_URL: Final = 2000
EMBEDDING: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""IPv6 addresses that carry an IPv4 address: a translator would lead to it."""


class RefusedError(ValueError):
    """Nothing may be sent there; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's URL in parts."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """Of the request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == default_port(self.scheme) else f"{host}:{self.port}"


def default_port(scheme: str) -> int:
    """The port of a URL that names none."""
    return 443 if scheme == "https" else 80


def parse_url(url: str, *, loopback: bool) -> Target:
    """The URL of a webhook; with `loopback` also http and any port, which `check_addresses` keeps on this machine.

    Raises:
        RefusedError: it may not be one.
    """
    if len(url) > LONGEST_URL or not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise RefusedError("must be ASCII without spaces, and not too long")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RefusedError("is not a URL") from None
    if parts.scheme not in ({"https", "http"} if loopback else {"https"}) or not parts.hostname:
        raise RefusedError("must start with https:// and name a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedError("must have no user, password or fragment")
    port = port or default_port(parts.scheme)
    if port not in PORTS and not loopback:
        raise RefusedError(f"must have one of the ports {', '.join(map(str, sorted(PORTS)))}")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return Target(parts.scheme, parts.hostname, port, path)


def check_addresses(target: Target, addresses: Sequence[str], *, loopback: bool) -> str:
    """The address to connect to, of those to which the host resolved: all of them must be public.

    Raises:
        RefusedError: one is not, or there is none.
    """
    if not addresses:
        raise RefusedError("the host has no address")
    parsed = [ip_address(address.partition("%")[0]) for address in addresses]
    if loopback and all(address.is_loopback for address in parsed):
        return str(parsed[0])
    if not all(is_public(address) for address in parsed):
        raise RefusedError("the host has an address that is not public")
    if target.scheme != "https" or target.port not in PORTS:
        raise RefusedError("the host is not this machine: https and a usual port are needed")
    return str(parsed[0])


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it belongs to the internet at large, IPv4 inside of IPv6 counted as what it is."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None:
            return False
        if any(address in network for network in EMBEDDING):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
