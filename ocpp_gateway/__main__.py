"""`python -m ocpp_gateway`: settings from the environment, logging, signals, and one gateway until it is told to stop.

Exit status: 0 stopped in order, 1 could not listen or broke, 2 wrong settings.
"""

import asyncio
import gc
import logging
import re
import signal
import sys
from typing import Final

import structlog
from pydantic import ValidationError
from structlog.typing import EventDict, Processor, WrappedLogger

from ocpp_gateway.server import CannotListenError, Gateway
from ocpp_gateway.settings import Settings
from ocpp_gateway.timing import Timing

log = structlog.get_logger("ocpp_gateway")

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What would begin a line of its own, or give orders to a terminal."""


def main() -> int:
    """Runs the gateway; returns the exit status."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            print(f"Wrong setting {name}: {problem['msg']}.", file=sys.stderr)  # noqa: T201 - no logging yet
        return 2
    configure_logging(settings)
    gc.collect()
    gc.freeze()  # what the imports made stays: every full collection went through it, for 8 to 34 ms between answers
    try:
        import uvloop  # noqa: PLC0415 - not built for every system
    except ImportError:
        return asyncio.run(run(settings))
    return uvloop.run(run(settings))


async def run(settings: Settings) -> int:
    """From start to stop."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gateway = Gateway(settings, Timing())
    try:
        port, operations_port = await gateway.start()
    except CannotListenError as error:
        log.error(str(error))
        return 1
    hosts = {"host": settings.gateway_host, "operations_host": settings.gateway_operations_host}
    log.info("started", port=port, operations_port=operations_port, gateway=gateway.id, **hosts)
    gateway.failed.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
    broken = gateway.failed.exception() if gateway.failed.done() else None
    if broken is not None:
        log.critical("broken", exc_info=broken)
    log.info("stopping")
    await gateway.stop()
    log.info("stopped")
    return 0 if broken is None else 1


def configure_logging(settings: Settings) -> None:
    """structlog to standard output; the libraries' own logging only where something is wrong."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.log_format == "json":
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback  # no local variables: they hold keys
        processors += [escape_controls, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    structlog.configure(processors=processors, wrapper_class=structlog.make_filtering_bound_logger(level))


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor: values that others may have typed stay on their line; JSON does this by itself."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(value: str) -> str:
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)


if __name__ == "__main__":
    sys.exit(main())
