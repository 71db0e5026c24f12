"""How the listener writes its log: one JSON object a line, or coloured text. Keys and credentials never go in."""

import logging

import structlog

from api.settings import Settings


def configure(settings: Settings) -> None:
    """Sets structlog up for this process."""
    last: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        last = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        cache_logger_on_first_use=True,
    )
