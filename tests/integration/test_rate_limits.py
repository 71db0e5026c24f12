"""Counting for limits in Redis: in which order, over which time, and what is left behind."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from api.errors import TooManyRequests
from api.rate_limits import RateLimits, make_rule
from api.settings import Settings

LATE_S = 10


@pytest.fixture
async def limits(redis_url: str, redis_prefix: str) -> AsyncIterator[RateLimits]:
    limits = RateLimits(
        Settings(
            database_url=SecretStr("postgresql://nobody@127.0.0.1/none"),
            redis_url=SecretStr(redis_url),
            redis_prefix=redis_prefix,
        )
    )
    yield limits
    await limits.close()


async def test_the_first_that_refuses_ends_the_counting(limits: RateLimits) -> None:
    once, twice = make_rule("once", "1/hour"), make_rule("twice", "2/hour")
    assert await limits.allows((once, "a"), (twice, "a"))
    assert not await limits.allows((once, "a"), (twice, "a")), "what comes first is used up"
    assert await limits.allows((twice, "a")), "so this was not counted"
    assert not await limits.allows((twice, "a"))
    assert await limits.allows((once, "b"), (twice, "b")), "somebody else is somebody else"


async def test_each_limit_of_a_rule_holds(limits: RateLimits) -> None:
    rule = make_rule("both", "9/minute; 3/day")
    assert [await limits.allows((rule, "a")) for _ in range(5)] == [True] * 3 + [False] * 2
    with pytest.raises(TooManyRequests) as refused:
        await limits.take(rule, "a")
    assert 3600 < int(refused.value.more_headers["Retry-After"]) <= 24 * 3600, "of the day, which is what is used up"


async def test_asked_at_once_no_one_slips_through(limits: RateLimits) -> None:
    rule = make_rule("at once", "7/hour")
    assert sorted(await asyncio.gather(*(limits.allows((rule, "a")) for _ in range(30)))) == [False] * 23 + [True] * 7


async def test_what_was_counted_goes_little_by_little(limits: RateLimits) -> None:
    rule, most = make_rule("sliding", "20/second"), 20
    began = time.monotonic()
    assert sum(await asyncio.gather(*(limits.allows((rule, "a")) for _ in range(most + 5)))) == most
    allowed: list[float] = []
    while len(allowed) < most:
        assert time.monotonic() - began < LATE_S, "what was counted is never forgotten"
        if await limits.allows((rule, "a")):
            allowed.append(time.monotonic() - began)
    assert allowed[0] > 1, "within the period nothing is forgotten"
    assert allowed[-1] > 1.5, "and at its end not everything at once"


async def test_who_is_forgiven_begins_anew(limits: RateLimits) -> None:
    rule = make_rule("forgiven", "2/hour; 3/day")
    assert [await limits.allows((rule, "a")) for _ in range(3)] == [True, True, False]
    await limits.forgive(rule, "a")
    assert [await limits.allows((rule, "a")) for _ in range(3)] == [True, True, False]


async def test_what_does_not_count_any_more_is_gone(limits: RateLimits, redis_url: str, redis_prefix: str) -> None:
    await limits.take(make_rule("short", "5/second"), "a")
    async with Redis.from_url(redis_url) as redis:
        [key] = [key async for key in redis.scan_iter(f"{redis_prefix}limits:*")]
        assert 0 < await redis.pttl(key) <= 2000


async def test_a_limit_that_is_off_stops_no_counting(limits: RateLimits, redis_url: str, redis_prefix: str) -> None:
    off, once = make_rule("off", "off"), make_rule("once", "1/hour")
    await limits.forgive(off, "a")
    assert await limits.allows((off, "a"), (once, "a"), (off, "a"))
    async with Redis.from_url(redis_url) as redis:
        assert [key async for key in redis.scan_iter(f"{redis_prefix}limits:*")], "not in Redis, so by each for itself"
