"""How often one may knock: handshakes of each address, and failed ones of each identity there. Pure: `now` in seconds.

Many wallboxes may share an address (NAT): a good handshake costs little, a failed one much more; an identity that fails
again and again is sent away for itself, so that one wrong key takes nothing from its neighbours.
"""

from collections import OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Generic, TypeVar

PERIOD_S: Final = 60.0
FAILED_COSTS: Final = 20
"""What a failed handshake costs its address beyond the good one's 1."""
FAILURES_OF_ONE: Final = 5
"""Of one identity at one address in a period; after these it is refused unheard, at no cost to the address."""
MOST_REMEMBERED: Final = 50_000
"""Addresses, and identities at them; the one that knocked longest ago is forgotten first."""
SITE_BITS: Final = 64
"""An IPv6 customer has at least this network (RFC 6177)."""
K = TypeVar("K", bound=Hashable)


class Knocks:
    """What one gateway remembers. `per_minute` is what an address may spend; 0 is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._sites: _Spent[str] = _Spent(per_minute)
        self._doors: _Spent[tuple[str, str]] = _Spent(FAILURES_OF_ONE)

    def admits(self, address: str, identity: str, now: float) -> bool:
        """Whether this handshake is looked at; it is paid for where it is."""
        if not self._per_minute:
            return True
        here = site(address)
        if not self._doors.has((here, identity), 1, now):
            return False
        if not self._sites.has(here, 1, now):
            return False
        self._sites.spend(here, 1, now)
        return True

    def failed(self, address: str, identity: str, now: float) -> None:
        """It was refused for what it showed."""
        if self._per_minute:
            here = site(address)
            self._sites.spend(here, FAILED_COSTS, now)
            self._doors.spend((here, identity), 1, now)

    def give_back(self, address: str, now: float) -> None:
        """It was sent away for no fault of its own."""
        if self._per_minute:
            self._sites.spend(site(address), -1, now)


class _Spent(Generic[K]):
    """What each has spent; it is forgiven evenly, all that one may spend in a period."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._spent: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def has(self, key: K, cost: float, now: float) -> bool:
        """Whether it may spend so much now."""
        return self._left_over(key, now) + cost <= self._most

    def spend(self, key: K, cost: float, now: float) -> None:
        """Adds to it; nobody owes more than two periods forgive."""
        spent = min(max(0.0, self._left_over(key, now) + cost), 2.0 * self._most)
        self._spent[key] = (spent, now)
        self._spent.move_to_end(key)
        if len(self._spent) > MOST_REMEMBERED:
            self._spent.popitem(last=False)

    def _left_over(self, key: K, now: float) -> float:
        spent, since = self._spent.get(key, (0.0, now))
        return max(0.0, spent - (now - since) * self._most / PERIOD_S)


def site(address: str) -> str:
    """Whose address it is: of IPv6 the network, of an IPv4 address in IPv6 clothes the IPv4 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), SITE_BITS), strict=False).network_address)
