"""How often somebody may ask: counters in Redis that all api processes share. Who is counted for what stands elsewhere.

While Redis is away each process counts for itself, so that the limits neither shut everybody out nor let everybody in.
"""

import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import structlog
from fastapi import Depends, Request
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import TooManyRequests
from api.settings import Settings, is_off
from wire.redis_client import make_client

log = structlog.get_logger(__name__)

REDIS_TIMEOUT_S: Final = 0.5
"""Each request waits for its counters, so not for long."""
ALONE_S: Final = 5.0
"""After a failure of Redis a process counts alone for so long, before it asks again."""
IPV6_HOME: Final = 64
"""Bits of an IPv6 address that tell one customer from another: whoever has one address has the other 2^64 too."""
COUNT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, key in ipairs(KEYS) do
    local most, period = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local began, count, before = string.match(redis.call('GET', key) or '0 0 0', '(%d+) (%d+) (%d+)')
    began, count, before = tonumber(began), tonumber(count), tonumber(before)
    if now >= began + 2 * period then
        began, count, before = now, 0, 0
    elseif now >= began + period then
        began, count, before = began + period, 0, count
    end
    local left = began + period - now
    if math.floor(before * left / period) + count >= most then
        return math.ceil(before > 0 and left % (period / before) or left)
    end
    redis.call('SET', key, string.format('%d %d %d', began, count + 1, before), 'PX', 2 * period)
end
return false
"""
"""Counts one more for each key, up to the first that has as many as it may: then it says how many ms to wait.

The sliding window of `limits`, of whose own script one call counts one key: of the period before, so much counts as
would lie in the last period if all had been spread evenly. Times are Redis's, in ms.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is counted, and how often it may happen; all of `items` hold."""

    name: str
    items: tuple[RateLimitItem, ...]


def make_rule(name: str, notation: str) -> Rule:
    """From the notation of the settings, such as `10/5 minutes; 100/day`; `off` allows everything."""
    return Rule(name, () if is_off(notation) else tuple(parse_many(notation)))


Counted: TypeAlias = tuple[Rule, str]
"""A rule, and for whom it is counted."""
MAILS: Final = make_rule("mails", "3/10 minutes; 10/day")
"""To one address, whoever asks for them."""
INVITED: Final = make_rule("invited", "5/day")
"""Mails about sharing to one address, whoever shares."""
INVITED_BY: Final = make_rule("invited by", "1/day")
"""Mails about sharing of one kind, from one person to one address."""
INVITING: Final = make_rule("inviting", "20/day")
"""Mails about sharing that one person causes."""


class RateLimits:
    """The limits of one process."""

    def __init__(self, settings: Settings) -> None:
        self.log_in_address = make_rule("log-in address", settings.log_in_limit_address)
        self.log_in_account = make_rule("log-in account", settings.log_in_limit_account)
        self.address = make_rule("address", settings.rate_limit_address)
        self.account = make_rule("account", settings.rate_limit_account)
        url = settings.redis_url.get_secret_value()
        once_more = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        self._redis = make_client(url, once_more, connect_timeout_s=REDIS_TIMEOUT_S, reply_timeout_s=REDIS_TIMEOUT_S)
        self._count = self._redis.register_script(COUNT)
        self._prefix = f"{settings.redis_prefix}limits:"
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def take(self, rule: Rule, who: str) -> None:
        """Counts one more of `rule` for `who`.

        Raises:
            TooManyRequests: it is one too many; says when to come back.
        """
        await self.take_all((rule, who))

    async def take_all(self, *counted: Counted) -> None:
        """Counts one more of each, up to the first that refuses.

        Raises:
            TooManyRequests: it is one too many; says when to come back.
        """
        if (wait_s := await self._wait_s(counted)) is not None:
            raise TooManyRequests.retry_after(max(1, math.ceil(wait_s)))

    async def allows(self, *counted: Counted) -> bool:
        """Counts one more of each, up to the first that refuses; whether none did."""
        return await self._wait_s(counted) is None

    async def forgive(self, rule: Rule, who: str) -> None:
        """Forgets what was counted of `rule` for `who`."""
        if rule.items and self._is_shared():
            try:
                await self._redis.delete(*(self._key(item, rule.name, who) for item in rule.items))
            except (RedisError, OSError) as error:
                self._count_alone(error)
        for item in rule.items:
            await self._alone.clear(item, rule.name, who)

    async def close(self) -> None:
        """Closes every pooled connection."""
        await self._redis.aclose()

    async def _wait_s(self, counted: Sequence[Counted]) -> float | None:
        """Seconds to wait, or None where all of it is allowed."""
        items = [(item, rule.name, who) for rule, who in counted for item in rule.items]
        if items and self._is_shared():
            keys = [self._key(*each) for each in items]
            numbers = [number for item, *_ in items for number in (item.amount, item.get_expiry() * 1000)]
            try:
                wait_ms = await self._count(keys, numbers)
                return None if wait_ms is None else wait_ms / 1000
            except (RedisError, OSError) as error:
                self._count_alone(error)
        for item, *key in items:
            if not await self._alone.hit(item, *key):
                return float((await self._alone.get_window_stats(item, *key)).reset_time) - time.time()
        return None

    def _key(self, item: RateLimitItem, *key: str) -> str:
        return f"{self._prefix}{item.key_for(*key)}"

    def _is_shared(self) -> bool:
        return time.monotonic() >= self._alone_until

    def _count_alone(self, error: Exception) -> None:
        log.warning("limits are counted by each process alone", error=type(error).__name__)
        self._alone_until = time.monotonic() + ALONE_S


def client_address(scope: Scope) -> str:
    """Who is at the other end: behind a trusted proxy, whom it names; of IPv6 the customer's network."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_HOME), strict=False))
    return str(address)


class Throttle:
    """ASGI middleware: the limits of addresses on the REST API, before anything else is done, and of accounts.

    An account is counted in the same round trip where `account_of` knows at once whose token a request shows; else by
    whoever reads the token. What was counted here stands as `counted_account` in the request's state.
    """

    def __init__(self, app: ASGIApp, limits: RateLimits, account_of: Callable[[Scope], str | None]) -> None:
        self.app = app
        self._limits = limits
        self._account_of = account_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            limits, account = self._limits, self._account_of(scope)
            counted = [(limits.address, client_address(scope))]
            if account is not None:
                counted.append((limits.account, account))
            await limits.take_all(*counted)
            scope["state"]["counted_account"] = account
        await self.app(scope, receive, send)


async def _limits(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


async def _client(request: Request) -> str:
    return client_address(request.scope)


CurrentLimits = Annotated[RateLimits, Depends(_limits)]
ClientAddress = Annotated[str, Depends(_client)]
