"""How the api's processes write their logs: one structured line an event, to standard error. No secrets, ever."""

import logging
import sys
from typing import Any

import structlog

from api.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Sets up structlog, and sends the standard library's loggers the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_output(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("uvicorn.error", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _output(settings: Settings) -> list[Any]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.log_format == "console":
        return [remove, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [remove, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
