"""The HTTP service: assembles the routes of every room, and runs them under uvicorn. No rules live here.

`python -m api.app` reads the settings from the environment; `create_app(settings)` is the application alone.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from starlette.routing import Match
from starlette.types import Scope

from api import VERSION
from api.administration import mail_routes, personal_data_routes, user_routes
from api.bus import end_tasks, make_bus
from api.charge_points import (
    auto_configuration_routes,
    batch_routes,
    certificate_routes,
    charging_profile_routes,
    command_routes,
    configuration_routes,
    connector_code_routes,
    connector_spec_routes,
    daily_routes,
    file_routes,
    job_routes,
    key_routes,
    knock_routes,
    local_list_routes,
    message_routes,
    quirk_routes,
    reservation_routes,
    scanned_routes,
    security_routes,
)
from api.charge_points import routes as charge_point_routes
from api.charge_points.dispatch import Dispatcher
from api.database import Database, make_engine
from api.docs import DESCRIPTION, TAGS, install_docs
from api.documents.workshop import Workshop
from api.envelope import LARGEST_BODY, Envelope, make_duration_metric
from api.events import live_routes, webhook_routes
from api.events import routes as event_routes
from api.events.feed import Feed
from api.events.hub import Hub
from api.health import router as health_router
from api.identity import account_routes, id_tag_routes, session_routes
from api.identity import routes as identity_routes
from api.identity.caller import account_of
from api.identity.passwords import Passwords
from api.identity.tokens import make_access_tokens
from api.logs import configure_logs
from api.migrations import known_revisions
from api.problems import install_handlers
from api.rate_limits import RateLimits, Throttle
from api.settings import Settings, SettingsError, read_settings
from api.settlement import (
    bank_routes,
    continuity_routes,
    credit_routes,
    decision_routes,
    export_routes,
    payment_routes,
    payout_routes,
    receipt_routes,
    review_routes,
)
from api.settlement import routes as settlement_routes
from api.sharing import (
    booking_routes,
    dry_run_routes,
    grant_routes,
    group_routes,
    handover_routes,
    learning_routes,
    location_routes,
    search_routes,
)
from api.sharing import routes as sharing_routes
from api.tariffs import price_routes
from api.tariffs import routes as tariff_routes
from api.transactions import replay_routes
from api.transactions import routes as transaction_routes

log = structlog.get_logger(__name__)

GRACE_S: Final = 10
"""How long requests may go on after the signal to stop."""
ROUTERS: Final = (
    identity_routes.router,
    account_routes.router,
    session_routes.router,
    personal_data_routes.router,
    charge_point_routes.router,
    message_routes.router,
    quirk_routes.router,
    auto_configuration_routes.router,
    knock_routes.router,
    replay_routes.router,
    batch_routes.router,
    command_routes.router,
    daily_routes.router,
    configuration_routes.router,
    job_routes.router,
    file_routes.router,
    local_list_routes.router,
    reservation_routes.router,
    booking_routes.router,
    charging_profile_routes.router,
    key_routes.router,
    connector_code_routes.router,
    scanned_routes.router,
    security_routes.router,
    certificate_routes.router,
    transaction_routes.router,
    decision_routes.router,
    receipt_routes.router,
    review_routes.router,
    continuity_routes.router,
    settlement_routes.router,
    location_routes.router,
    connector_spec_routes.router,
    payment_routes.router,
    credit_routes.router,
    export_routes.router,
    payout_routes.router,
    bank_routes.router,
    sharing_routes.router,
    grant_routes.router,
    group_routes.router,
    dry_run_routes.router,
    search_routes.router,
    handover_routes.router,
    tariff_routes.router,
    price_routes.router,
    price_routes.grant_router,
    id_tag_routes.router,
    event_routes.router,
    live_routes.router,
    webhook_routes.router,
    learning_routes.router,
    mail_routes.router,
    user_routes.router,
    health_router,
)


def create_app(settings: Settings) -> FastAPI:
    """The application; PostgreSQL and Redis may be down while it starts.

    Raises:
        SettingsError: JWT_SECRET is missing or weak.
    """
    app = FastAPI(
        title="Voltuj",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.access_tokens = make_access_tokens(settings, datetime.now(UTC))
    app.state.passwords = Passwords()
    app.state.workshop = Workshop()
    app.state.database = Database(make_engine(settings))
    app.state.bus = make_bus(settings)
    app.state.dispatcher = Dispatcher(app.state.database, app.state.bus)
    app.state.feed = Feed(app.state.database, app.state.bus, Hub())
    app.state.rate_limits = RateLimits(settings)
    app.state.metrics = CollectorRegistry()
    app.state.revisions = known_revisions()
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(_Signposted(router))
    install_docs(app)
    largest_file = settings.largest_file_mib * 1024 * 1024 + LARGEST_BODY
    whose = partial(account_of, app.state.access_tokens)
    app.add_middleware(Throttle, limits=app.state.rate_limits, account_of=whose)
    app.add_middleware(Envelope, durations=make_duration_metric(app.state.metrics), largest_file=largest_file)
    return app


class _Signposted(APIRouter):
    """The routes of a router, passed over at once where the path begins as none of them does.

    FastAPI would try the expression of every route, twice: a third of what a request costs.
    """

    def __init__(self, router: APIRouter) -> None:
        super().__init__(routes=router.routes)
        literal = (each.path.partition("{")[0] if isinstance(each, APIRoute) else "" for each in router.routes)
        self._starts = tuple(set(literal))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if not scope["path"].startswith(self._starts):
            return Match.NONE, {}
        return super().matches(scope)


def _operation_id(route: APIRoute) -> str:
    """The function's name: unique, readable, and stable for generated clients."""
    return route.name


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    notices = asyncio.create_task(app.state.dispatcher.listen(), name="command notices")
    feeding = app.state.feed.start()
    try:
        yield
    finally:
        await end_tasks(notices, *feeding)
        app.state.passwords.close()
        app.state.workshop.close()
        await app.state.rate_limits.close()
        await app.state.bus.close()
        await app.state.database.close()


class _Server(uvicorn.Server):
    """Lets go of callers who wait for a command or for events before it waits for their requests to end."""

    def __init__(self, config: uvicorn.Config, dispatcher: Dispatcher, hub: Hub) -> None:
        super().__init__(config)
        self._dispatcher = dispatcher
        self._hub = hub

    def end(self, *_: object) -> None:
        """For signals that come before uvicorn listens to them, and for those that it raises again when it is done."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._dispatcher.stop_waiting()
        self._hub.close()
        await super().shutdown(sockets)


def main() -> int:
    """Runs until SIGINT or SIGTERM; 2 where a setting is wrong or the port is taken."""
    try:
        settings = read_settings()
        app = create_app(settings)
        listener = _listen(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before the log is set up, for a person
        return 2
    configure_logs(settings)
    gc.collect()
    gc.freeze()  # what imports and routes made stays: every full collection went through it, for 155 ms between answers
    host, port = listener.getsockname()[:2]
    log.info("listening", host=host, port=port)
    server = _Server(_uvicorn_config(app, settings), app.state.dispatcher, app.state.feed.hub)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, server.end)
    server.run(sockets=[listener])
    log.info("stopped")
    return 0


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        return socket.create_server((settings.api_host, settings.api_port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.api_host}:{settings.api_port}"
        raise SettingsError(
            f"API_HOST and API_PORT: cannot listen on {where}: {error.strerror}; .env-example explains them."
        ) from None


def _uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=_http_protocol(),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_graceful_shutdown=GRACE_S,
    )


def _http_protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    if sys.platform == "win32":
        return "h11"
    from api.http_protocol import BoundedHttp  # noqa: PLC0415 - httptools is not installed everywhere

    return BoundedHttp


if __name__ == "__main__":
    sys.exit(main())
