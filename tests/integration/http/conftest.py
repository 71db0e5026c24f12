"""Fixtures of the HTTP tests."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from standalone.databases import DatabaseUrls
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site, make_settings, open_site


@pytest.fixture
async def site(database: DatabaseUrls, redis_url: str, redis_prefix: str) -> AsyncIterator[Site]:
    """The HTTP service on a database of the test's own."""
    async with open_site(database, make_settings(database, redis_url, redis_prefix)) as opened:
        yield opened


@pytest.fixture
async def strict_site(database: DatabaseUrls, redis_url: str, redis_prefix: str) -> AsyncIterator[Site]:
    """The same where an account needs an e-mail address that is proven."""
    settings = make_settings(database, redis_url, redis_prefix, email_verification="required")
    async with open_site(database, settings) as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> Person:
    """Somebody with wallboxes."""
    return await site.person("owner")


@pytest.fixture
async def stranger(site: Site) -> Person:
    """Somebody who may see nothing of the owner's."""
    return await site.person("stranger")


@pytest.fixture
async def operator(site: Site) -> Person:
    """Somebody who runs the installation."""
    return await site.person("operator", operator=True)


@pytest.fixture
async def driver(site: Site) -> Person:
    """Somebody who charges."""
    return await site.person("driver")


@pytest.fixture
async def gateway(site: Site) -> AsyncIterator[Gateway]:
    """A program that speaks the gateway's and the listener's side of a command."""
    async with Gateway(site.database, site.settings) as running:
        yield running


@pytest.fixture
async def box(site: Site, owner: Person, gateway: Gateway) -> dict[str, Any]:
    """An accepted, connected charge point of the owner's."""
    created = await owner.charge_point()
    await site.accept(created["id"])
    await gateway.connect(created["id"])
    return created
