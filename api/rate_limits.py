"""How often somebody may ask: counters in Redis that all api processes share. Who is counted for what stands elsewhere.

While Redis is away each process counts for itself, so that the limits neither shut everybody out nor let everybody in.
"""

import ipaddress
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import structlog
from fastapi import Depends, Request
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import TooManyRequests
from api.settings import Settings, is_off
from wire.redis_client import make_client

T = TypeVar("T")
log = structlog.get_logger(__name__)

REDIS_TIMEOUT_S: Final = 0.5
"""Each request waits for its counters, so not for long."""
ALONE_S: Final = 5.0
"""After a failure of Redis a process counts alone for so long, before it asks again."""
IPV6_HOME: Final = 64
"""Bits of an IPv6 address that tell one customer from another: whoever has one address has the other 2^64 too."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is counted, and how often it may happen; all of `items` hold."""

    name: str
    items: tuple[RateLimitItem, ...]


def make_rule(name: str, notation: str) -> Rule:
    """From the notation of the settings, such as `10/5 minutes; 100/day`; `off` allows everything."""
    return Rule(name, () if is_off(notation) else tuple(parse_many(notation)))


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
        client = make_client(url, once_more, connect_timeout_s=REDIS_TIMEOUT_S, reply_timeout_s=REDIS_TIMEOUT_S)
        self._pool = client.connection_pool
        shared = RedisStorage(
            "redis://",  # the pool knows where
            implementation="redispy",
            key_prefix=f"{settings.redis_prefix}limits",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def take(self, rule: Rule, who: str) -> None:
        """Counts one more of `rule` for `who`.

        Raises:
            TooManyRequests: it is one too many; says when to come back.
        """
        for item in rule.items:
            if (wait_s := await self._take(item, rule.name, who)) is not None:
                raise TooManyRequests.retry_after(max(1, math.ceil(wait_s)))

    async def allows(self, *counted: tuple[Rule, str]) -> bool:
        """Counts one more of each, up to the first that refuses; whether none did."""
        for rule, who in counted:
            for item in rule.items:
                if await self._take(item, rule.name, who) is not None:
                    return False
        return True

    async def forgive(self, rule: Rule, who: str) -> None:
        """Forgets what was counted of `rule` for `who`."""
        for item in rule.items:
            await self._ask(lambda limiter, item=item: limiter.clear(item, rule.name, who))  # type: ignore[misc]

    async def close(self) -> None:
        """Closes every pooled connection."""
        await self._pool.aclose()

    async def _take(self, item: RateLimitItem, *key: str) -> float | None:
        """Seconds to wait, or None where it is allowed."""

        async def count(limiter: SlidingWindowCounterRateLimiter) -> float | None:
            if await limiter.hit(item, *key):
                return None
            return float((await limiter.get_window_stats(item, *key)).reset_time) - time.time()

        return await self._ask(count)

    async def _ask(self, work: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        if time.monotonic() >= self._alone_until:
            try:
                return await work(self._shared)
            except (RedisError, OSError) as error:
                log.warning("limits are counted by each process alone", error=type(error).__name__)
                self._alone_until = time.monotonic() + ALONE_S
        return await work(self._alone)


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
    """ASGI middleware: the limit of each address on the REST API, before anything else is done."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            await self._limits.take(self._limits.address, client_address(scope))
        await self.app(scope, receive, send)


async def _limits(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


async def _client(request: Request) -> str:
    return client_address(request.scope)


CurrentLimits = Annotated[RateLimits, Depends(_limits)]
ClientAddress = Annotated[str, Depends(_client)]
